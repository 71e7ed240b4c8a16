"""``dataprod list``: the cycles of the production environment."""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prodenv.base.errors import UserError
from prodenv.base.places import ROOT
from prodenv.base.tables import coloured, print_json, print_table, size_text
from prodenv.cycles.derived.links import parents_of
from prodenv.cycles.find import CycleFolder, all_cycles
from prodenv.cycles.outputs import Contents
from prodenv.cycles.setups import setup_of
from prodenv.cycles.sizes import size_of

_COLOURS = {"running": "green", "interrupted": "yellow", "frozen": "cyan", "broken": "red", "no software": "yellow"}


def run(options: argparse.Namespace) -> int:
    """Print every cycle with its size, its state, and what it is based on."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:  # each cycle's own flow is asked
        found = list(pool.map(summary, all_cycles()))
    if options.json:
        print_json({"environment": str(ROOT), "cycles": found})
    elif not found:
        print(f"no cycles in {ROOT}; make one: dataprod init-cycle cycles/v01")
    else:
        _print(found)
    return 0


def summary(cycle: CycleFolder) -> dict[str, Any]:
    """A cycle in a line. One that cannot be read is `broken`, with the reason."""
    size = size_of(cycle.root)
    line: dict[str, Any] = {"name": cycle.name, "path": str(cycle.root), "size": size.size, "files": size.files}
    line |= {"experiment": "", "scheme": "", "based_on": [], "problem": "", "left_out": [], "note": ""}
    try:
        line |= _read(cycle)
    except (UserError, OSError) as error:
        line |= {"state": "broken", "problem": str(error)}
    return line


def _read(cycle: CycleFolder) -> dict[str, Any]:
    setup = setup_of(cycle)
    return {
        "experiment": setup.experiment,
        "scheme": setup.scheme,
        "state": state(cycle, (setup.path("install") / "bin" / "python").exists()),
        "based_on": parents_of(cycle, setup),
        **_daq(Contents(cycle, setup)),
    }


def _daq(contents: Contents) -> dict[str, Any]:
    """What lies among the DAQ files and is none; where they cannot be listed, why not."""
    try:
        return {"left_out": contents.left_out, "note": contents.left_out_note}
    except UserError as error:
        return {"left_out": [], "note": error.message}


def state(cycle: CycleFolder, has_software: bool) -> str:
    """``frozen``, ``running``, ``interrupted`` (a dead Snakemake's lock is there), ``no software`` or ``ready``."""
    if cycle.frozen:
        return "frozen"
    if cycle.running:
        return "running"
    if cycle.interrupted:
        return "interrupted"
    return "ready" if has_software else "no software"


def _print(found: list[dict[str, Any]]) -> None:
    rows = [
        (
            line["name"],
            line["experiment"],
            coloured(line["state"], _COLOURS.get(line["state"], "")),
            size_text(line["size"]),
            line["files"],
            ", ".join(line["based_on"]) or "-",
        )
        for line in found
    ]
    print_table(("cycle", "setup", "state", "size", "files", "based on"), rows, right="size files")
    for line in found:
        if line["problem"]:
            print(f"{line['name']}: {line['problem']}")
        if line["note"]:
            print(f"{line['name']}: {line['note']}")
