"""What the parameter file says of late charge; names and form are those of the published flow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dataflow.jobs.parfiles import BY_RUN
from dataflow.physics.operations import made
from dataflow.physics.pulseshape.classifier import Classifier, OfSet
from dataflow.physics.pulseshape.survival import in_percent

from .partition import shifted
from .result import PeakFit, Result
from .settings import ParameterSet, Settings
from .step import LQ

LATE_CHARGE = Classifier("lq", "late charge", LQ)


def entry(found: Mapping[str, Result], settings: Settings, timestamp: str) -> dict[str, Any]:
    """What the parameter file says of a detector.

    Parameters
    ----------
    found
        The classifiers by label.
    settings
        How they were made.
    timestamp
        Of the run, by which the mean of the double-escape peak is named.
    """
    sets, energy = settings.sets, settings.cal_energy_param
    return LATE_CHARGE.entry({label: _of_set(each, sets[label], energy, timestamp) for label, each in found.items()})


def entry_of_runs(
    found: Mapping[str, Result],
    settings: Settings,
    peaks: Mapping[str, Mapping[str, PeakFit | str]],
    timestamps: Mapping[str, str],
) -> dict[str, Any]:
    """What the file of a partition says of a detector: results of all runs, and what hit evaluates in each.

    Parameters
    ----------
    found, settings
        As for :func:`entry`.
    peaks
        By label and run, late charge in the double-escape peak, or why it is not known.
    timestamps
        Of the runs, by run.
    """
    sets, energy = settings.sets, settings.cal_energy_param
    made_of = {
        label: OfSet(
            operations_of(each, sets[label]),
            report_of_runs(each, sets[label], energy, peaks[label], timestamps),
            [*each.warnings, *shifted(peaks[label], each.before)],
        )
        for label, each in found.items()
    }
    content = LATE_CHARGE.entry(made_of)
    pars = content.pop("pars")
    return content | {BY_RUN: {run: {"pars": pars} for run in timestamps}}


def report_of_runs(
    result: Result,
    one: ParameterSet,
    energy: str,
    peaks: Mapping[str, PeakFit | str],
    timestamps: Mapping[str, str],
) -> dict[str, Any]:
    """The results of one classifier of a partition: those of all events, and the double-escape peak of each run."""
    means = {timestamps[run]: _peak(fit) | _resolution(fit) for run, fit in peaks.items() if isinstance(fit, PeakFit)}
    reasons = {run: fit for run, fit in peaks.items() if isinstance(fit, str)}
    found = report(result, one, energy, "")
    found |= {"DEP_mean": found["DEP_means"][""], "DEP_means": means}
    return found | ({"DEP_means_left_out": reasons} if reasons else {})


def _of_set(result: Result, one: ParameterSet, energy: str, timestamp: str) -> OfSet:
    return OfSet(operations_of(result, one), report(result, one, energy, timestamp), result.warnings)


def operations_of(result: Result, one: ParameterSet) -> dict[str, Any]:
    """The expressions that hit evaluates, in order."""
    named = one.named
    corrected = f"{named('LQ_Timecorr')} - {one.dt_param}*a - b"
    return {
        named("LQ_Ecorr"): made(f"{one.lq_param}/{one.energy_param}"),
        named("LQ_Timecorr"): made(f"{named('LQ_Ecorr')}/a", a=result.before.mean),
        named("LQ_Corrected"): made(corrected, a=result.line.slope, b=result.line.offset),
        named("LQ_Classifier"): made(f"({named('LQ_Corrected')} / a)", a=result.after.sigma),
        named("LQ_Cut"): made(f"({named('LQ_Classifier')} < a)", a=result.cut),
    }


def report(result: Result, one: ParameterSet, energy: str, timestamp: str) -> dict[str, Any]:
    """The results of one classifier."""
    line = result.line
    return {
        "cal_energy_param": energy,
        "lq_param": one.lq_param,
        "dt_param": one.dt_param,
        "DEP_means": {timestamp: _peak(result.before) | _resolution(result.before)},
        "rt_correction": [line.slope, line.offset],
        "drift_line": {
            "slope": line.slope, "slope_err": line.slope_error, "offset": line.offset, "offset_err": line.offset_error,
        },
        "cut_fit_pars": _peak(result.after)
        | {
            "mu": result.after.mean, "mu_err": result.after.mean_error,
            "n_sig": result.after.events, "n_sig_err": result.after.events_error,
            "chi_square": [result.after.chi2, result.after.ndf], "p_value": result.after.p_value,
        },
        "cut_value": result.cut,
        "sfs": {energy_: in_percent(each) for energy_, each in result.survival.items()},
        "aoe_lq_sfs": {energy_: in_percent(each) for energy_, each in result.with_aoe.items()},
    }  # fmt: skip


def _peak(fit: PeakFit) -> dict[str, Any]:
    return {"mean": fit.mean, "mean_err": fit.mean_error, "sigma": fit.sigma, "sigma_err": fit.sigma_error}


def _resolution(fit: PeakFit) -> dict[str, float]:
    relative = fit.sigma / fit.mean
    error = relative * math.hypot(fit.sigma_error / fit.sigma, fit.mean_error / fit.mean)
    return {"res": relative, "res_err": error}
