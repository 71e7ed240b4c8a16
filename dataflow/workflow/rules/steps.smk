# One rule for each step of the registry (src/dataflow/registry/steps.py), called like the step.
#
# What is made is decided by the records beside the outputs, as `dataprod plan` and `status` read them. Snakemake's own
# notes and the times of files would give another answer for files that were touched, restored or copied: Snakemake's
# triggers are off, what the records ask for is forced, and the inputs of all other jobs are `ancient`.

from snakemake.settings.types import RerunTrigger

FIGURES_LAST = -1  # of all that is ready, Snakemake begins with the highest priority; else with the largest inputs
SNAKEMAKES_LIMIT = 100, 1  # jobs in seconds, if nothing is said

onstart:
    try:
        flow.require_software()
        flow.write_tickets((job.rule.name, job.wildcards) for job in workflow.dag.needrun_jobs())
        begin_forks([job.rule.name for job in workflow.dag.needrun_jobs()])
        tell(event="start", keeps_going=workflow.execution_settings.keep_going)
    except UserError as error:
        stop(error)


def let_records_decide():
    """Tell Snakemake what to make, once it has begun to plan."""
    if not workflow.dag.ignore_incomplete:
        workflow.dag.ignore_incomplete = True
        let_small_jobs_go_together()
        let_local_jobs_go_at_once()
        workflow.dag.forcefiles.update(to_make)
        workflow.dag_settings.rerun_triggers = frozenset({RerunTrigger.MTIME})


def let_local_jobs_go_at_once():
    """Take Snakemake's limit of a hundred jobs a second away where jobs run here, unless somebody set another one.

    For the limit, the scheduler looks at all jobs that are ready again a second after each start of a job, and a second
    after that, for ever: the longer it runs, the more of a processor it takes. It also ends a second late.
    """
    settings = workflow.scheduling_settings
    limit = settings.max_jobs_per_timespan
    if not is_submitting and limit and (limit.max_jobs, limit.timespan) == SNAKEMAKES_LIMIT:
        settings.max_jobs_per_timespan = None


def is_narrow():
    """Whether Snakemake need not know of jobs whose outputs are current: it only makes what is to be made."""
    executor, asked = workflow.executor_plugin, workflow.dag_settings
    others = asked.forceall, asked.forcerun, asked.forcetargets, asked.until, asked.omit_from, asked.batch
    return executor is not None and not executor.common_settings.touch_exec and not any(others)


def inputs(step):
    """The input function of a step."""
    paths = flow.inputs(step)

    def of(wildcards):
        if flow.planned:  # Snakemake for one job, on a node of a cluster
            return paths(wildcards)
        let_records_decide()
        flag = str if flow.is_among(step, wildcards, to_make) else ancient
        found = paths(wildcards)
        if is_narrow():
            found = {role: [flow.as_found(path, to_make) for path in some] for role, some in found.items()}
        return {role: [flag(path) for path in some] for role, some in found.items()}

    return of


def shared_inputs(step, number):
    """The input function of a job whose detectors are divided: the shares that others do of it, too."""
    others = inputs(step)
    return lambda wildcards: {**others(wildcards), "shares": flow.shares(step, wildcards, number)}


for step in flow.steps:

    divided = shares(step)

    if divided > 1 or (flow.planned and step.resources.threads > 1):  # planned: on a node, where nothing is counted

        rule:
            name:
                f"{step.name}_share"
            input:
                unpack(inputs(step)),
            output:
                temp(flow.share(step)),
            log:
                f"{flow.log(step).removesuffix('.log')}-{{lineage}}-{{share}}.log",
            params:
                step=step.name,
                key=flow.key(step),
                ticket=flow.ticket(step),
            threads: step.resources.threads
            resources:
                **resources(step),
            shell:
                "{job_command:q} {params.step} --config {flow.config:q} --key {params.key} --threads {threads}"
                " --ticket {flow.tickets:q}/{params.ticket} --lineage {wildcards.lineage} --share {wildcards.share}"

    rule:
        name:
            step.name
        input:
            unpack(shared_inputs(step, divided) if divided > 1 else inputs(step)),
        output:
            **{role: update(path) for role, path in flow.outputs(step).items()},
        log:
            flow.log(step),
        params:
            key=flow.key(step),
            lineage=flow.lineage(step),
            ticket=flow.ticket(step),
        threads: flow.threads(step, cores_here)
        priority: FIGURES_LAST if step.figures_of else flow.priority(step)
        group:
            group(step)
        resources:
            **resources(step),
        shell:
            "{job_command:q} {rule} --config {flow.config:q} --key {params.key} --threads {threads}"
            " --ticket {flow.tickets:q}/{params.ticket} --lineage {params.lineage}"
