"""Runs, selections, statuses, and what is to be ignored."""

from __future__ import annotations

from typing import Any

from gebox.experiment import Experiment
from gebox.experiment.model import Auxiliary, DaqFile, Detector


def statuses(detectors: tuple[Detector, ...], auxiliaries: tuple[Auxiliary, ...]) -> dict[str, Any]:
    """One entry a channel, as the readers of the collaboration's metadata want it."""
    entries = {detector.name: _status(detector) for detector in detectors}
    return entries | {auxiliary.name: {"processable": True, "usability": "on"} for auxiliary in auxiliaries}


def _status(detector: Detector) -> dict[str, Any]:
    entry: dict[str, Any] = {"processable": detector.processable, "usability": detector.usability}
    if not detector.processable:
        entry["reason"] = "high voltage unstable (simulated)"
    kinds = ("low_aoe", "high_aoe", "lq", "ann", "coax_rt")
    absent = {"ann": "missing", "coax_rt": "missing"}
    entry["psd"] = {"status": {kind: absent.get(kind, detector.psd) for kind in kinds}}
    entry["psd"]["is_bb_like"] = "low_aoe & high_aoe" if detector.psd == "valid" else "missing"
    return entry


def run_info(experiment: Experiment) -> dict[str, Any]:
    """Start key and, for physics, live time of every run and datatype."""
    info: dict[str, Any] = {}
    for (period, run), files in experiment.runs().items():
        types: dict[str, Any] = {}
        for file in files:
            entry = types.setdefault(file.datatype, {"start_key": stamp(file)})
            if file.datatype == "phy":
                entry["livetime_in_s"] = entry.get("livetime_in_s", 0) + file.duration
        info.setdefault(period, {})[run] = types
    return info


def stamp(file: DaqFile) -> str:
    """The timestamp of a key."""
    return file.key.rsplit("-", 1)[1]


def run_lists(experiment: Experiment) -> dict[str, Any]:
    """The selection ``valid``: all runs of calibration and physics."""
    found: dict[str, Any] = {}
    for datatype in sorted({file.datatype for file in experiment.files}):
        periods: dict[str, list[str]] = {}
        for period, run in experiment.runs():
            if any(file.datatype == datatype for file in experiment.runs()[period, run]):
                periods.setdefault(period, []).append(run)
        found[datatype] = {period: _spec(runs) for period, runs in periods.items()}
    return {"valid": found}


def _spec(runs: list[str]) -> str:
    """``r000`` or ``r000..r003``; the runs of a simulated period have no gaps."""
    return runs[0] if len(runs) == 1 else f"{runs[0]}..{runs[-1]}"


def groupings(experiment: Experiment, datatype: str) -> dict[str, Any]:
    """One partition a period; in the full experiment the detector whose gain jumps has its own."""
    valid = run_lists(experiment)["valid"].get(datatype, {})
    prefix = f"{datatype}group"
    default = {f"{prefix}{index + 1:03d}a": {period: runs} for index, (period, runs) in enumerate(valid.items())}
    found: dict[str, Any] = {"default": default}
    if datatype == "cal" and experiment.preset == "full":
        found["V01002B"] = {f"{prefix}001a": {"p03": "r000..r001"}, f"{prefix}001b": {"p03": ["r002"]}}
    return found


def ignored(experiment: Experiment) -> dict[str, list[str]]:
    """DAQ files that are not to be used: in the full experiment the last calibration files of two runs."""
    if experiment.preset != "full":
        return {"unprocessable": [], "removed": []}
    last = {run: [f.key for f in files if f.datatype == "cal"][-1] for run, files in experiment.runs().items()}
    return {"unprocessable": [last["p03", "r001"]], "removed": [last["p04", "r002"]]}


def run_override(experiment: Experiment) -> list[dict[str, Any]]:
    """In the full experiment the physics of p04 r001 uses the calibration of p04 r000."""
    if experiment.preset != "full":
        return []
    first = {run: next(f for f in files if f.datatype == "cal") for run, files in experiment.runs().items()}
    start, source = first["p04", "r001"], first["p04", "r000"]
    end = first["p04", "r002"]
    return [
        {"valid_from": stamp(start), "mode": "reset", "category": "all", "apply": [source.key]},
        {"valid_from": stamp(end), "mode": "reset", "category": "all", "apply": [end.key]},
    ]
