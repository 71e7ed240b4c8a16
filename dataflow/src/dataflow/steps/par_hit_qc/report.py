"""What the parameter file says of quality cuts; names and form are those of the published flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .result import Levels, Result

PERCENT = 100.0
NO_EVENTS = "there are no events in this run"


def entry(found: Result) -> dict[str, Any]:
    """What the parameter file says of a detector."""
    results: dict[str, Any] = {"qc": survival(found)}
    results["qc_events"] = {"cal": found.cal_events, "fft": found.fft_events, "removed": dict(found.removed)}
    results["qc_levels"] = {name: _levels(levels) for name, levels in found.levels.items()}
    if found.left_out:
        results["qc_left_out"] = dict(found.left_out)
    content = {"pars": {"operations": dict(found.operations)}, "results": results}
    return content | ({"warnings": found.warnings} if found.warnings else {})


def failed_entry(reason: str) -> dict[str, Any]:
    """What the parameter file says of a detector without quality cuts."""
    return {"results": {"qc": {}, "qc_failed": reason}, "warnings": [f"no quality cuts: {reason}"]}


def absent_entry() -> dict[str, Any]:
    """What the parameter file says of a detector that has no events at all; later steps warn of it."""
    return {"results": {"qc": {}, "qc_failed": NO_EVENTS}}


def survival(found: Result) -> dict[str, dict[str, float]]:
    """In percent, by flag: of the calibration's pulses, and of traces without pulses where there are any."""
    made: dict[str, dict[str, float]] = {}
    for name, one in found.cal.items():
        made[name] = {"sf_cal": PERCENT * one.fraction, "sf_cal_err": PERCENT * one.error}
    for name, one in found.fft.items():
        if one.events:
            made.setdefault(name, {}).update(sf_fft=PERCENT * one.fraction, sf_fft_err=PERCENT * one.error)
    return made


def _levels(levels: Levels) -> Mapping[str, Any]:
    return {
        "quantity": levels.quantity, "mode": levels.mode, "width": levels.width, "low": levels.low,
        "high": levels.high, "source": levels.source,
    }  # fmt: skip
