"""Every pulse of the calibrations beside the truth: what quality cuts, the A/E cut and the cut on late charge keep.

What is demanded: of quality cuts that they keep the pulses that the truth calls good and reject what it calls
discharge, burst, negative and pre-trigger; of the labels of a support vector machine, where dsp has some, the same but
for bursts, which are shorter than what it sees; of the low cut of A/E that it keeps nine tenths of the double-escape
peak, and elsewhere what a cut on the true A/E keeps; of late charge that it keeps what is prompt and rejects what is
late.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions that dsp and hit use
import numpy as np
from numpy.typing import NDArray

from gebox.check import tier_folder, truth_folder
from gebox.checkevents import places
from gebox.experiment.build import load
from gebox.experiment.model import Detector
from gebox.summary import CLEAN, DEP, HALF_QBB, LEAST_DEP, QBB, SURVIVAL, survival
from gebox.truth import TABLE, Kind

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

QUALITY, LOW_CUT, LATE_CUT = "is_valid_0vbb", "AoE_Low_Cut", "LQ_Cut"
LABEL, LABELLED, NORMAL = "svm_label", "svm", 0
"""Column of dsp, the name of its cut here, and the label of good pulses."""
COLUMNS = ("kind", "energy", "charge", "current", "late", "second_charge", "second_start")
CLOCK = 2e-6
"""Seconds by which two times of the same event may differ."""
GOOD_KEPT, BAD_KEPT = 0.99, 0.01
DEP_KEPT = (0.88, 0.92)
"""What the low cut of A/E is to keep of the double-escape peak."""
SURVIVAL_TOLERANCE = 0.02
"""Noise moves events across the cut."""
PROMPT, LATE = 2.0, 20.0
"""True late charge beyond the median of the double-escape peak, in units of its spread there: what is prompt is less
than the first, what is late more than the second. In between the noise decides, whose width is four of these units."""
HIGH = 1500.0
"""keV from which the noise of late charge is that of the double-escape peak or less."""
VISIBLE = 100.0
"""keV that an earlier pulse must have left where the trace begins, to be seen."""
WORST_DETECTOR, ALL_DETECTORS = 5.0, 3.0
"""Standard deviations beyond what is demanded that are too many: of one detector in one run, and of all together."""


@dataclass(frozen=True)
class Demand:
    """How many pulses of a class a cut has kept, and which share of them it is to keep; NaN where nothing is demanded.

    `error` is that of the demanded share, where it is no number by definition.
    """

    cut: str
    pulses: str
    kept: int
    total: int
    least: float = math.nan
    most: float = math.nan
    error: float = 0.0

    @property
    def share(self) -> float:
        """The part that was kept."""
        return self.kept / self.total if self.total else math.nan

    @property
    def excess(self) -> float:
        """Standard deviations by which the share is beyond what is demanded; 0 within, or where nothing is demanded."""
        below, above = self.least - self.share, self.share - self.most
        beyond = max((each for each in (below, above) if each > 0), default=0.0)
        if not beyond or not self.total:
            return 0.0
        bound = self.least if below > 0 else self.most
        counted = math.sqrt(max(bound * (1 - bound), 1 / self.total) / self.total)
        return beyond / math.hypot(counted, self.error)

    @property
    def words(self) -> str:
        """What is demanded, in words."""
        if math.isnan(self.least) and math.isnan(self.most):
            return ""
        if math.isnan(self.most):
            return f"at least {100 * self.least:.4g} %"
        if math.isnan(self.least):
            return f"at most {100 * self.most:.4g} %"
        half = 100 * math.hypot((self.most - self.least) / 2, self.error)
        return f"{50 * (self.least + self.most):.1f} +- {half:.1f} %"


@dataclass(frozen=True)
class Pulses:
    """The pulses of a detector in the calibrations of a run, with what the truth and hit know; shape (pulses,) each."""

    run: str
    detector: str
    true: Mapping[str, NDArray[Any]]
    flags: Mapping[str, Mask]

    def of_kind(self, *kinds: Kind) -> Mask:
        """Which are of a class."""
        return np.isin(self.true["kind"], kinds)


def compare(cycle: Path, *, truth: Path | None = None) -> dict[tuple[str, str], list[Demand]]:
    """What the cuts keep, by run and detector; detectors and runs without hits are left out.

    Parameters
    ----------
    cycle
        Folder of the production cycle.
    truth
        Folder that ``gebox simulate`` filled; by default where :func:`gebox.check.check` looks.
    """
    folder, detectors = truth_folder(cycle, truth), load(cycle / "inputs").layout.detectors
    parts: dict[tuple[str, str], list[Pulses]] = {}
    for path in sorted(folder.rglob("*-cal-*-truth.lh5")):
        name = path.name.replace("-truth.lh5", "-tier_hit.lh5")
        hits = tier_folder(cycle, "hit") / path.parent.relative_to(folder) / name
        if hits.is_file():
            labels = _labels(tier_folder(cycle, "dsp") / hits.relative_to(tier_folder(cycle, "hit")), detectors)
            with h5py.File(hits) as file, h5py.File(path) as known:
                for one in _of_file("-".join(path.name.split("-")[1:3]), file, known[TABLE], detectors, labels):
                    parts.setdefault((one.run, one.detector), []).append(one)
    return {place: demands(_joined(each)) for place, each in sorted(parts.items())}


def _labels(hits: Path, detectors: Sequence[Detector]) -> dict[str, Floats]:
    """The labels of a support vector machine in the dsp file of a hit file, by detector that has some."""
    path = hits.with_name(hits.name.replace("-tier_hit.lh5", "-tier_dsp.lh5"))
    if not path.is_file():
        return {}
    with h5py.File(path) as file:
        tables = {each.name: file.get(f"ch{each.address.rawid:07d}/dsp") for each in detectors}
        found = {name: table[LABEL][:] for name, table in tables.items() if table is not None and LABEL in table}
    return {name: labels for name, labels in found.items() if np.isfinite(labels).any()}


def _of_file(
    run: str, hits: h5py.File, true: h5py.Group, detectors: Sequence[Detector], labels: Mapping[str, Floats]
) -> Iterable[Pulses]:
    times = true["timestamp"][:]
    event, column, kept = places(true["hit_rawid"], {each.address.rawid: n for n, each in enumerate(detectors)})
    values = {name: true[f"hit_{name}/flattened_data"][:] for name in COLUMNS}
    for number, detector in enumerate(detectors):
        table, mine = hits.get(f"ch{detector.address.rawid:07d}/hit"), column == number
        if table is None or QUALITY not in table or not mine.any():
            continue
        found, known = table["timestamp"][:], times[event[mine]]
        nearest = np.clip(np.searchsorted(known, found - CLOCK), 0, len(known) - 1)
        same = np.abs(known[nearest] - found) <= CLOCK
        flags = {name: table[name][:][same].astype(bool) for name in (QUALITY, LOW_CUT, LATE_CUT) if name in table}
        flags |= {LABELLED: labels[detector.name][same] == NORMAL} if detector.name in labels else {}
        rows = kept[mine][nearest[same]]
        yield Pulses(run, detector.name, {name: each[rows] for name, each in values.items()}, flags)


def _joined(parts: list[Pulses]) -> Pulses:
    """All files of a run; cuts that one of them lacks are left out."""
    names = set.intersection(*(set(each.flags) for each in parts))
    true = {name: np.concatenate([each.true[name] for each in parts]) for name in COLUMNS}
    flags = {name: np.concatenate([each.flags[name] for each in parts]) for name in sorted(names)}
    return Pulses(parts[0].run, parts[0].detector, true, flags)


def demands(one: Pulses) -> list[Demand]:
    """What is demanded of all cuts of a detector in a run."""
    made = list(_quality(one, "quality", one.flags[QUALITY]))
    made += list(_quality(one, LABELLED, one.flags[LABELLED], sees_bursts=False)) if LABELLED in one.flags else []
    escape = one.flags[QUALITY] & one.of_kind(*CLEAN) & (np.abs(one.true["energy"] - DEP) < 0.01)
    if np.count_nonzero(escape) >= LEAST_DEP:
        made += list(_low_cut(one)) if LOW_CUT in one.flags else []
        made += list(_late(one, escape)) if LATE_CUT in one.flags else []
    return made


def _quality(one: Pulses, cut: str, kept: Mask, *, sees_bursts: bool = True) -> Iterable[Demand]:
    """Good pulses by class, and what is none."""
    for kind in (*CLEAN, Kind.SURFACE):
        yield _counted(cut, _name(kind), kept, one.of_kind(kind), least=GOOD_KEPT)
    for kind in (Kind.DISCHARGE, Kind.BURST, Kind.NEGATIVE):
        demanded = {} if kind is Kind.BURST and not sees_bursts else {"most": BAD_KEPT}
        yield _counted(cut, _name(kind), kept, one.of_kind(kind), **demanded)
    early = one.of_kind(Kind.PRE_TRIGGER)
    # decay constants of the simulation are some 300 us: what came long before the trace has no tail in it
    left = one.true["second_charge"] * np.exp(np.minimum(one.true["second_start"], 0.0) / 300e3)
    yield _counted(cut, "pre-trigger, visible", kept, early & (left > VISIBLE), most=BAD_KEPT)
    yield _counted(cut, "pre-trigger, below 100 keV", kept, early & (left <= VISIBLE))
    yield _counted(cut, _name(Kind.PILE_UP), kept, one.of_kind(Kind.PILE_UP))


def _low_cut(one: Pulses) -> Iterable[Demand]:
    good, kept, true = one.flags[QUALITY], one.flags[LOW_CUT], one.true
    known = survival(*(true[name][good] for name in ("kind", "energy", "charge", "current")))
    clean = good & one.of_kind(*CLEAN)
    masks = {line: clean & (np.abs(true["energy"] - line) < 0.01) for line in SURVIVAL}
    masks[QBB] = good & one.of_kind(*CLEAN, Kind.SURFACE) & (np.abs(true["charge"] - QBB) < HALF_QBB)
    for line, mask in masks.items():
        if line == DEP:
            yield _counted("A/E", f"{line:.1f} keV", kept, mask, least=DEP_KEPT[0], most=DEP_KEPT[1])
        elif line in known:
            share, error = known[line]["sf"] / 100, known[line]["sf_err"] / 100
            allowed = {"least": share - SURVIVAL_TOLERANCE, "most": share + SURVIVAL_TOLERANCE}
            yield _counted("A/E", f"{line:.1f} keV", kept, mask, **allowed, error=error)


def _late(one: Pulses, escape: Mask) -> Iterable[Demand]:
    late, kept = one.true["late"], one.flags[LATE_CUT]
    middle = float(np.median(late[escape]))
    beyond = (late - middle) / (1.4826 * float(np.median(np.abs(late[escape] - middle))))
    chosen = one.flags[QUALITY] & one.of_kind(*CLEAN, Kind.SURFACE) & (one.true["energy"] > HIGH)
    yield _counted("late charge", "prompt", kept, chosen & (beyond < PROMPT), least=GOOD_KEPT)
    yield _counted("late charge", "in between", kept, chosen & (beyond >= PROMPT) & (beyond <= LATE))
    yield _counted("late charge", "late", kept, chosen & (beyond > LATE), most=BAD_KEPT)


def _name(kind: Kind) -> str:
    return {Kind.SINGLE: "single-site", Kind.MULTI: "multi-site"}.get(kind, kind.name.lower().replace("_", "-"))


def _counted(cut: str, pulses: str, kept: Mask, chosen: Mask, **demanded: float) -> Demand:
    return Demand(cut, pulses, int(np.count_nonzero(kept & chosen)), int(np.count_nonzero(chosen)), **demanded)


def together(found: Iterable[list[Demand]]) -> list[Demand]:
    """The demands of all detectors and runs as one: sums of counts, and what is demanded weighted by them."""
    groups: dict[tuple[str, str], list[Demand]] = {}
    for each in (demand for one in found for demand in one):
        groups.setdefault((each.cut, each.pulses), []).append(each)
    return [_sum(each) for each in groups.values()]


def _sum(parts: list[Demand]) -> Demand:
    total = sum(each.total for each in parts)

    def weighted(value: Callable[[Demand], float]) -> float:
        return sum(each.total * value(each) for each in parts if each.total) / total if total else math.nan

    error = math.sqrt(sum((each.total * each.error) ** 2 for each in parts)) / max(total, 1)
    least, most = weighted(lambda each: each.least), weighted(lambda each: each.most)
    return Demand(parts[0].cut, parts[0].pulses, sum(each.kept for each in parts), total, least, most, error)


def report(found: Mapping[tuple[str, str], list[Demand]]) -> int:
    """Print what the cuts keep of all detectors and runs, and the detectors with which something is wrong.

    Returns
    -------
    exit code
        0, or 1 where a share is significantly beyond what is demanded.
    """
    if not found:
        return 0
    lines, bad = together(found.values()), 0
    print("\ncuts on the pulses of the calibrations beside the truth (all detectors and runs)")
    for each in lines:
        wrong = each.excess > ALL_DETECTORS
        bad += wrong
        share = f"{100 * each.share:6.2f} %" if each.total else "       -"
        mark = f"  {each.excess:.1f} sigma !" if wrong else ""
        print(f"  {each.cut:12s} {each.pulses:27s} {each.kept:6d} of {each.total:6d}  {share}  {each.words}{mark}")
    for (run, detector), demanded in found.items():
        for each in demanded:
            if each.excess > WORST_DETECTOR:
                bad += 1
                print(
                    f"{detector} in {run.replace('-', ' ')}: the cut on {each.cut} keeps {100 * each.share:.2f} % of "
                    f"{each.pulses} pulses, demanded: {each.words} ({each.excess:.1f} sigma)"
                )
    for cut in sorted({"A/E", "late charge"} - {each.cut for each in lines}):
        print(f"the cut on {cut} is not compared: it is not calibrated, or too few double escapes are there")
    return 1 if bad else 0
