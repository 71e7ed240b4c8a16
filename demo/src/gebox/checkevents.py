"""Every event of a finished cycle beside the truth: its time, its detectors, their energies, the multiplicity.

What cannot be known is not asked. A hit with a defect (pile-up, discharge, burst, wrong sign, a pulse before the
trigger) or beyond the range of its digitiser may have any energy. A hit whose energy lies within the tolerance of the
threshold may be counted or not. A detector without calibration has no energies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from gebox.check import tier_folder, truth_folder
from gebox.errors import UserError
from gebox.experiment.build import RECORD, load
from gebox.experiment.model import Detector
from gebox.truth import TABLE, Kind

THRESHOLD = 25.0
"""keV, from which events count a detector."""
TIME_TOLERANCE = 1e-6
"""Seconds: a clock of 250 MHz, in floating-point numbers of 0.24 us."""
ENERGY_TOLERANCE = (10.0, 0.005)
"""keV, and relative: resolution, trapping and cross-talk (0.2 % of another detector's energy)."""
LATE = 0.1
"""The part of the charge of a surface event that may be missing: it comes so late that the flat top of a filter, which
follows from the drift times of the bulk, misses it."""
CERTAIN = (Kind.SINGLE, Kind.MULTI, Kind.SURFACE, Kind.PULSER, Kind.ALPHA, Kind.MUON, Kind.LIGHT, Kind.FORCED)
"""Hits without a defect."""
CAUSES = ("time", "detectors", "energies", "multiplicity", "pulser")

SHOWN = 3

Matrix = NDArray[Any]


@dataclass(frozen=True)
class Wrong:
    """The first event that differs in some way."""

    key: str
    event: int
    cause: str
    found: str
    true: str

    def __str__(self) -> str:
        return f"event {self.event} of {self.key}: {self.cause}: {self.found}, the truth is {self.true}"


@dataclass
class Comparison:
    """What the comparison of all events gave."""

    events: int = 0
    files: int = 0
    absent: list[str] = field(default_factory=list)
    """Keys of files without events."""
    wrong: int = 0
    """Events that differ in any way."""
    causes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CAUSES, 0))
    lengths: list[str] = field(default_factory=list)
    """Files with another number of events, in words."""
    first: Wrong | None = None

    @property
    def good(self) -> bool:
        """Whether nothing differs."""
        return not self.wrong and not self.lengths


def compare(cycle: Path, *, truth: Path | None = None) -> Comparison:
    """Compare all events of a cycle with the truth.

    Parameters
    ----------
    cycle
        Folder of the production cycle.
    truth
        Folder that ``gebox simulate`` filled; by default where :func:`gebox.check.check` looks.

    Raises
    ------
    UserError
        When the truth cannot be found, or a file is no file of events.
    """
    folder, evt = truth_folder(cycle, truth), tier_folder(cycle, "evt")
    detectors = load(cycle / "inputs").layout.detectors if (cycle / "inputs" / RECORD).is_file() else ()
    found = Comparison()
    for path in sorted(folder.rglob("*-truth.lh5")):
        key = path.name.removesuffix("-truth.lh5")
        events = evt / path.parent.relative_to(folder) / f"{key}-tier_evt.lh5"
        if events.is_file():
            _compare_file(found, key, events, path, detectors)
        else:
            found.absent.append(key)
    return found


def _compare_file(found: Comparison, key: str, events: Path, truth: Path, detectors: tuple[Detector, ...]) -> None:
    with h5py.File(events) as file, h5py.File(truth) as known:
        if "evt" not in file:
            raise UserError(f"{events} has no events", hint="make it again")
        table, true = file["evt"], known[TABLE]
        expected, count = len(true["timestamp"]), len(table["trigger/timestamp"])
        found.files += 1
        if expected != count:
            found.lengths.append(f"{key} has {count} events, the truth {expected}")
            return
        found.events += count
        lost = {part.partition(":")[0].strip() for part in str(table.attrs.get("degraded", "")).split(";")}
        differences = list(_differences(table, true, [d for d in detectors if d.name not in lost]))
    wrong = np.zeros(count, bool)
    for cause, mask, words in differences:
        wrong |= mask
        found.causes[cause] += int(mask.sum())
        if found.first is None and mask.any():
            event = int(np.flatnonzero(mask)[0])
            found.first = Wrong(key, event, cause, *words(event))
    found.wrong += int(wrong.sum())


def _differences(table: h5py.Group, true: h5py.Group, detectors: list[Detector]) -> Iterator[tuple[str, Matrix, Any]]:
    """By cause: in which events it differs, and a function that tells what is found and what is true."""
    times, known = table["trigger/timestamp"][:], true["timestamp"][:]
    yield "time", ~(np.abs(times - known) <= TIME_TOLERANCE), lambda n: (f"{times[n]:.7f} s", f"{known[n]:.7f} s")
    usable = [detector for detector in detectors if detector.processable]
    counted = [d.usability in ("on", "no_psd") for d in usable]
    columns = {detector.address.rawid: place for place, detector in enumerate(usable)}
    hits = _hits(true, columns)
    energy = _energies(table, columns)
    seen, names = np.isfinite(energy), np.array([d.name for d in usable])
    may, must = hits.may & counted, hits.must & counted
    bad = ((seen & ~may) | (must & ~seen)).any(axis=1) | _foreign(table, columns)
    yield "detectors", bad, lambda n: (_named(names, seen[n]), _named(names, must[n], may[n]))
    low, relative = ENERGY_TOLERANCE
    above, below = low + relative * hits.charge, low + np.where(hits.slow, LATE, relative) * hits.charge
    off = seen & hits.certain & ((energy > hits.charge + above) | (energy < hits.charge - below))
    yield (
        "energies",
        np.asarray(off.any(axis=1)),
        lambda n: (_energy(names, energy[n], off[n]), _energy(names, hits.charge[n], off[n])),
    )
    number, least, most = table["geds/multiplicity"][:], hits.must.sum(axis=1), hits.may.sum(axis=1)
    yield "multiplicity", (number < least) | (number > most), lambda n: (f"{number[n]}", _range(least[n], most[n]))
    fired, pulser = table["coincident/puls"][:].astype(bool), true["source"][:] == Kind.PULSER
    yield "pulser", fired != pulser, lambda n: (f"{bool(fired[n])}", f"{bool(pulser[n])}")


@dataclass(frozen=True)
class Hits:
    """True charge by event and detector (keV), and what follows from it; shape (events, detectors)."""

    charge: Matrix
    slow: Matrix
    certain: Matrix
    must: Matrix
    may: Matrix


def _hits(true: h5py.Group, columns: Mapping[int, int]) -> Hits:
    event, column, kept = places(true["hit_rawid"], columns)
    shape = (len(true["timestamp"]), len(columns))
    charge, slow, certain, there = np.zeros(shape), np.zeros(shape, bool), np.ones(shape, bool), (event, column)
    charge[there] = true["hit_charge/flattened_data"][:][kept]
    kind, saturated = (true[f"hit_{name}/flattened_data"][:][kept] for name in ("kind", "saturated"))
    certain[there] = np.isin(kind, CERTAIN) & (saturated == 0)
    slow[there] = kind == Kind.SURFACE
    margin = ENERGY_TOLERANCE[0]
    may = ~certain | (charge > THRESHOLD - margin)
    return Hits(charge, slow, certain, certain & (charge > THRESHOLD + margin), may)


def places(node: h5py.Group, columns: Mapping[int, int]) -> tuple[Matrix, Matrix, Matrix]:
    """Event and column of each entry of a list of raw ids, of those that have a column; and which entries these are."""
    ends, numbers = node["cumulative_length"][:].astype(np.int64), node["flattened_data"][:]
    event = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    column = np.array([columns.get(int(number), -1) for number in numbers], dtype=np.int64)
    kept = np.flatnonzero(column >= 0)
    return event[kept], column[kept], kept


def _energies(table: h5py.Group, columns: Mapping[int, int]) -> Matrix:
    """Energies that the events have, NaN where a detector is not in the event."""
    event, column, kept = places(table["geds/rawid"], columns)
    found = np.full((len(table["trigger/timestamp"]), len(columns)), np.nan)
    found[event, column] = table["geds/energy/flattened_data"][:][kept]
    return found


def _foreign(table: h5py.Group, columns: Mapping[int, int]) -> Matrix:
    """Events with a detector that may not be in them, or with one twice."""
    ends = table["geds/rawid/cumulative_length"][:].astype(np.int64)
    event, column, _ = places(table["geds/rawid"], columns)
    single = np.zeros((len(ends), len(columns)), bool)
    single[event, column] = True
    return np.asarray(single.sum(axis=1) != np.diff(ends, prepend=0))


def _named(names: Matrix, there: Matrix, perhaps: Matrix | None = None) -> str:
    sure = ", ".join(names[there]) or "none"
    open_ = names[perhaps & ~there] if perhaps is not None else names[:0]
    return sure + (f" and perhaps {', '.join(open_)}" if len(open_) else "")


def _energy(names: Matrix, values: Matrix, off: Matrix) -> str:
    return ", ".join(f"{name} {value:.1f} keV" for name, value in zip(names[off], values[off], strict=True))


def _range(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least} to {most}"


def report(found: Comparison) -> int:
    """Say what the comparison gave.

    Returns
    -------
    exit code
        0, or 1 where an event or the number of events of a file differs.
    """
    if not found.files:
        print("no events are there to be compared")
        return 0
    for sentence in found.lengths:
        print(sentence)
    if found.wrong:
        causes = ", ".join(f"{cause} {count}" for cause, count in found.causes.items() if count)
        print(f"{found.wrong} of {found.events} events differ from the truth ({causes})")
        print(f"first: {found.first}")
    else:
        print(f"all {found.events} events of {found.files} files agree with the truth")
    if found.absent:
        more = ", …" if len(found.absent) > SHOWN else ""
        print(f"{len(found.absent)} files have no events yet: {', '.join(found.absent[:SHOWN])}{more}")
    return 0 if found.good else 1
