"""``dataprod verify CYCLE``: whether the files are what they were, can be read, and fit together."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prodenv.base.errors import WorkFailed
from prodenv.base.tables import print_json, print_table, size_text
from prodenv.cycles import manifest
from prodenv.cycles.derived.links import changed_links
from prodenv.cycles.find import FROZEN, CycleFolder, find_cycle
from prodenv.cycles.manifest import entries_of
from prodenv.cycles.outputs import Contents, contents_of
from prodenv.cycles.setups import Setup, wrap

from .freeze import links_of, software_of

_AGAIN = "remove it and run again: it is made again from its inputs"
_FOREIGN = "no job of this cycle made it, and none makes it again: ask those who made it for an intact copy"


@dataclass(frozen=True)
class Problem:
    """A file with which something is wrong, and what to do about it."""

    file: str
    problem: str
    fix: str = _AGAIN


@dataclass(frozen=True)
class Checked:
    """One kind of check: how much was looked at, and in what time."""

    what: str
    files: int
    bytes: int
    seconds: float


def run(options: argparse.Namespace) -> int:
    """Check a cycle; returns 1 if something is wrong."""
    cycle = find_cycle(options.cycle)
    contents = contents_of(cycle, options.setup)
    jobs = options.jobs or os.cpu_count() or 1
    problems: list[Problem] = []
    done: list[Checked] = []
    known: Mapping[str, str] = {}
    if cycle.frozen and not options.no_manifest:
        checked, known = _manifest(cycle, contents.setup, jobs, problems)
        done.append(checked)
    if contents.setup.ours:
        done.append(_parameters(contents, known, problems))
        done.append(_lh5(contents.setup, options, jobs, known, problems))
    fix = "remove the link; the next run makes the file here"
    problems += [Problem(name, "has changed in the cycle that it is used from", fix) for name in changed_links(cycle)]
    problems.sort(key=lambda problem: (problem.file, problem.problem))
    if options.json:
        checks = [asdict(check) for check in done]
        document = {"cycle": cycle.name, "checks": checks, "problems": [asdict(problem) for problem in problems]}
        print_json(document | {"detectors": contents.detectors["detectors"]})
    else:
        _print(cycle, done, problems, contents)
    return 1 if problems else 0


def _manifest(
    cycle: CycleFolder, setup: Setup, jobs: int, problems: list[Problem]
) -> tuple[Checked, Mapping[str, str]]:
    """Compare the files with the manifest of the frozen cycle; returns also the hashes that were found."""
    begin = time.monotonic()
    wanted = manifest.read(cycle.root / FROZEN / manifest.NAME)
    entries = list(entries_of(cycle.root, software_of(setup)))
    files = {entry.name: entry.path for entry in entries if entry.hashed}
    links = {entry.name: entry.link for entry in entries if entry.link}
    common = {name: files[name] for name in sorted(wanted.keys() & files.keys())}
    found = manifest.hash_all(common, jobs)
    restore = "the cycle is frozen: bring the file back from a copy"
    problems += [
        Problem(name, "is not what it was when the cycle was frozen", restore)
        for name in common
        if found[name] != wanted[name]
    ]
    problems += [
        Problem(name, "is gone since the cycle was frozen", restore) for name in sorted(wanted.keys() - files.keys())
    ]
    problems += [
        Problem(name, "is new since the cycle was frozen", "move it away")
        for name in sorted(files.keys() - wanted.keys())
    ]
    problems += [
        Problem(name, f"led to {target!r} when the cycle was frozen, not to {links.get(name, 'anything')!r}", restore)
        for name, target in sorted(links_of(cycle).items())
        if links.get(name) != target
    ]
    size = sum(Path(path).stat().st_size for path in common.values())
    return Checked("manifest", len(common), size, time.monotonic() - begin), found


def _parameters(contents: Contents, known: Mapping[str, str], problems: list[Problem]) -> Checked:
    """Read the parameter files; `known` are hashes that need not be found again."""
    begin = time.monotonic()
    found = contents.ask("parameter_files", known=dict(known))
    problems += [_problem(each) for each in found["problems"]]
    return Checked("parameters", found["files"], found["bytes"], time.monotonic() - begin)


def _problem(found: Mapping[str, Any]) -> Problem:
    return Problem(found["file"], found["problem"], _FOREIGN if found["foreign"] else _AGAIN)


def _lh5(
    setup: Setup, options: argparse.Namespace, jobs: int, known: Mapping[str, str], problems: list[Problem]
) -> Checked:
    """Check the LH5 files with the software of the cycle; `known` are hashes that need not be found again."""
    begin = time.monotonic()
    words = ["--config", str(setup.file), "--jobs", str(jobs)]
    words += ["--setup", options.setup] if options.setup else []
    words += [
        word for word, given in (("--quick", options.quick), ("--full", options.full), ("--known", known)) if given
    ]
    report = ask(setup, "dataflow.checks.verify", words, text=json.dumps(known) if known else "")
    problems += [_problem(finding) for finding in report["findings"]]
    return Checked("LH5 files", report["files"], report["bytes"], time.monotonic() - begin)


def ask(setup: Setup, module: str, words: list[str], text: str = "") -> Any:
    """The JSON document that a module of the dataflow prints when it is run with the software of the cycle.

    Raises
    ------
    WorkFailed
        If there is no software, or the module fails.
    """
    python = setup.path("install") / "bin" / "python"
    if not os.path.lexists(python):
        raise WorkFailed(
            f"no software is installed in {setup.path('install')}", hint=f"run dataprod-install-sw {setup.file}"
        )
    first = ["env", f"PYTHONPATH={setup.source}"] if setup.source else []
    argv, environ = wrap(setup, [*first, str(python), "-P", "-m", module, *words], os.environ)
    try:
        done = subprocess.run(
            argv, env=environ, cwd=setup.directory, input=text, capture_output=True, text=True, errors="replace"
        )
        return json.loads(done.stdout)
    except OSError as error:
        raise WorkFailed(f"cannot run {argv[0]}: {error.strerror}") from None
    except ValueError:
        lines = "\n  ".join(done.stderr.strip().splitlines()[-10:])
        raise WorkFailed(f"{module} failed (exit code {done.returncode})\n  {lines}") from None


def _print(cycle: CycleFolder, done: list[Checked], problems: list[Problem], contents: Contents) -> None:
    if done:
        print_table(("checked", "files", "size", "speed"), _lines(done), right="files size speed")
    if not contents.setup.ours:
        print("contents of files are not checked: the dataflow is not that of this production environment")
    detectors = contents.detectors
    for line in detectors["lines"]:
        print(line)
    if problems:
        for fix in sorted({problem.fix for problem in problems}):
            print("\n".join(f"{each.file}: {each.problem}" for each in problems if each.fix == fix))
            print(f"  → {fix}")
        print(f"{cycle.name}: {len(problems)} problem{'s' if len(problems) > 1 else ''}")
    else:
        well = f"the files are sound, but {detectors['counted']}" if detectors["counted"] else "all is well"
        print(
            f"{cycle.name}: {well}"
            + ("" if cycle.frozen else "; it is not frozen, so there is no manifest to compare with")
        )


def _lines(done: list[Checked]) -> Iterator[tuple[object, ...]]:
    for check in done:
        yield check.what, check.files, size_text(check.bytes), f"{size_text(check.bytes / max(check.seconds, 1e-3))}/s"
