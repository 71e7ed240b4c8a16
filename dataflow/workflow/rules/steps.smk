# One rule for each step of the registry (dataflow/plan/steps.py), called like the step.

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
            "{job_command:q} {rule} --config {flow.config:q} --key {params.key} --threads {threads} 2> {log:q}"
