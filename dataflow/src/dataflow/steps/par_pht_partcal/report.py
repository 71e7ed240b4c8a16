"""What the parameter file says of the energy calibration of a partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dataflow.jobs.notes import Note
from dataflow.jobs.parfiles import BY_RUN
from dataflow.jobs.policy import failure_entry
from dataflow.physics.linefit import LineFit
from dataflow.plan.job import Unit
from dataflow.plan.troubles import FAILED
from dataflow.steps.par_hit_ecal.report import report, with_copies

from .result import DetectorPartition, OfRun, PartitionCalibration
from .settings import PartitionSettings
from .step import STEP

LETTERS = "abcdefghi"
Operations = dict[str, Any]


def entry(
    found: DetectorPartition, settings: PartitionSettings, unit: Unit, of_runs: Mapping[str, Operations]
) -> dict[str, Any]:
    """What the parameter file says of a detector.

    Parameters
    ----------
    found
        What was found.
    settings
        How.
    unit
        The partition.
    of_runs
        By run, the operations of the run's own calibration.

    Returns
    -------
    dict
        What is true of all runs, and under ``by_run`` what hit evaluates in each run.
    """
    about: dict[str, Any] = {"name": unit.group, "runs": [run for run in unit.runs if run not in found.left_out]}
    about |= {"left_out": dict(found.left_out)} if found.left_out else {}
    about |= {"note": found.note} if found.note else {}
    results: dict[str, Any] = {
        "partition": about,
        "partition_ecal": {f"{each.joint.parameter}_cal": _result(each) for each in found.results},
    }
    results |= {"partition_ecal_failed": dict(found.failed)} if found.failed else {}
    used = {run: {"pars": {"operations": operations(found, run, own, settings)}} for run, own in of_runs.items()}
    absent = {run: failure_entry(Note(FAILED, STEP.name, reason)) for run, reason in found.left_out.items()}
    ordered = {run: (used | absent)[run] for run in unit.runs}
    content = {"results": results, BY_RUN: ordered}
    return content | ({"warnings": found.warnings} if found.warnings else {})


def operations(found: DetectorPartition, run: str, own: Operations, settings: PartitionSettings) -> Operations:
    """The expressions that hit evaluates in a run: those of its own calibration, with the curves of the partition."""
    made = dict(own)
    for each in found.results:
        name = each.joint.parameter
        made[f"{name}_cal"] = polynomial_of(name, each.runs[run].parameters)
    return with_copies(made, settings)


def polynomial_of(name: str, coefficients: Sequence[float]) -> dict[str, Any]:
    """The operation that evaluates a polynomial, the constant first: ``a + b * x + c * x**2``."""
    powers = ["", f" * {name}", *(f" * {name}**{power}" for power in range(2, len(coefficients)))]
    letters = LETTERS[: len(coefficients)]
    expression = " + ".join(f"{letter}{power}" for letter, power in zip(letters, powers, strict=True))
    return {"expression": expression, "parameters": dict(zip(letters, coefficients, strict=True))}


def _result(found: PartitionCalibration) -> dict[str, Any]:
    """The results of one estimator: those of all events, and how far each run is from them."""
    return report(found.joint) | {
        "reference_peak": found.peak.line.key,
        "reference_position_in_kev": found.position,
        "runs": {run: _of_run(of_run, found.shift(run)) for run, of_run in found.runs.items()},
    }


def _of_run(of_run: OfRun, shift: tuple[float, float] | None) -> dict[str, Any]:
    about: dict[str, Any] = {"events": of_run.events}
    peak = of_run.peak
    if shift is None or not isinstance(peak, LineFit):
        return about | {"reason": "" if isinstance(peak, LineFit) else peak.reason}
    return about | {
        "position_in_kev": peak.position,
        "position_err_in_kev": peak.position_error,
        "shift_in_kev": shift[0],
        "fwhm_in_kev": peak.fwhm,
        "fwhm_err_in_kev": peak.fwhm_error,
    }
