# One rule for each step of the registry (src/dataflow/plan/steps.py), called like the step.
#
# `lineage` is what Snakemake compares to see whether an output is still what the configuration asks for. The times of
# files tell nothing about that, so they do not count: the inputs of a job that is up to date are `ancient`, and a job
# that is not has an input that is always new, because Snakemake itself knows nothing of files that were copied here. The
# command stands outside of `params`, so that a cycle that was moved is not made again.

onstart:
    try:
        flow.require_software()
    except UserError as error:
        stop(error)


def inputs(step):
    """The input function of a step."""
    paths = flow.inputs(step)

    def of(wildcards):
        if flow.is_current(step, wildcards):
            return {role: [ancient(path) for path in found] for role, found in paths(wildcards).items()}
        return paths(wildcards) | flow.always_new(step, wildcards)

    return of


for step in flow.steps:

    rule:
        name:
            step.name
        input:
            unpack(inputs(step)),
        output:
            **{role: update(path) for role, path in flow.outputs(step).items()},
        log:
            flow.log(step),
        params:
            key=flow.key(step),
            lineage=flow.lineage(step),
        threads: step.resources.threads
        resources:
            mem_mb=step.resources.mem_mb,
        shell:
            "{job_command:q} {rule} --config {flow.config:q} --key {params.key} --threads {threads}"
