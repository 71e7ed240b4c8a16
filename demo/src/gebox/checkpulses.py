"""Every pulse of the calibrations beside the truth: what quality cuts, the A/E cut and the cut on late charge keep.

What is demanded: of quality cuts that they keep the pulses that the truth calls good and reject what it calls
discharge, burst, negative and pre-trigger; of the labels of a support vector machine what :mod:`gebox.checklabels`
says; of the low cut of A/E that it keeps nine tenths of the double-escape peak, and elsewhere what a cut on the true
A/E keeps; of late charge that it keeps what is prompt and rejects what is late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions that dsp and hit use
import numpy as np

from gebox import checklabels
from gebox.check import tier_folder, truth_folder
from gebox.checkevents import places
from gebox.demand import Demand, Floats, Mask, Pulses, counted, name_of, together
from gebox.experiment.build import load
from gebox.experiment.model import Detector
from gebox.summary import CLEAN, DEP, HALF_QBB, LEAST_DEP, QBB, SURVIVAL, survival
from gebox.truth import TABLE, Kind

QUALITY, LOW_CUT, LATE_CUT = "is_valid_0vbb", "AoE_Low_Cut", "LQ_Cut"
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


def compare(cycle: Path, *, truth: Path | None = None) -> dict[tuple[str, str], list[Demand]]:
    """What the cuts keep, by run and detector; detectors and runs without hits are left out.

    Parameters
    ----------
    cycle
        Folder of the production cycle.
    truth
        Folder that ``gebox simulate`` filled; by default where :func:`gebox.check.check` looks.
    """
    folder, experiment = truth_folder(cycle, truth), load(cycle / "inputs")
    detectors = experiment.layout.detectors
    parts: dict[tuple[str, str], list[Pulses]] = {}
    for path in sorted(folder.rglob("*-cal-*-truth.lh5")):
        name = path.name.replace("-truth.lh5", "-tier_hit.lh5")
        hits = tier_folder(cycle, "hit") / path.parent.relative_to(folder) / name
        if hits.is_file():
            dsp = tier_folder(cycle, "dsp") / path.parent.relative_to(folder) / name.replace("tier_hit", "tier_dsp")
            labels = checklabels.labels_of(dsp, detectors)
            with h5py.File(hits) as file, h5py.File(path) as known:
                for one in _of_file("-".join(path.name.split("-")[1:3]), file, known[TABLE], detectors, labels):
                    parts.setdefault((one.run, one.detector), []).append(one)
    return {place: demands(_joined(each), trained=experiment.training) for place, each in sorted(parts.items())}


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
        rows = kept[mine][nearest[same]]
        mine_too = labels[detector.name][same] if detector.name in labels else None
        yield Pulses(run, detector.name, {name: each[rows] for name, each in values.items()}, flags, mine_too)


def _joined(parts: list[Pulses]) -> Pulses:
    """All files of a run; cuts that one of them lacks are left out."""
    names = set.intersection(*(set(each.flags) for each in parts))
    true = {name: np.concatenate([each.true[name] for each in parts]) for name in COLUMNS}
    flags = {name: np.concatenate([each.flags[name] for each in parts]) for name in sorted(names)}
    labels = [np.full(len(each.true["kind"]), np.nan) if each.labels is None else each.labels for each in parts]
    some = any(each.labels is not None for each in parts)
    return Pulses(parts[0].run, parts[0].detector, true, flags, np.concatenate(labels) if some else None)


def demands(one: Pulses, *, trained: bool = False) -> list[Demand]:
    """What is demanded of all cuts of a detector in a run, and of labels where a machine is to have been `trained`."""
    made = [*_quality(one, one.flags[QUALITY]), *checklabels.demands(one, trained=trained)]
    escape = one.flags[QUALITY] & one.of_kind(*CLEAN) & (np.abs(one.true["energy"] - DEP) < 0.01)
    if np.count_nonzero(escape) >= LEAST_DEP:
        made += list(_low_cut(one)) if LOW_CUT in one.flags else []
        made += list(_late(one, escape)) if LATE_CUT in one.flags else []
    return made


def _quality(one: Pulses, kept: Mask) -> Iterable[Demand]:
    """Good pulses by class, and what is none."""
    cut = "quality"
    for kind in (*CLEAN, Kind.SURFACE):
        yield counted(cut, name_of(kind), kept, one.of_kind(kind), least=GOOD_KEPT)
    for kind in (Kind.DISCHARGE, Kind.BURST, Kind.NEGATIVE):
        yield counted(cut, name_of(kind), kept, one.of_kind(kind), most=BAD_KEPT)
    early = one.of_kind(Kind.PRE_TRIGGER)
    # decay constants of the simulation are some 300 us: what came long before the trace has no tail in it
    left = one.true["second_charge"] * np.exp(np.minimum(one.true["second_start"], 0.0) / 300e3)
    yield counted(cut, "pre-trigger, visible", kept, early & (left > VISIBLE), most=BAD_KEPT)
    yield counted(cut, "pre-trigger, below 100 keV", kept, early & (left <= VISIBLE))
    yield counted(cut, name_of(Kind.PILE_UP), kept, one.of_kind(Kind.PILE_UP))


def _low_cut(one: Pulses) -> Iterable[Demand]:
    good, kept, true = one.flags[QUALITY], one.flags[LOW_CUT], one.true
    known = survival(*(true[name][good] for name in ("kind", "energy", "charge", "current")))
    clean = good & one.of_kind(*CLEAN)
    masks = {line: clean & (np.abs(true["energy"] - line) < 0.01) for line in SURVIVAL}
    masks[QBB] = good & one.of_kind(*CLEAN, Kind.SURFACE) & (np.abs(true["charge"] - QBB) < HALF_QBB)
    for line, mask in masks.items():
        if line == DEP:
            yield counted("A/E", f"{line:.1f} keV", kept, mask, least=DEP_KEPT[0], most=DEP_KEPT[1])
        elif line in known:
            share, error = known[line]["sf"] / 100, known[line]["sf_err"] / 100
            allowed = {"least": share - SURVIVAL_TOLERANCE, "most": share + SURVIVAL_TOLERANCE}
            yield counted("A/E", f"{line:.1f} keV", kept, mask, **allowed, error=error)


def _late(one: Pulses, escape: Mask) -> Iterable[Demand]:
    late, kept = one.true["late"], one.flags[LATE_CUT]
    middle = float(np.median(late[escape]))
    beyond = (late - middle) / (1.4826 * float(np.median(np.abs(late[escape] - middle))))
    chosen = one.flags[QUALITY] & one.of_kind(*CLEAN, Kind.SURFACE) & (one.true["energy"] > HIGH)
    yield counted("late charge", "prompt", kept, chosen & (beyond < PROMPT), least=GOOD_KEPT)
    yield counted("late charge", "in between", kept, chosen & (beyond >= PROMPT) & (beyond <= LATE))
    yield counted("late charge", "late", kept, chosen & (beyond > LATE), most=BAD_KEPT)


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
