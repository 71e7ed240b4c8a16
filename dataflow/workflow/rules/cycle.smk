# The cycle: its configuration file, its folder, and the command that runs a job in its software.

import os

from dataflow.jobs.forkserver.begin import FORKS_LOG, FORKSERVER, asking, begin
from dataflow.plan.workflow import EVENTS

if workflow.remote_exec:  # on a node of a cluster, whereto the pipe does not lead
    os.environ.pop(EVENTS, None)



def config_file():
    """The one --configfile, else the configuration beside the folder of this Snakefile."""
    given = workflow.config_settings.configfiles
    if given:
        return Path(given[-1])
    beside = Path(workflow.basedir).parent
    return next((beside / name for name in ("config.json", "config.yaml") if (beside / name).is_file()), beside / "config.json")


try:
    flow = Workflow(config_file(), planned=workflow.remote_exec)
    is_submitting = not flow.planned and workflow.resource_settings.nodes is not None  # the executor comes later
    cores_here = None if flow.planned or is_submitting else workflow.resource_settings.cores
    is_forking = flow.forks and not is_submitting
    job_command = [*(asking() if is_forking else ()), *flow.command()]
except UserError as error:
    stop(error)


def begin_forks(names):
    """Start the process from which jobs are forked, given their rules, and tell `dataprod run` where it is to be had."""
    modules = {step.name: step.module for step in flow.steps}
    Path(FORKS_LOG).parent.mkdir(exist_ok=True)
    steps = [(name, modules[name]) for name in names if name in modules] if is_forking else []
    if socket := begin(flow.command(FORKSERVER), steps, Path(FORKS_LOG)):
        tell(event="forks", socket=socket)


wildcard_constraints:
    **flow.cycle.scheme.patterns,
    lineage=r"[0-9a-f]+",
    share=r"[1-9]\d*-of-[1-9]\d*",

workdir: flow.folder

try:
    flow.require_folder(Path.cwd())
except UserError as error:
    stop(error)
