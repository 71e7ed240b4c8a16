# One rule for each step of the registry (src/dataflow/plan/steps.py), called like the step.
#
# `recipe` is what Snakemake compares to see whether an output is still what the configuration asks for. The command
# stands outside of `params`, so that a cycle that was moved is not made again.

onstart:
    try:
        flow.require_software()
    except UserError as error:
        stop(error)


for step in flow.steps:

    rule:
        name:
            step.name
        input:
            unpack(flow.inputs(step)),
        output:
            **flow.outputs(step),
        log:
            flow.log(step),
        params:
            key=flow.key(step),
            recipe=flow.recipe(step),
        threads: step.threads
        resources:
            mem_mb=step.mem_mb,
        shell:
            "{job_command:q} {rule} --config {flow.config:q} --key {params.key} --threads {threads}"
