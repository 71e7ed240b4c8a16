"""Checking one LH5 file: that its structure is what it says, that its data can be read, how many rows its tables have.

The structure is that of the LEGEND data format: every group and dataset has an attribute ``datatype``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions that raw files use
import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.stamp import ATTRIBUTE

BLOCK = 1 << 24
"""Bytes that are read at a time."""
_MEMBERS = re.compile(r"(?:struct|table)\{(.*)\}")
_VECTORS = re.compile(r"array<1>\{(array<1>|encoded_array|\{).*")
_TIMES = "timestamp"
CHANNEL = "ch"
"""How tables of channels begin that have names of detectors, too; their numbers are compared with a tcm's."""


@dataclass
class FileCheck:
    """What was found in a file.

    Attributes
    ----------
    size
        Bytes on disk.
    readable
        Whether it could be read to its end.
    problems
        Sentences without the name of the file.
    rows
        Number of rows by table; of vectors, the number of vectors.
    entries
        For tables of a tcm: how many hits of each ``table_key`` there are.
    times
        The column ``timestamp`` of tables of channels.
    lineage
        The lineage that the file carries; empty if it has none.
    """

    size: int = 0
    readable: bool = False
    problems: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    entries: dict[str, dict[int, int]] = field(default_factory=dict)
    times: dict[str, NDArray[Any]] = field(default_factory=dict)
    lineage: str = ""
    seen: set[int] = field(default_factory=set)
    """Addresses of the groups that were looked at: names of detectors are second links to the tables of channels."""


def check_file(path: Path, tier: str, *, quick: bool = False) -> FileCheck:
    """Open a file, compare its structure with what it says of itself, and read all of it unless `quick`."""
    check = FileCheck()
    try:
        check.size = path.stat().st_size
        with h5py.File(path, "r") as file:
            check.lineage = str(file.attrs.get(ATTRIBUTE, ""))
            _structure(file, "", check)
            if not quick:
                _read_all(file, check)
            if tier == "tcm":
                _coincidences(file, check)
            elif tier in ("raw", "dsp", "psp", "hit", "pht"):
                check.times = {name: file[f"{name}/{_TIMES}"][:] for name in check.rows if _has(file, name, _TIMES)}
        check.readable = True
    except (OSError, RuntimeError, KeyError, ValueError, AttributeError) as error:
        check.problems.append(f"it cannot be read: {_first_line(error)}")
    return check


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _has(file: h5py.File, table: str, name: str) -> bool:
    return isinstance(file.get(f"{table}/{name}"), h5py.Dataset)


def _structure(node: h5py.Group, name: str, check: FileCheck) -> int | None:
    """Compare a group with its datatype, and those below it; returns its number of rows, if it has any."""
    said = node.attrs.get("datatype")
    if said is None:
        if name:
            check.problems.append(f"{name} has no datatype")
        return _members(node, name, check, table=False)
    said = said.decode() if isinstance(said, bytes) else str(said)
    if said.startswith("array<1>{array<") or "cumulative_length" in node:
        return _vectors(node, name, check)
    match = _MEMBERS.fullmatch(said)
    if match is None:
        return _members(node, name, check, table=False)
    wanted = {member for member in match[1].split(",") if member}
    if wanted != set(node):
        text = ", ".join(sorted(wanted ^ set(node))[:5])
        check.problems.append(f"{name or 'the file'} does not hold what its datatype says: {text}")
    return _members(node, name, check, table=said.startswith("table"))


def _members(node: h5py.Group, name: str, check: FileCheck, *, table: bool) -> int | None:
    rows: dict[str, int] = {}
    for member in sorted(node, key=lambda each: (not each.startswith(CHANNEL), each)):
        child = node[member]
        place = f"{name}/{member}" if name else member
        found = child.shape[0] if isinstance(child, h5py.Dataset) and child.shape else None
        if isinstance(child, h5py.Group) and _is_new(child, check):
            found = _structure(child, place, check)
        if found is not None:
            rows[member] = found
    if not table:
        return None
    if len(set(rows.values())) > 1:
        text = ", ".join(f"{member} {count}" for member, count in sorted(rows.items()))
        check.problems.append(f"the columns of {name} have different lengths: {text[:200]}")
    check.rows[name] = next(iter(rows.values()), 0)
    return check.rows[name]


def _is_new(group: h5py.Group, check: FileCheck) -> bool:
    address = h5py.h5o.get_info(group.id).addr
    new = address not in check.seen
    check.seen.add(address)
    return new


def _vectors(node: h5py.Group, name: str, check: FileCheck) -> int:
    """A column of vectors: their ends must grow up to the length of what they divide."""
    ends = node["cumulative_length"][:].astype("int64")
    inner = node["flattened_data"]
    length = inner.shape[0] if isinstance(inner, h5py.Dataset) else _structure(inner, f"{name}/flattened_data", check)
    last = int(ends[-1]) if len(ends) else 0
    if length is not None and last > length:
        check.problems.append(f"{name} has {length} values, its vectors need {last}")
    if (np.diff(ends) < 0).any():
        check.problems.append(f"the ends of the vectors of {name} are not in order")
    return len(ends)


def _read_all(file: h5py.File, check: FileCheck) -> None:
    """Read every dataset in blocks, which decompresses all of it."""
    for name, dataset in _datasets(file):
        try:
            for block in _blocks(dataset):
                dataset[block]
        except (OSError, RuntimeError) as error:
            check.problems.append(f"{name} cannot be read: {_first_line(error)}")


def _datasets(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    found: list[tuple[str, h5py.Dataset]] = []
    file.visititems(lambda name, node: found.append((name, node)) if isinstance(node, h5py.Dataset) else None)
    return iter(found)


def _blocks(dataset: h5py.Dataset) -> Iterator[Any]:
    if not dataset.shape:
        yield ()
        return
    row = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype="int64")))
    step = max(1, BLOCK // row)
    if dataset.chunks:
        step = max(dataset.chunks[0], step // dataset.chunks[0] * dataset.chunks[0])
    for start in range(0, dataset.shape[0], step):
        yield slice(start, start + step)


def _coincidences(file: h5py.File, check: FileCheck) -> None:
    """Count the hits of each channel in the tables of a tcm."""
    for name in file:
        keys, rows = file.get(f"{name}/table_key/flattened_data"), file.get(f"{name}/row_in_table/flattened_data")
        if keys is None or rows is None:
            check.problems.append(f"{name} is not a time coincidence map")
            continue
        if keys.shape != rows.shape:
            check.problems.append(f"{name} has {keys.shape[0]} keys and {rows.shape[0]} rows")
        values, counts = np.unique(keys[:], return_counts=True)
        check.entries[name] = {int(value): int(count) for value, count in zip(values, counts, strict=True)}


def fit_together(checks: Mapping[str, FileCheck]) -> Iterator[tuple[str, str]]:
    """What does not fit between the tiers of a key: the tier that is wrong, and a sentence."""
    for tier, source in (("dsp", "raw"), ("hit", "dsp"), ("psp", "raw"), ("pht", "psp")):
        if tier in checks and source in checks:
            yield from ((tier, problem) for problem in _same_rows(checks[tier], checks[source], source))
    if "tcm" in checks and "raw" in checks:
        yield from (("tcm", problem) for problem in _same_hits(checks["tcm"], checks["raw"]))
    if "evt" in checks and "tcm" in checks:
        yield from (("evt", problem) for problem in _same_events(checks["evt"], checks["tcm"]))


def _channels(check: FileCheck) -> dict[str, str]:
    """The tables of channels by their channel: ``ch1104000`` of ``ch1104000/raw``, or nothing for ``raw``."""
    return {name.rpartition("/")[0]: name for name in check.rows if name.count("/") <= 1}


def _same_rows(check: FileCheck, source: FileCheck, named: str) -> Iterator[str]:
    ours, theirs = _channels(check), _channels(source)
    for channel, table in ours.items():
        if channel not in theirs:
            yield f"{table} has no counterpart in {named}"
            continue
        have, want = check.rows[table], source.rows[theirs[channel]]
        if have != want:
            yield f"{table} has {have} rows, {named} has {want}"
        elif not _same_times(check.times.get(table), source.times.get(theirs[channel])):
            yield f"the timestamps of {table} are not those of {named}"
    if named != "raw":
        yield from (f"{channel or named} of {named} is missing" for channel in theirs if channel not in ours)


def _same_times(ours: NDArray[Any] | None, theirs: NDArray[Any] | None) -> bool:
    return ours is None or theirs is None or np.array_equal(ours, theirs)


def _same_hits(check: FileCheck, raw: FileCheck) -> Iterator[str]:
    """Every row of raw must be in one event, that of its channel where tables are called after channels."""
    counts: dict[int, int] = {}
    for table in check.entries.values():
        for key, count in table.items():
            counts[key] = counts.get(key, 0) + count
    rows = {name: raw.rows[table] for name, table in _channels(raw).items()}
    numbered = {name: int(digits[-1]) for name in rows if (digits := re.findall(r"\d+", name))}
    if set(counts) <= set(numbered.values()):
        for name, number in numbered.items():
            if number in counts and counts[number] != rows[name]:
                yield f"it has {counts[number]} hits of {name}, raw has {rows[name]} rows"
    elif sum(counts.values()) > sum(rows.values()):
        yield f"it has {sum(counts.values())} hits, raw has {sum(rows.values())} rows"


def _same_events(check: FileCheck, tcm: FileCheck) -> Iterator[str]:
    """The events of one of the coincidence maps."""
    wanted = {tcm.rows[name] for name in tcm.entries if name in tcm.rows}
    for table, rows in check.rows.items():
        if "/" not in table and wanted and rows not in wanted:
            yield f"{table} has {rows} events, tcm has {' or '.join(map(str, sorted(wanted)))}"
