"""The quality cuts of a detector from arrays: which events count, levels, flags, survival. No files here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.metadata.expressions import parsed
from dataflow.physics.operations import Columns, columns_below, value_of

from .cuts import initial_mask, levels_of, operations_of, quantity_of, verbatim
from .result import Levels, Result, Survival
from .settings import Cut, CutFields, Settings

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Events = tuple[Columns, Mask]
"""Columns of dsp, and which of the events count."""

ENERGY = "trapTmax"
TIME = "timestamp"
SATURATED_LOW = ("n_sat_lo", "t_sat_lo")
"""Columns that are above 0 where a trace reached the lower end of the range: ours, and the published chain's."""
DISCHARGE = "is_discharge"
RECOVERY = 0.01
"""Seconds after a discharge in which a channel recovers."""


@dataclass
class _Found:
    """What has been derived so far."""

    operations: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    levels: dict[str, Levels] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def calibrate(data: Columns, accepted: Mask, noise: Columns, settings: Settings) -> Result:
    """Derive the quality cuts of one detector.

    Parameters
    ----------
    data
        Columns of dsp of the calibration, shape (events,) each.
    accepted
        Which events are no pulser's, no forced triggers, and not shortly after a discharge, shape (events,).
    noise
        Columns of dsp of the run's traces without pulses (``fft``); empty without such data.
    settings
        How.

    Raises
    ------
    WorkFailed
        If no event counts.
    """
    chosen, removed = sample(data, accepted, settings.cal_fields)
    if not chosen.any():
        why = ", ".join(f"{count} {name}" for name, count in removed.items()) or "there are none"
        raise WorkFailed(f"none of {len(accepted)} events can be used: {why}")
    traces = without_pulse(noise, settings.cal_fields)
    found = _Found()
    _from_noise(found, settings, noise, traces, (data, chosen))
    reference = initial_mask(settings.initial_cal_cuts.cut_parameters, data, chosen)
    for name, cut in settings.cal_fields.cut_parameters.items():
        _derive(found, name, cut, data, reference, "cal")
    _without_missing(found, data)
    return _result(found, (data, chosen), (noise, traces), removed)


def sample(data: Columns, accepted: Mask, fields: CutFields) -> tuple[Mask, dict[str, int]]:
    """Events that are pulses and no pulser's, not in the recovery after a discharge; and why others are not."""
    above = data[ENERGY] > fields.threshold if ENERGY in data else np.ones(len(accepted), dtype=bool)
    after = recovering(data, fields) if data else np.zeros(len(accepted), dtype=bool)
    removed = {"masked": ~accepted, "below threshold": accepted & ~above, "recovering": accepted & above & after}
    counts = {name: int(np.count_nonzero(mask)) for name, mask in removed.items()}
    return accepted & above & ~after, {name: count for name, count in counts.items() if count}


def without_pulse(noise: Columns, fields: CutFields) -> Mask:
    """Traces of a noise run that are none of the pulser's, and not in the recovery after a discharge."""
    quiet = ~recovering(noise, fields)
    return quiet & (noise[ENERGY] <= fields.threshold) if ENERGY in noise and fields.threshold else quiet


def recovering(data: Columns, fields: CutFields) -> Mask:
    """Events within 10 ms after a discharge of the same detector, shape (events,).

    The published flow looks for events after the *numbers* of the discharges' rows, taken for times: none is found.
    """
    if TIME not in data:
        return np.zeros(len(next(iter(data.values()), ())), dtype=bool)
    times = np.asarray(data[TIME], dtype=np.float64)
    discharges = np.sort(times[_discharges(data, fields)])
    if len(discharges) == 0:
        return np.zeros(len(times), dtype=bool)
    last = np.searchsorted(discharges, times, side="left") - 1
    since = np.where(last >= 0, times - discharges[np.maximum(last, 0)], np.inf)
    return np.asarray((since > 0) & (since < RECOVERY))


def _discharges(data: Columns, fields: CutFields) -> Mask:
    """Traces that reach the lower end of the range, and what the configuration calls a discharge by an expression."""
    found = np.zeros(len(data[TIME]), dtype=bool)
    for name in SATURATED_LOW:
        found |= data[name] > 0 if name in data else False
    cut = fields.cut_parameters.get(DISCHARGE)
    if cut is not None and cut.expression is not None:
        operations = {DISCHARGE: verbatim(cut)}
        if set(columns_below(DISCHARGE, operations)) <= set(data):
            found |= value_of(DISCHARGE, operations, data).astype(bool)
    return found


def _from_noise(found: _Found, settings: Settings, noise: Columns, traces: Mask, instead: Events) -> None:
    """Cuts of ``fft_fields``, each from what those before it leave; from the calibration where the traces do not do."""
    left = traces.copy()
    for name, cut in settings.fft_fields.cut_parameters.items():
        if name in settings.cal_fields.cut_parameters:
            continue
        if noise and _derive(found, name, cut, noise, left, "fft"):
            left &= value_of(name, found.operations, noise).astype(bool)
        elif not noise or cut.expression is None:
            _derive(found, name, cut, *instead, "cal")


def _derive(found: _Found, name: str, cut: Cut, data: Columns, chosen: Mask, source: str) -> bool:
    """Derive a cut; false, with the reason noted, if it cannot be."""
    found.left_out.pop(name, None)
    if cut.expression is not None:
        found.operations[name] = verbatim(cut)
        return _evaluates(found, name, data)
    try:
        quantity = quantity_of(cut, found.operations, data)
        levels = levels_of(cut, quantity[chosen], source)
    except WorkFailed as error:
        found.left_out[name] = error.message
        return False
    found.levels[name] = levels
    found.operations |= operations_of(name, levels)
    return True


def _evaluates(found: _Found, name: str, data: Columns) -> bool:
    try:
        value_of(name, found.operations, data)
    except WorkFailed as error:
        found.left_out[name] = error.message
        return False
    return True


def _without_missing(found: _Found, data: Columns) -> None:
    """Drop flags that hit could not evaluate: a column, or a cut that they need, is missing."""
    for name in list(found.operations):
        if not _evaluates(found, name, data):
            needs = sorted(each for each in found.left_out if each != name and _uses(found, name, each))
            if needs:
                found.left_out[name] = f"it needs {', '.join(needs)}"
    for name in found.left_out:
        found.operations.pop(name, None)


def _uses(found: _Found, name: str, other: str) -> bool:
    return other in parsed(found.operations[name]["expression"]).names


def _result(found: _Found, cal: Events, fft: Events, removed: Mapping[str, int]) -> Result:
    return Result(
        found.operations,
        found.levels,
        found.left_out,
        _survivals(found, cal),
        _survivals(found, fft),
        int(np.count_nonzero(cal[1])),
        int(np.count_nonzero(fft[1])),
        removed,
        _classifiers(found, cal),
        _classifiers(found, fft),
    )


def _survivals(found: _Found, events: Events) -> dict[str, Survival]:
    flags = (name for name in found.operations if not name.endswith("_classifier"))
    return {name: _survival(found, name, *events) for name in flags if _has(found, name, events[0])}


def _classifiers(found: _Found, events: Events) -> dict[str, Floats]:
    return {name: _classifier(found, name, *events) for name in found.levels if _has(found, name, events[0])}


def _has(found: _Found, name: str, data: Columns) -> bool:
    try:
        value_of(name, found.operations, data)
    except WorkFailed:
        return False
    return bool(data)


def _classifier(found: _Found, name: str, data: Columns, chosen: Mask) -> Floats:
    return np.asarray(value_of(f"{name}_classifier", found.operations, data)[chosen], dtype=np.float64)


def _survival(found: _Found, name: str, data: Columns, chosen: Mask) -> Survival:
    passed = value_of(name, found.operations, data)[chosen].astype(bool)
    return Survival(int(np.count_nonzero(passed)), len(passed))
