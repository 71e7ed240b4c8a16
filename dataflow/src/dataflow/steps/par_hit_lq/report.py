"""What the parameter file says of late charge; names and form are those of the published flow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dataflow.steps.par_hit_aoe.result import Survival

from .result import PeakFit, Result
from .settings import ParameterSet, Settings

PERCENT = 100.0


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
    operations: dict[str, Any] = {}
    reports, warnings = {}, []
    for label, result in found.items():
        one = settings.sets[label]
        operations |= operations_of(result, one)
        reports[label] = report(result, one, settings.cal_energy_param, timestamp)
        warnings += [f"{label}: {text}" if label else text for text in result.warnings]
    content = {"pars": {"operations": operations}, "results": {"lq": reports if settings.params else reports[""]}}
    return content | ({"warnings": warnings} if warnings else {})


def failed_entry(reason: str) -> dict[str, Any]:
    """What the parameter file says of a detector with energies whose late charge cannot be calibrated."""
    return {"results": {"lq": {}, "lq_failed": reason}, "warnings": [f"late charge is not calibrated: {reason}"]}


def left_out_entry(reason: str) -> dict[str, Any]:
    """What the parameter file says of a detector that shall have no late charge: nothing is wrong with it."""
    return {"results": {"lq": {}, "lq_left_out": reason}}


def operations_of(result: Result, one: ParameterSet) -> dict[str, Any]:
    """The expressions that hit evaluates, in order."""
    named = one.named
    corrected = f"{named('LQ_Timecorr')} - {one.dt_param}*a - b"
    return {
        named("LQ_Ecorr"): _operation(f"{one.lq_param}/{one.energy_param}"),
        named("LQ_Timecorr"): _operation(f"{named('LQ_Ecorr')}/a", a=result.before.mean),
        named("LQ_Corrected"): _operation(corrected, a=result.line.slope, b=result.line.offset),
        named("LQ_Classifier"): _operation(f"({named('LQ_Corrected')} / a)", a=result.after.sigma),
        named("LQ_Cut"): _operation(f"({named('LQ_Classifier')} < a)", a=result.cut),
    }


def _operation(expression: str, **parameters: float) -> dict[str, Any]:
    return {"expression": expression, "parameters": parameters}


def report(result: Result, one: ParameterSet, energy: str, timestamp: str) -> dict[str, Any]:
    """The results of one classifier."""
    line = result.line
    return {
        "cal_energy_param": energy,
        "lq_param": one.lq_param,
        "dt_param": one.dt_param,
        "DEP_means": {timestamp: _peak(result.before) | _resolution(result.before)},
        "rt_correction": {
            "slope": line.slope, "slope_err": line.slope_error, "offset": line.offset, "offset_err": line.offset_error,
        },
        "cut_fit_pars": _peak(result.after)
        | {
            "n_sig": result.after.events, "n_sig_err": result.after.events_error,
            "chi_square": [result.after.chi2, result.after.ndf], "p_value": result.after.p_value,
        },
        "cut_value": result.cut,
        "sfs": {energy_: survival(each) for energy_, each in result.survival.items()},
        "aoe_lq_sfs": {energy_: survival(each) for energy_, each in result.with_aoe.items()},
    }  # fmt: skip


def _peak(fit: PeakFit) -> dict[str, Any]:
    return {"mean": fit.mean, "mean_err": fit.mean_error, "sigma": fit.sigma, "sigma_err": fit.sigma_error}


def _resolution(fit: PeakFit) -> dict[str, float]:
    relative = fit.sigma / fit.mean
    error = relative * math.hypot(fit.sigma_error / fit.sigma, fit.mean_error / fit.mean)
    return {"res": relative, "res_err": error}


def survival(one: Survival) -> dict[str, float | None]:
    """In percent; null where there is nothing to count, with a warning."""
    there = math.isfinite(one.fraction)
    return {
        "sf": PERCENT * one.fraction if there else None,
        "sf_err": PERCENT * one.error if there else None,
        "counts": one.counts,
        "counts_err": one.counts_error,
    }
