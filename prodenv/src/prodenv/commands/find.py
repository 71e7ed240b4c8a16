"""``dataprod find CYCLE KEYS``: keys and files, for people, scripts and pipes."""

from __future__ import annotations

import argparse
import sys

from prodenv.base.errors import UserError
from prodenv.base.tables import print_json
from prodenv.cycles.find import find_cycle
from prodenv.cycles.flow import ask


def run(options: argparse.Namespace) -> int:
    """Print the keys that fit, or the files of a tier; returns 1 if there are none."""
    cycle = find_cycle(options.cycle)
    if options.missing and not options.tier:
        raise UserError("--missing files of which tier?", hint="add --tier hit, for example")
    values = {name: getattr(options, name) for name in ("pattern", "tier", "where", "missing")}
    answer = ask(cycle, "find", options.setup, **values)
    if options.json:
        print_json(answer["found"])
    else:
        for each in answer["found"]:
            print(each.get("path") or each["key"])
    if not answer["found"]:
        sys.stderr.write(answer["why"] + "\n")
    return 0 if answer["found"] else 1
