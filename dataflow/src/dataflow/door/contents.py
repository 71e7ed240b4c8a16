"""The files that a cycle has made, found by one walk; links to folders are not followed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dataflow.keys.daqforms import foreign_names
from dataflow.keys.inventory import Inventory, left_out_note, scan
from dataflow.keys.key import PARTITION, Key
from dataflow.keys.scheme import KeyScheme, scheme_of
from dataflow.plan.cycle import Cycle
from dataflow.plan.paths import Paths, area_of, template_pattern
from dataflow.provenance.identity import LIST
from dataflow.provenance.records import FOLDER, RECIPE, Records, notes_file, record_file
from dataflow.registry.step import DATA, Step
from dataflow.registry.steps import STEPS
from dataflow.setup.config import Setup

from .setups import here, setup_of


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
    link
        Whether it is a link to a file of another cycle.
    """

    path: str
    step: str
    kind: str
    fields: Mapping[str, str]
    size: int
    link: bool

    @property
    def run(self) -> str:
        """The name of its run, or of its partition: the key without its time."""
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
        for step in (step for step in STEPS if step.tier in self.scheme.all_tiers):
            for role, template in paths.outputs(step).items():
                folder, kind = folder_of(step, role), kind_of(step, role)
                if paths.inside(folder):
                    pattern = template_pattern(template, self.scheme.patterns)
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
                    fields = {field: found[field] for field in (*self.scheme.names, PARTITION) if field in found}
                    yield _output(entry, name, step, kind, fields)
                    break


def _output(entry: os.DirEntry[str], name: str, step: Step, kind: str, fields: dict[str, str]) -> Output:
    found, link = entry.stat(follow_symlinks=False), entry.is_symlink()
    return Output(name, step.name, kind, fields, 0 if link else found.st_size, link)


def folder_of(step: Step, role: str) -> str:
    """The path of the configuration below which an output of a step lies."""
    return area_of(step, step.outputs[role])


def kind_of(step: Step, role: str) -> str:
    """What an output is called in tables and options: ``dsp``, ``par_dsp``, ``plt_dsp``, ``par_dsp_pz``.

    What the figures of a step show counts as figures.
    """
    if step.outputs[role].area == "plot" or role == DATA:
        return f"plt_{step.tier}"
    return step.tier if step.kind == "tier" else step.name


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


def contents_of(question: Mapping[str, Any]) -> Contents:
    """What there is in the cycle that a question is about."""
    setup = setup_of(question)
    return Contents(setup, scheme_of(setup.keys, f"{setup.file}: keys"))


def contents(question: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of a cycle, and the numbers of its data files by run, sorted by time.

    With `salvaged`, also the raw files that hold only a part of their DAQ file, by key: where it breaks off.
    """
    found = contents_of(question)
    inventory, outputs = found.daq(), found.outputs()
    return {
        "outputs": [asdict(output) for output in outputs],
        "daq": _runs(inventory.daq),
        "raw": _runs(inventory.raw),
        "runs": _runs({*inventory.daq, *inventory.raw, *Cycle(found.setup).inventory.later}),
        "left_out": list(map(str, inventory.left_out)),
        "left_out_note": left_out_note(inventory, found.setup.path("tier_daq")),
        **({"salvaged": _salvaged(found, outputs)} if question.get("salvaged") else {}),
    }


def _salvaged(found: Contents, outputs: Iterable[Output]) -> dict[str, str]:
    records, told = Records(), {}
    for output in outputs:
        if output.step == "tier_raw":
            record = records.raw(found.setup.directory / output.path) or {}
            if reason := record.get("counts", {}).get("salvaged"):
                told[output.key] = str(reason)
    return told


def _runs(keys: Iterable[Key]) -> dict[str, int]:
    """Numbers of files by run."""
    runs: dict[str, int] = {}
    for key in sorted(keys, key=lambda key: key.order):
        runs[key.series] = runs.get(key.series, 0) + 1
    return runs


def recorded(question: Mapping[str, Any]) -> dict[str, Any]:
    """How the outputs of a cycle were made, as far as there are records.

    Returns
    -------
    dict
        ``outputs``: by path the ``lineage`` (None if it is not clear) and the ``record``, with the ``sha256`` in it if
        `hashes` are asked for. ``parts``: by folder, the files of recipes that its records share. ``identities``: the
        list of what is known of DAQ files. All paths are relative to the cycle.
    """
    found, records = contents_of(question), Records()
    root = found.setup.directory
    outputs: dict[str, dict[str, Any]] = {}
    for output in found.outputs():
        path = root / output.path
        if records.has_record(path):
            outputs[output.path] = _record(records, path, found.setup, hashes=bool(question.get("hashes")))
    folders = sorted({os.path.dirname(name) for name in outputs})  # noqa: PTH120 - names only
    parts = {folder: sorted(path.name for path in (root / folder / FOLDER).glob(f"*{RECIPE}")) for folder in folders}
    return {
        "outputs": outputs,
        "folder": FOLDER,
        "parts": parts,
        "identities": here(found.setup.path("tmp") / LIST, found.setup),
    }


def _record(records: Records, path: Path, setup: Setup, *, hashes: bool) -> dict[str, Any]:
    lineage = records.lineage(path)
    noted = records.noted(path)
    told = {"lineage": lineage, "record": here(record_file(path, lineage), setup) if lineage else ""}
    told["notes"] = here(notes_file(path, noted), setup) if noted else ""
    return told | ({"sha256": (records.raw(path) or {}).get("sha256")} if hashes else {})
