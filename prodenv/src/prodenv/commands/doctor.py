"""``dataprod doctor [CYCLE]``: what is wrong, and what fixes it."""

from __future__ import annotations

import argparse
import itertools
from dataclasses import asdict

from prodenv.base.places import ROOT
from prodenv.base.tables import coloured, print_json, print_table
from prodenv.cycles.doctor.cycle import examine
from prodenv.cycles.doctor.environment import BAD, OK, WARNING, Finding, environment
from prodenv.cycles.find import find_cycle

_COLOURS = {OK: "green", WARNING: "yellow", BAD: "red"}


def run(options: argparse.Namespace) -> int:
    """Print what was found; returns 1 if something does not work."""
    findings = list(environment(ROOT))
    if options.cycle:
        findings += examine(find_cycle(options.cycle), options.setup)
    if options.json:
        print_json({"environment": str(ROOT), "findings": [asdict(finding) for finding in findings]})
    else:
        _print(findings)
    return 1 if any(finding.state == BAD for finding in findings) else 0


def _print(findings: list[Finding]) -> None:
    rows = [(finding.area, coloured(finding.state, _COLOURS[finding.state]), finding.what) for finding in findings]
    print_table(("area", "state", "finding"), rows)
    for fix, those in itertools.groupby(findings, key=lambda finding: finding.fix):
        if fix:
            print("\n".join(finding.what for finding in those))
            print(f"  → {fix}")
