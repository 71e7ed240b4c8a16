# What is special where each job is one of a cluster's: what it asks for is learned from finished jobs, small jobs go
# together, and only a job that lacked memory is tried again, with twice as much.

from snakemake.jobs import GroupJob, Job
from snakemake.spawn_jobs import SpawnedJobArgsFactory
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

from dataflow.plan.attempts import AGAIN, LACKED, Attempts

together = {step.name: flow.demand(step).together for step in flow.steps} if is_submitting else {}


def shares(step):
    """How many of the cluster's jobs do the detectors of one, each a share; a profile's ``set-resources`` counts more."""
    if not is_submitting or step.resources.threads == 1:
        return 1
    said = workflow.resource_settings._parsed_overwrite_resources.get(step.name, {}).get("shares")
    return int(said.value if hasattr(said, "value") else said) if said else flow.demand(step).shares


def resources(step):
    """The resources of a rule; a job that was submitted has what it asked for."""
    if not is_submitting:
        return {"mem_mb": step.resources.mem_mb}
    demand = flow.demand(step)
    minutes = demand.minutes(shares(step))
    learned = {} if minutes is None else {"runtime": minutes}
    memory = lambda wildcards, threads, attempt: demand.memory(threads, attempt)
    return {"mem_mb": memory, "htcondor_request_mem_mb": memory, **learned}  # HTCondor's executor has its own name


def group(step):
    """The group of a rule whose jobs are small, None for others."""
    return step.name if together.get(step.name, 1) > 1 and shares(step) == 1 else None


def let_small_jobs_go_together():
    """Tell Snakemake how many jobs a group has, once it has begun to plan; what a profile says counts more."""
    sizes = {name: number for name, number in together.items() if number > 1}
    workflow.group_settings.group_components = sizes | dict(workflow.group_settings.group_components)


# A failure of physics fails again, with any memory. Snakemake knows one number of retries for all failures.

attempts = Attempts()
submitted = RemoteExecutor.report_job_error


def report_job_error(executor, job_info, msg=None, aux_logs=None, **more):
    job, msg, logs = job_info.job, msg or "", [log for log in aux_logs or () if log]
    if attempts.end(job, msg, logs):
        msg = f"{LACKED}: {job.resources.get('mem_mb')} MB, attempt {job.attempt}. {msg}"
        if job.attempt <= job.restart_times:
            executor.logger.info(f"{AGAIN}: {msg}")
            executor.workflow.scheduler.error_callback(job)
            return
    if job.is_group():
        executor.logger.error(f"group ended ({', '.join(map(str, logs))}): {msg}")  # Snakemake forgets it
    submitted(executor, job_info, msg=msg, aux_logs=logs, **more)


def retries(job, members):
    is_to_be_tried = workflow.local_exec or attempts.lacked_memory(job)
    return max(member.rule.restart_times for member in members) if is_to_be_tried else 0


RemoteExecutor.report_job_error = report_job_error
Job.restart_times = property(lambda job: retries(job, [job]))
GroupJob.restart_times = property(lambda group: retries(group, group.jobs))

# A group goes on when one of its jobs fails: Snakemake does not tell it, and all others would be lost with that one.
# Its jobs are commands, and need no Snakemake each.

arguments = SpawnedJobArgsFactory.general_args


def general_args(factory, *settings, **named):
    keeps_going = factory.workflow.execution_settings.keep_going
    return f"{arguments(factory, *settings, **named)} --force-use-threads {'--keep-going' if keeps_going else ''}"


SpawnedJobArgsFactory.general_args = general_args

# Executors wait longer and longer between two looks at their jobs, up to minutes; here as long as is asked for at most.

looks = RemoteExecutor.next_seconds_between_status_checks


def look_again(executor, seconds):
    most = executor.workflow.remote_execution_settings.seconds_between_status_checks
    looks.fset(executor, min(seconds, most))


RemoteExecutor.next_seconds_between_status_checks = looks.setter(look_again)
