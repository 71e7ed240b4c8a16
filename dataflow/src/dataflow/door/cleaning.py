"""What ``dataprod clean`` takes: the files that fit the options, and what must stay nevertheless."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from dataflow.base.errors import UserError
from dataflow.base.messages import listing, nearest
from dataflow.base.parts import PART
from dataflow.base.textfile import read as read_text_file
from dataflow.plan.cycle import Cycle
from dataflow.plan.troubles import MISSING
from dataflow.provenance.records import FAILED, FOLDER, LENGTH, UNFINISHED, Records

from .contents import Contents, Output, contents_of
from .lineages import key_of

RAW = "tier_raw"
_RECORD = re.compile(rf"(?P<name>.+)\.(?:[0-9a-f]{{{LENGTH}}}(?:\.notes)?|{FAILED}|{UNFINISHED})\.json")
_FAILURE = re.compile(rf"(?P<name>.+)\.{FAILED}\.json")


@dataclass(frozen=True)
class Selection:
    """What the user asks for; a file must fit all of it.

    Parameters
    ----------
    tiers
        Kinds of files; empty for all.
    runs
        Patterns of runs; empty for all.
    stale
        Only files whose recipe is not the wanted one any more.
    failed
        Only files in which detectors failed, and what killed or failed jobs left.
    attic
        Folder that is not looked into, relative to the cycle.
    """

    tiers: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    stale: bool = False
    failed: bool = False
    attic: str = ""


@dataclass(frozen=True)
class Going:
    """A file that goes, with its records (paths relative to the cycle), and whether a step made it."""

    path: str
    kind: str
    run: str
    size: int
    records: tuple[str, ...] = field(default=())
    output: bool = False


def clean(question: Mapping[str, Any]) -> dict[str, Any]:
    """The files that go, and notes about those that stay. Nothing is moved.

    Raises
    ------
    UserError
        If a tier or run is unknown.
    """
    wanted = Selection(
        tuple(question["tiers"]), tuple(question["runs"]), question["stale"], question["failed"], question["attic"]
    )
    going, notes = chosen(contents_of(question), wanted)
    return {"going": [asdict(each) for each in going], "notes": notes}


def chosen(contents: Contents, wanted: Selection) -> tuple[list[Going], list[str]]:
    """The files that go, and notes about those that stay."""
    outputs, root = contents.outputs(), contents.setup.directory
    _check_names(wanted, outputs, contents)
    notes: list[str] = []
    fitting = [output for output in outputs if _named(output, wanted)]
    if wanted.stale:
        fitting = _stale(contents, fitting, notes)
    leftovers = list(_leftovers(root, wanted)) if wanted.failed else []
    if wanted.failed:
        fitting = _failed(root, fitting, notes)
    fitting = _replaceable(fitting, contents, notes)
    fitting = [output for output in fitting if _is_inside(root, output.path, notes)]
    records = _Records(root)
    going = [Going(each.path, each.kind, each.run, each.size, records.of(each.path), output=True) for each in fitting]
    return [*going, *leftovers], notes


def _check_names(wanted: Selection, outputs: Iterable[Output], contents: Contents) -> None:
    kinds = {output.kind for output in outputs} | set(contents.scheme.all_tiers)
    for tier in wanted.tiers:
        if tier == "daq":
            raise UserError("DAQ files cannot be made again, so they are never cleaned")
        if tier not in kinds:
            raise UserError(f"there are no files of {tier!r}", hint=nearest(tier, kinds))
    runs = {output.run: output for output in outputs if output.run}
    for pattern in wanted.runs:
        if not any(fits_run(output, pattern) for output in runs.values()):
            raise UserError(f"there are no files of the run {pattern!r}", hint=f"there are: {listing(runs)}")


def _named(output: Output, wanted: Selection) -> bool:
    tier = not wanted.tiers or output.kind in wanted.tiers
    return tier and (not wanted.runs or any(fits_run(output, pattern) for pattern in wanted.runs))


def fits_run(output: Output, pattern: str) -> bool:
    """Whether the run of a file has the given values next to each other: ``r001``, ``p03-r00*``, ``p03-r001-cal``."""
    words = pattern.split("-")
    values = [value for name, value in output.fields.items() if name != "timestamp"]
    return any(
        all(fnmatchcase(value, word) for value, word in zip(values[start:], words, strict=False))
        for start in range(len(values) - len(words) + 1)
    )


def _stale(contents: Contents, outputs: list[Output], notes: list[str]) -> list[Output]:
    """The outputs that would be made otherwise now; foreign files are none of them."""
    cycle = Cycle(contents.setup)
    stale, unknown = [], 0
    for output in outputs:
        path = contents.setup.directory / output.path
        if cycle.lineages.records.is_foreign(path):
            continue
        key = key_of(cycle, output.fields)
        try:
            lineage = cycle.lineage(output.step, key) if key else None
        except UserError:
            lineage = None
        if lineage is None:
            unknown += 1
        elif cycle.lineages.records.lineage(path) != lineage:
            stale.append(output)
    if unknown:
        notes.append(f"{unknown} files stay: there is no recipe for them now, so whether they are stale is unknown")
    return stale


def _failed(root: Path, outputs: list[Output], notes: list[str]) -> list[Output]:
    """The outputs in which a detector failed, or that are without what failed before them."""
    records = Records()
    found, lacking = [], 0
    for output in outputs:
        channels = records.notes(root / output.path).get("channels", {}).values()
        if any(entry["state"] != MISSING and entry["step"] != RAW for entry in channels):
            found.append(output)
        elif any(entry["state"] == MISSING for entry in channels):
            lacking += 1
        elif _has_failed(root, output):
            found.append(output)
    if lacking:
        notes.append(
            f"{lacking} files stay that lack only detectors which their DAQ files do not have: made again, they would "
            "be the same"
        )
    return found


def _has_failed(root: Path, output: Output) -> bool:
    """Whether a parameter file without notes holds a channel that failed."""
    if not output.path.endswith(".yaml") or not output.step.startswith("par_"):
        return False
    try:
        content = read_text_file(root / output.path).data
    except UserError:
        return True
    return isinstance(content, Mapping) and any(_is_failure(entry) for entry in content.values())


def _is_failure(entry: object) -> bool:
    status = entry.get("status") if isinstance(entry, Mapping) else None
    return isinstance(status, Mapping) and status.get("state") == "failed"


def _leftovers(root: Path, wanted: Selection) -> Iterator[Going]:
    """What killed jobs were writing, and the records of jobs that failed."""
    if wanted.tiers or wanted.runs:
        return
    for path in _hidden(root / "generated", os.fspath(root / wanted.attic) if wanted.attic else ""):
        name = os.path.relpath(path, root)
        folder = os.path.basename(os.path.dirname(path))  # noqa: PTH119, PTH120 - many of them
        if PART.fullmatch(os.path.basename(path)):  # noqa: PTH119
            yield Going(name, "left behind", "", Path(path).lstat().st_size)
        elif folder == FOLDER and _FAILURE.fullmatch(os.path.basename(path)):  # noqa: PTH119
            yield Going(name, "failure", "", Path(path).lstat().st_size)


def _hidden(folder: Path | str, attic: str) -> Iterator[str]:
    """Hidden files, and those in folders of records; links are not followed, and the attic is not entered."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False) and not PART.fullmatch(entry.name):
            if entry.path != attic:
                yield from _hidden(entry.path, attic)
        elif entry.name.startswith(".") or os.fspath(folder).endswith(FOLDER):
            yield entry.path


def _replaceable(outputs: list[Output], contents: Contents, notes: list[str]) -> list[Output]:
    """Without raw files whose DAQ file is not there: nothing could make them again."""
    only = {str(path.relative_to(contents.setup.directory)) for path in _raw_only(contents)}
    kept = [output for output in outputs if output.path in only]
    if kept:
        notes.append(f"{len(kept)} raw files stay: their DAQ files are not there, so they could not be made again")
    return [output for output in outputs if output.path not in only]


def _raw_only(contents: Contents) -> Iterator[Path]:
    for path in contents.daq().raw.values():
        if path.is_relative_to(contents.setup.directory) and not path.is_symlink():
            yield path


def _is_inside(root: Path, name: str, notes: list[str]) -> bool:
    """Whether a file lies in the cycle without the help of links."""
    folder = os.path.dirname(root / name)  # noqa: PTH120
    if Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(root)):
        return True
    note = f"{os.path.relpath(folder, root)} is reached by a link out of the cycle, so its files stay"
    if note not in notes:
        notes.append(note)
    return False


class _Records:
    """The records of outputs; each folder is listed once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[str, dict[str, list[str]]] = {}

    def of(self, name: str) -> tuple[str, ...]:
        """The records of an output, as paths relative to the cycle."""
        folder, _, stem = name.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._listed(folder)
        return tuple(f"{folder}/{FOLDER}/{each}" for each in self._folders[folder].get(stem, ()))

    def _listed(self, folder: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        try:
            names = sorted(os.listdir(self._root / folder / FOLDER))  # noqa: PTH208 - names only, and many of them
        except OSError:
            return found
        for name in names:
            match = _RECORD.fullmatch(name)
            if match:
                found.setdefault(match["name"], []).append(name)
        return found
