"""``python -m dataflow.checks.verify``: whether the LH5 files of a cycle can be read and fit together.

A file whose record tells the sha256 with which its job left it is compared with that. Others, and those that are not
the same any more, are read from end to end, which takes several times as long. Within a key, every tier must have the
rows of the tier that it was made from.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

from dataflow.base.errors import UserError
from dataflow.jobs.atomic import HDF5
from dataflow.keys.inventory import files_below
from dataflow.plan import open_cycle
from dataflow.plan.cycle import Cycle
from dataflow.plan.paths import area_of, template_pattern
from dataflow.provenance.identity import hashed
from dataflow.provenance.records import Records

from .lh5check import FileCheck, check_file, fit_together
from .recordcheck import record_problems


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a file.

    Parameters
    ----------
    file
        Path relative to the cycle.
    problem
        One sentence without the name of the file.
    foreign
        Whether no job of ours made the file.
    """

    file: str
    problem: str
    foreign: bool = False


@dataclass(frozen=True)
class Report:
    """What was looked at, and what is wrong."""

    files: int
    bytes: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class How:
    """How thoroughly files are checked.

    Parameters
    ----------
    quick
        Structure and row counts only.
    full
        Read every file from end to end, whatever is recorded of it.
    known
        The sha256 of files, by path relative to the cycle, as it is now: they are not hashed again.
    brought
        Files, by path relative to the cycle, that may have come without their records: raw files without DAQ file.
    """

    quick: bool = False
    full: bool = False
    known: Mapping[str, str] = field(default_factory=dict)
    brought: frozenset[str] = frozenset()

    def of(self, names: Iterable[str]) -> How:
        """The same for some files."""
        mine = {*names}
        known = {name: self.known[name] for name in mine if name in self.known}
        return replace(self, known=known, brought=self.brought & mine)


UNREADABLE = "cannot be read"
"""All that can be held against a foreign file: others have their own conventions."""
Group = Mapping[str, str]
"""The files of a key, relative to the cycle, by tier."""


def groups_of(config: Path, experiment: str | None = None) -> tuple[Path, dict[str, Group]]:
    """The folder of a cycle, and its LH5 files by key (or run, or partition) and tier (or output of another step)."""
    cycle = open_cycle(config, experiment)
    found: dict[str, dict[str, str]] = {}
    for what, folder, template in _lh5_files(cycle):
        pattern = template_pattern(template, cycle.scheme.patterns)
        for path in files_below(folder):
            name = cycle.paths.relative(Path(path))
            match = pattern.fullmatch(name)
            if match:
                found.setdefault("-".join(match.groupdict().values()), {})[what] = name
    return cycle.setup.directory, dict(sorted(found.items()))


def _lh5_files(cycle: Cycle) -> Iterator[tuple[str, Path, str]]:
    """The LH5 files that the steps of a cycle make: what they are, the folder that they lie below, their template."""
    for step in cycle.steps:
        templates = cycle.paths.outputs(step)
        for role, made in step.outputs.items():
            if made.suffix == HDF5:
                what = step.tier if step.kind == "tier" else f"{step.name}.{role}"
                yield what, cycle.setup.path(area_of(step, made)), templates[role]


def brought(config: Path, experiment: str | None = None) -> frozenset[str]:
    """The raw files of a cycle that are taken as they are, since their DAQ files are not there."""
    cycle = open_cycle(config, experiment)
    return frozenset(cycle.paths.relative(path) for path in cycle.inventory.raw.values())


def check_group(root: Path, group: Group, how: How) -> Report:
    """Check the files of one key."""
    checks: dict[str, FileCheck] = {}
    findings: list[Finding] = []
    size, records = 0, Records()
    for tier, name in group.items():
        path = root / name
        record = records.raw(path) or {}
        changed = None if how.quick else _changed(path, record.get("sha256"), how.known.get(name))
        checks[tier] = check_file(path, tier, quick=how.quick or (changed is False and not how.full))
        size += checks[tier].size
        found = ["it is not what its job wrote"] if changed else []
        findings += [Finding(name, problem) for problem in found + checks[tier].problems]
        wrong = record_problems(records, path, checks[tier].lineage, required=name not in how.brought)
        findings += [Finding(name, problem) for problem in wrong]
    readable = {tier: check for tier, check in checks.items() if check.readable}
    findings += [Finding(group[tier], problem) for tier, problem in fit_together(readable)]
    theirs = {name for tier, name in group.items() if not checks[tier].lineage and records.is_foreign(root / name)}
    told = [replace(finding, foreign=finding.file in theirs) for finding in findings]
    return Report(len(group), size, tuple(each for each in told if not each.foreign or UNREADABLE in each.problem))


def _changed(path: Path, recorded: object, known: str | None) -> bool | None:
    """Whether a file is not what its job left any more; None if nobody knows what that was, or if it cannot be read."""
    if not recorded:
        return None
    try:
        return (known or hashed(path)) != recorded
    except UserError:  # reading it will tell
        return None


def check_all(root: Path, groups: Mapping[str, Group], *, jobs: int, how: How) -> Iterator[Report]:
    """Check many keys in `jobs` processes. A file that kills the process that reads it is a finding."""
    waiting = dict(groups)
    try:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            running: dict[Future[Report], str] = {
                pool.submit(check_group, root, group, how.of(group.values())): key for key, group in groups.items()
            }
            for future in as_completed(running):
                report = future.result()
                del waiting[running[future]]
                yield report
    except BrokenProcessPool:
        yield from (_alone(root, group, how.of(group.values())) for group in waiting.values())


def _alone(root: Path, group: Group, how: How) -> Report:
    """Check each file of a key in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(check_group, root, group, how).result()
        except BrokenProcessPool:
            name = next(iter(group.values()))
            return Report(
                len(group), 0, (Finding(name, "the process that reads this or another file of the key is killed"),)
            )


def joined(reports: Iterable[Report]) -> Report:
    """One report of many, its findings sorted."""
    all_ = list(reports)
    findings = sorted((finding for report in all_ for finding in report.findings), key=lambda f: (f.file, f.problem))
    return Report(sum(report.files for report in all_), sum(report.bytes for report in all_), tuple(findings))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report as JSON; returns 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m dataflow.checks.verify", description="Check LH5 files of a cycle.")
    parser.add_argument("--config", type=Path, required=True, help="config file of the cycle")
    parser.add_argument("--setup", default=None, help="which setup of the file")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes (default: 1)")
    parser.add_argument("--quick", action="store_true", help="structure and row counts only")
    parser.add_argument("--full", action="store_true", help="read every file from end to end")
    parser.add_argument("--known", action="store_true", help="the standard input has the sha256 of files, as JSON")
    options = parser.parse_args(arguments)
    try:
        root, groups = groups_of(options.config, options.setup)
        alone = brought(options.config, options.setup)
    except UserError as error:
        print(error.render(), file=sys.stderr)
        return 2
    how = How(options.quick, options.full, json.load(sys.stdin) if options.known else {}, alone)
    report = joined(check_all(root, groups, jobs=max(1, options.jobs), how=how))
    json.dump(asdict(report), sys.stdout)
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
