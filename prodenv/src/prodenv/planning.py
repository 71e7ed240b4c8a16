"""Opening the plan of a cycle: with the dataflow that the cycle has, which is the one that Snakemake will run."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from prodenv.cycles import CycleFolder
from prodenv.errors import UserError

if TYPE_CHECKING:
    from dataflow.plan.model import Unit
    from dataflow.plan.workflow import Workflow


def open_workflow(cycle: CycleFolder, experiment: str | None = None) -> Workflow:
    """The workflow of a cycle.

    Raises
    ------
    UserError
        If its dataflow is one that does not know lineages.
    """
    own = cycle.root / "dataflow" / "src"
    if (own / "dataflow" / "plan").is_dir() and "dataflow" not in sys.modules:
        sys.path.insert(0, str(own))
    try:
        import dataflow.plan.survey  # noqa: F401 - to see whether it is there
        from dataflow.plan.workflow import Workflow
    except ModuleNotFoundError as slip:
        if slip.name is None or not slip.name.startswith("dataflow"):
            raise
        hint = "this verb needs the dataflow of a newer production environment"
        raise UserError(f"the dataflow of {cycle.name} knows nothing of lineages", hint=hint) from None
    return Workflow(cycle.config, experiment)


def not_installed(flow: Workflow) -> UserError | None:
    """What is to be said if the software is not what the configuration asks for; an older dataflow does not tell."""
    ask = getattr(flow, "not_installed", None)
    said = ask() if ask else None
    return UserError(said.message, hint=said.hint) if said else None


def warnings_of(flow: Workflow) -> list[str]:
    """What someone who looks at a cycle has to be told beforehand."""
    said = not_installed(flow)
    ask = getattr(flow, "without_effect", None)  # an older dataflow does not tell
    left_out_files = [note] if (note := left_out(flow)) else []
    return [*([str(said)] if said else []), *map(str, ask() if ask else ()), *left_out_files]


def left_out(flow: Workflow) -> str:
    """What is to be said of files in the folder of DAQ files that are none; an older dataflow does not tell."""
    try:
        from dataflow.plan.inventory import left_out_note
    except ImportError:
        return ""
    return left_out_note(flow.cycle.inventory, flow.cycle.setup.path("tier_daq"))


def job_of(flow: Workflow, text: str) -> tuple[str, Unit]:
    """The job that makes a file, given as a path from here or from the cycle's folder.

    Raises
    ------
    UserError
        If no step makes such a file.
    """
    cycle = Path(flow.folder)
    for base in (Path.cwd(), cycle):
        path = Path(os.path.abspath(base / text))  # noqa: PTH100 - links stay as the user gave them
        for name, root in ((path, cycle), (path.resolve(), cycle.resolve())):
            found = flow.job_of(str(name.relative_to(root))) if name.is_relative_to(root) else None
            if found:
                return found
    examples = sorted(str(Path(template).parent) for step in flow.steps for template in flow.outputs(step).values())
    raise UserError(f"{text!r} is no output of a step", hint=f"outputs are in {', '.join(dict.fromkeys(examples))}")


def targets_of(cycle: CycleFolder, words: list[str]) -> list[str]:
    """Targets; those that are paths, from here or from the cycle's folder, as the cycle's Snakefile has them."""
    found = []
    for word in words:
        path = Path(os.path.abspath(word))  # noqa: PTH100 - links stay as the user gave them
        inside = "/" in word and path.is_relative_to(cycle.root)
        found.append(str(path.relative_to(cycle.root)) if inside else word)
    return found


def cores(wanted: int) -> int:
    """The number of cores to use."""
    return wanted or len(os.sched_getaffinity(0))


def duration(seconds: float) -> str:
    """A time for reading: ``2 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
