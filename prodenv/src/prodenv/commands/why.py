"""``dataprod why CYCLE FILE``: what made a file, compared with what would make it now."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prodenv.base.tables import console, print_json
from prodenv.cycles.find import find_cycle
from prodenv.cycles.flow import Unknown, ask

from .others import tell_file

SHOWN = 8


def run(options: argparse.Namespace) -> int:
    """Print the first difference between the recipe of a file and the one wanted now, or the whole tree."""
    cycle = find_cycle(options.cycle)
    try:
        reason = ask(cycle, "why", options.setup, file=options.file, folder=os.fspath(Path.cwd()), tree=options.tree)
    except Unknown as unknown:
        tell_file(cycle, options.file, unknown, as_json=options.json)
        raise
    if options.json:
        print_json(reason)
    elif options.tree:
        console().print(tree(reason))
    else:
        print("\n".join([*sentences(reason), *said_of_detectors(reason)]))
    return 0


Reason = Mapping[str, Any]
"""Why a file is what it is, as :class:`dataflow.plan.why.Reason` tells it."""


def said_of_detectors(reason: Reason) -> list[str]:
    """What the job of a file noted of detectors, a line each."""
    return [f"  {trouble['sentence']}" for trouble in reason["detectors"]]


def sentences(reason: Reason) -> list[str]:
    """Why a file would be made again, in a few lines."""
    path, state, note = reason["file"], reason["state"], reason["note"]
    if state in ("there", "foreign"):
        first = f"{path} is {state}" if note else f"{path} is there and as it would be made now"
        return [first, *([f"  {note}"] if note else []), f"  lineage {reason['lineage']}"]
    lines = [f"{path} is {state}"]
    first_one = next(_differing(reason), None)
    if first_one:
        file, differences = first_one
        lines.append(f"  first difference: {differences[0]['sentence']}")
        if file != path:
            lines.append(f"  in its input {file}")
        more = len(differences) - 1
        lines += [f"  also: {each['sentence']}" for each in differences[1 : SHOWN + 1]]
        lines += [f"  and {more - SHOWN} more differences"] if more > SHOWN else []
    lines += [f"  {line}" for line in note.splitlines()]
    return [*lines, f"  lineage {reason['lineage'] or 'unknown'} → {reason['wanted']}"]


def _differing(reason: Reason) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """The files with differences in their recipes, inputs before what is made from them."""
    for each in reason["inputs"]:
        yield from _differing(each)
    if reason["differences"]:
        yield reason["file"], reason["differences"]


def tree(reason: Reason) -> Any:
    """Everything that a file is made from, with what is another in each; what several files share is told once."""
    from rich.tree import Tree

    found = Tree(_label(reason))
    _grow(found, reason)
    return found


def _grow(branch: Any, reason: Reason) -> None:
    from rich.text import Text

    for difference in reason["differences"][:SHOWN]:
        branch.add(Text(difference["sentence"], style="yellow"))
    if reason["note"]:
        branch.add(Text(reason["note"].replace("\n", " "), style="yellow"))
    for each in reason["inputs"]:
        if each["repeated"]:
            branch.add(_label(each).append("  as above", style="dim"))
        else:
            _grow(branch.add(_label(each)), each)


def _label(reason: Reason) -> Any:
    from rich.text import Text

    colour = {"there": "green", "foreign": "cyan", "failed": "red"}.get(reason["state"], "yellow")
    return Text.assemble(reason["file"], "  ", (reason["state"], colour), "  ", ((reason["wanted"] or "")[:12], "dim"))
