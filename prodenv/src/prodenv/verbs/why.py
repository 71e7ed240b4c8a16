"""``dataprod why CYCLE FILE``: what made a file, next to what would make it now."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from prodenv.cycles import find_cycle
from prodenv.planning import job_of, open_workflow
from prodenv.render import console, print_json

if TYPE_CHECKING:
    from dataflow.plan.why import Reason

SHOWN = 8


def run(options: argparse.Namespace) -> int:
    """Print the first difference between the recipe of a file and the one wanted now, or the whole tree."""
    flow = open_workflow(find_cycle(options.cycle), options.setup)
    from dataflow.plan.why import Explainer  # after the cycle's own dataflow was found

    reason = Explainer(flow.cycle, whole=options.tree).why(*job_of(flow, options.file))
    if options.json:
        print_json(reason.plain())
    elif options.tree:
        console().print(tree(reason))
    else:
        print("\n".join([*sentences(reason), *said_of_detectors(reason)]))
    return 0


def said_of_detectors(reason: Reason) -> list[str]:
    """What the job of a file noted of detectors, a line each."""
    return [f"  {trouble.sentence()}" for trouble in reason.detectors]


def sentences(reason: Reason) -> list[str]:
    """Why a file would be made again, in a few lines."""
    if reason.state == "there" and reason.note:
        return [f"{reason.path} is there", f"  {reason.note}", f"  lineage {reason.old}"]
    if reason.state == "there":
        return [f"{reason.path} is there and as it would be made now", f"  lineage {reason.old}"]
    lines = [f"{reason.path} is {reason.state}"]
    first = reason.first()
    if first:
        file, difference = first
        lines.append(f"  first difference: {difference.sentence()}")
        if file is not reason:
            lines.append(f"  in its input {file.path}")
        more = len(file.differences) - 1
        lines += [f"  also: {each.sentence()}" for each in file.differences[1 : SHOWN + 1]]
        lines += [f"  and {more - SHOWN} more differences"] if more > SHOWN else []
    lines += [f"  {line}" for line in reason.note.splitlines()]
    return [*lines, f"  lineage {reason.old or 'unknown'} → {reason.new}"]


def tree(reason: Reason) -> Any:
    """Everything that a file is made from, with what is another in each; what several files share is told once."""
    from rich.tree import Tree

    found = Tree(_label(reason))
    _grow(found, reason, {reason.path})
    return found


def _grow(branch: Any, reason: Reason, told: set[str]) -> None:
    from rich.text import Text

    for difference in reason.differences[:SHOWN]:
        branch.add(Text(difference.sentence(), style="yellow"))
    if reason.note:
        branch.add(Text(reason.note.replace("\n", " "), style="yellow"))
    for each in reason.inputs:
        if each.path in told and (each.inputs or each.differences):
            branch.add(_label(each).append("  as above", style="dim"))
        else:
            told.add(each.path)
            _grow(branch.add(_label(each)), each, told)


def _label(reason: Reason) -> Any:
    from rich.text import Text

    colour = {"there": "green", "failed": "red"}.get(reason.state, "yellow")
    return Text.assemble(reason.path, "  ", (reason.state, colour), "  ", (reason.new[:12], "dim"))
