"""``dataprod run CYCLE TARGET…``: make targets of a cycle."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prodenv.cycles import CycleFolder, command, find_cycle
from prodenv.errors import UserError
from prodenv.holder import refuse_living
from prodenv.planning import cores, not_installed, open_workflow, targets_of
from prodenv.relinking import is_astray, relink
from prodenv.render import print_json, size_text
from prodenv.steps import step
from prodenv.verbs.plan import planned, show

if TYPE_CHECKING:
    from dataflow.plan.troubles import Trouble
    from dataflow.plan.workflow import Workflow
    from prodenv.progress import Learned, Progress


def run(options: argparse.Namespace) -> int:
    """Make the targets, or say what would be made."""
    cycle = find_cycle(options.cycle)
    if not options.dry_run:
        _follow_parent(cycle)
    flow = open_workflow(cycle, options.setup)
    if options.dry_run:
        found = planned(flow, targets_of(cycle, options.targets), cores(options.jobs))
        print_json(found) if options.json else show(found)
        return 0
    if options.json:
        raise UserError("--json goes with --dry-run", hint=f"after the run: {command('status', cycle)} --json")
    cycle.refuse_frozen("run")
    return make(cycle, flow, options)


def _follow_parent(cycle: CycleFolder) -> None:
    """Mend the links of a derived cycle after it or its parent was moved, so that nothing is made for that."""
    if is_astray(cycle) and not cycle.frozen:
        refuse_living(cycle.root)
        with step(f"{cycle.name} or its parent was moved: linking again"):
            relink(cycle)


def make(cycle: CycleFolder, flow: Workflow, options: argparse.Namespace) -> int:
    """Run Snakemake for the targets; what is wrong with them comes out before it starts."""
    from prodenv.production import produced, tell
    from prodenv.progress import INTERRUPTED

    refuse_living(cycle.root)
    targets = targets_of(cycle, options.targets)
    extra = [*_profile(cycle, options.profile), *options.snakemake]
    flow.wanted(targets)
    said = not_installed(flow)
    if said:
        raise said
    jobs, begin = cores(options.jobs), time.monotonic()
    identify(flow, jobs)
    code, progress = produced(cycle.config, targets, jobs, extra=extra, learned=_learned(flow))
    tell(progress.last_words(cycle.root, code))
    found = flow.troubles(targets) if code != INTERRUPTED and hasattr(flow, "troubles") else []
    tell(_of_detectors(cycle, progress, found, time.monotonic() - begin))
    return 1 if code == 0 and options.strict and any(trouble.is_lost for trouble in found) else code


def _of_detectors(cycle: CycleFolder, progress: Progress, found: list[Trouble], seconds: float) -> Iterator[str]:
    """What became of detectors, and the closing line."""
    if found:
        from dataflow.plan.troubles import sentences

        yield from sentences(found, f"{command('status', cycle)} --json has them all")
    yield progress.closing(seconds, _counted(found))


def _counted(found: list[Trouble]) -> str:
    if not found:
        return ""
    from dataflow.plan.troubles import counted

    return counted(found)


def _learned(flow: Workflow) -> dict[str, Learned]:
    """What the jobs of each step took before, from the records of some that are there."""
    from dataflow.plan.survey import START, THERE, Item, Survey, all_jobs
    from prodenv.progress import Learned

    maybe = (Item(step, unit, THERE) for step, unit in all_jobs(flow.cycle))  # what has no record teaches nothing
    costs = Survey(flow.cycle).costs(maybe)
    return {step: Learned(cost.seconds + START, cost.threads) for step, cost in costs.items()}


def identify(flow: Workflow, threads: int) -> None:
    """Read the DAQ files that are new, once, so that neither this run nor the next ones have to while they plan."""
    lineages = flow.cycle.lineages
    new = lineages.unread(flow.cycle.planned)
    size = sum(path.stat().st_size for path in new)
    if size:
        with step(f"reading {len(new)} new DAQ files ({size_text(size)}) for their identity"):
            lineages.identities.learn(new, threads)
    lineages.identities.save()


def _profile(cycle: CycleFolder, name: str) -> list[str]:
    if not name:
        return []
    folder = cycle.root / "dataflow" / "profiles"
    if not (folder / name / "config.yaml").is_file():
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        raise UserError(f"there is no profile {name!r}", hint=f"in {folder} there are: {', '.join(names) or 'none'}")
    return [f"--workflow-profile={folder / name}"]
