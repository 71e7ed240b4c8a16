"""The files that a cycle has made, found by one walk; links to folders are not followed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dataflow.plan.config import Setup, read_config
from dataflow.plan.daqforms import foreign_names
from dataflow.plan.inventory import Inventory, scan
from dataflow.plan.paths import Paths, template_pattern
from dataflow.plan.scheme import KeyScheme, scheme_of
from dataflow.plan.steps import STEPS, Step
from prodenv.cycles import CycleFolder


@dataclass(frozen=True)
class Output:
    """One file that a step made.

    Parameters
    ----------
    path
        Where it is, relative to the cycle.
    step
        The step that makes such files.
    kind
        What it is: a tier (``dsp``), or ``par_dsp``, ``plt_hit``, ``par_hit_ecal``.
    fields
        The fields of its key; empty for a file of the whole cycle.
    size
        In bytes; that of the file itself, so a link counts nothing.
    mtime
        When it was written, in seconds of the epoch.
    link
        Whether it is a link to a file of another cycle.
    """

    path: str
    step: str
    kind: str
    fields: Mapping[str, str]
    size: int
    mtime: float
    link: bool

    @property
    def run(self) -> str:
        """The name of its run: the key without its time."""
        return "-".join(value for name, value in self.fields.items() if name != "timestamp")

    @property
    def key(self) -> str:
        """Its key, or its run for a file of a run."""
        return "-".join(self.fields.values())


@dataclass(frozen=True)
class Contents:
    """What there is in a cycle.

    Parameters
    ----------
    setup
        Its configuration.
    scheme
        What its keys look like.
    """

    setup: Setup
    scheme: KeyScheme

    def outputs(self) -> list[Output]:
        """What its steps have made, sorted by path."""
        found = [output for base, forms in self._forms().items() for output in self._below(base, forms)]
        return sorted(found, key=lambda output: output.path)

    def daq(self) -> Inventory:
        """Its DAQ files, and the raw files without one."""
        foreign = foreign_names(self.setup.path("install"))
        return scan(self.setup.path("tier_daq"), self.setup.path("tier_raw"), self.scheme, foreign)

    def _forms(self) -> dict[Path, list[tuple[Step, str, re.Pattern[str]]]]:
        """By folder, the steps whose outputs lie in it, what they are, and their names."""
        paths = Paths(self.setup, self.scheme)
        forms: dict[Path, list[tuple[Step, str, re.Pattern[str]]]] = {}
        for step in (step for step in STEPS if step.tier in self.scheme.tiers):
            for role, template in paths.outputs(step).items():
                folder, kind = folder_of(step, role), kind_of(step, role)
                if paths.inside(folder):
                    pattern = template_pattern(template, self.scheme.fields)
                    forms.setdefault(self.setup.path(folder), []).append((step, kind, pattern))
        return forms

    def _below(self, base: Path, forms: list[tuple[Step, str, re.Pattern[str]]]) -> Iterator[Output]:
        start = len(str(self.setup.directory)) + 1
        for entry in files_below(base):
            name = entry.path[start:]
            for step, kind, pattern in forms:
                match = pattern.fullmatch(name)
                if match:
                    found = match.groupdict()
                    fields = {field: found[field] for field in self.scheme.names if field in found}
                    yield _output(entry, name, step, kind, fields)
                    break


def _output(entry: os.DirEntry[str], name: str, step: Step, kind: str, fields: dict[str, str]) -> Output:
    found, link = entry.stat(follow_symlinks=False), entry.is_symlink()
    return Output(name, step.name, kind, fields, 0 if link else found.st_size, found.st_mtime, link)


def folder_of(step: Step, role: str) -> str:
    """The path of the configuration below which an output of a step lies."""
    if role == "plt":
        return "plt"
    if step.part_of:
        return "tmp_par"
    return f"{'tier' if step.kind == 'tier' else 'par'}_{step.tier}"


def kind_of(step: Step, role: str) -> str:
    """What an output is called in tables and options: ``dsp``, ``par_dsp``, ``plt_dsp``, ``par_dsp_pz``."""
    if role == "plt":
        return f"plt_{step.tier}"
    return step.tier if step.kind == "tier" else step.name


def contents_of(cycle: CycleFolder, experiment: str | None = None) -> Contents:
    """Read the configuration of a cycle."""
    setup = read_config(cycle.config, experiment)
    return Contents(setup, scheme_of(setup.keys, f"{setup.file}: keys"))


def files_below(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """The files and links below a folder, sorted by folder; hidden ones and what links to folders are left out.

    A folder that is itself a link is not entered.
    """
    if not stat.S_ISDIR(_mode(folder)):
        return
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(entry.path)
        elif not entry.is_dir():
            yield entry


def _mode(path: Path | str) -> int:
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return 0
