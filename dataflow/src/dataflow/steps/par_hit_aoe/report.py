"""What the parameter file says of A/E; names and form are those of the published flow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dataflow.jobs.parfiles import BY_RUN
from dataflow.physics.curves import Curve
from dataflow.physics.goodness import p_value
from dataflow.physics.operations import made
from dataflow.physics.pulseshape.classifier import Classifier, OfSet
from dataflow.physics.pulseshape.survival import Survival, in_percent

from .result import BandFit, Result
from .settings import ParameterSet, Settings
from .step import LOW_AOE

AOE = Classifier("aoe", "A/E", LOW_AOE)


def entry(found: Mapping[str, Result], settings: Settings, timestamp: str) -> dict[str, Any]:
    """What the parameter file says of a detector.

    Parameters
    ----------
    found
        The classifiers by label.
    settings
        How they were made.
    timestamp
        Of the run, by which the fit of 1000 to 1300 keV is named.
    """
    sets, energy = settings.sets, settings.cal_energy_param
    return AOE.entry({label: _of_set(each, sets[label], energy, timestamp) for label, each in found.items()})


def entry_of_runs(found: Mapping[str, Result], settings: Settings, timestamps: Mapping[str, str]) -> dict[str, Any]:
    """What the file of a partition says of a detector: results of all runs, and what hit evaluates in each.

    Parameters
    ----------
    found, settings
        As for :func:`entry`.
    timestamps
        Of the runs, by run.
    """
    sets, energy = settings.sets, settings.cal_energy_param
    reports = {label: report_of_runs(each, sets[label], energy, timestamps) for label, each in found.items()}
    content = AOE.entry({label: OfSet({}, reports[label], each.warnings) for label, each in found.items()})
    operations = {
        run: {
            name: operation
            for label, each in found.items()
            for name, operation in operations_of(each, sets[label], energy, each.runs[run].scale).items()
        }
        for run in timestamps
    }
    content[BY_RUN] = {run: {"pars": {"operations": made_of}} for run, made_of in operations.items()}
    return content


def report_of_runs(result: Result, one: ParameterSet, energy: str, timestamps: Mapping[str, str]) -> dict[str, Any]:
    """The results of one classifier of a partition: those of all events, and of the runs."""
    times = {timestamps[run]: each.time for run, each in result.runs.items()}
    fits = {timestamp: _reference(time) for timestamp, time in times.items() if isinstance(time, BandFit)}
    sides = {
        "low_side_sfs_by_run": {run: each.low_side for run, each in result.runs.items()},
        "2_side_sfs_by_run": {run: each.two_sided for run, each in result.runs.items()},
    }
    by_run = {name: {run: _fractions(each) for run, each in of_runs.items()} for name, of_runs in sides.items()}
    return report(result, one, energy, "") | {"1000-1300keV": fits} | by_run


def _of_set(result: Result, one: ParameterSet, energy: str, timestamp: str) -> OfSet:
    return OfSet(operations_of(result, one, energy), report(result, one, energy, timestamp), result.warnings)


def operations_of(result: Result, one: ParameterSet, energy: str, scale: float = 1.0) -> dict[str, Any]:
    """The expressions that hit evaluates, in order; `scale` is that of A/E in a run of a partition."""
    named = one.named
    found: dict[str, Any] = {
        named("AoE_Uncorr"): made(f"{one.current_param}/{one.energy_param}"),
        named("AoE_Timecorr"): made(f"{named('AoE_Uncorr')}/a", a=result.time.mean * scale),
    }
    last = named("AoE_Timecorr")
    if result.alpha is not None:
        last = named("AoE_DTcorr")
        found[last] = made(f"{named('AoE_Timecorr')}*(1+a*{one.dt_param})", a=result.alpha)
    sigma = re.sub(r"\bx\b", energy, result.sigma.expression)
    corrected, classifier = named("AoE_Corrected"), named("AoE_Classifier")
    low, high = named("AoE_Low_Cut"), named("AoE_High_Side_Cut")
    return found | {
        corrected: made(f"{last}/({energy}*a+b)", **result.mean.parameters),
        classifier: made(f"({corrected}-1)/{sigma}", **result.sigma.parameters),
        low: made(f"{classifier}>a", a=result.cut),
        high: made(f"a>{classifier}", a=result.high),
        named("AoE_Double_Sided_Cut"): made(f"{low}&{high}"),
    }


def report(result: Result, one: ParameterSet, energy: str, timestamp: str) -> dict[str, Any]:
    """The results of one classifier."""
    return {
        "cal_energy_param": energy,
        "current_param": one.current_param,
        "dt_param": one.dt_param,
        "rt_correction": result.alpha is not None,
        "dt_correction": {"alpha": result.alpha, "alpha_err": result.alpha_error},
        "1000-1300keV": {timestamp: _reference(result.time)},
        "stability": _stability(result),
        "correction_fit_results": {
            "n_of_valid_fits": len(result.bands),
            "mean_fits": _curve("Pol1", result.mean),
            "SigmaFits": _curve("SigmaFit", result.sigma),
            "bands": [_band(band) for band in result.bands],
            "bands_left_out": {f"{none.low:g}-{none.high:g}": none.reason for none in result.left_out},
        },
        "low_cut": result.cut,
        "low_cut_err": result.cut_error,
        "high_cut": result.high,
        "low_side_sfs": _fractions(result.low_side),
        "2_side_sfs": _fractions(result.two_sided),
    }


def _fractions(found: Mapping[float, Survival]) -> dict[float, Any]:
    return {energy: in_percent(each) for energy, each in found.items()}


def _reference(fit: BandFit) -> dict[str, Any]:
    relative = fit.sigma / fit.mean
    error = relative * ((fit.sigma_error / fit.sigma) ** 2 + (fit.mean_error / fit.mean) ** 2) ** 0.5
    return {
        "mean": fit.mean, "mean_err": fit.mean_error, "sigma": fit.sigma, "sigma_err": fit.sigma_error,
        "res": relative, "res_err": error,
    }  # fmt: skip


def _stability(result: Result) -> dict[str, Any]:
    """A/E along the run, relative to that of the whole run."""
    chi2, ndf = result.stability
    slices = [{"time": each.time, "mean": each.mean, "mean_err": each.mean_error} for each in result.slices]
    return {"slices": slices, "csqr": [chi2, ndf], "p_val": p_value(chi2, ndf)}


def _curve(function: str, curve: Curve) -> dict[str, Any]:
    return {
        "func": function,
        "expression": curve.expression,
        "pars": curve.parameters,
        "errs": curve.errors,
        "cov": curve.covariance,
        "csqr": [curve.chi2, curve.ndf],
        "p_val": curve.p_value,
    }


def _band(band: BandFit) -> dict[str, float]:
    return {
        "low": band.low, "high": band.high, "energy": band.energy, "mean": band.mean, "mean_err": band.mean_error,
        "sigma": band.sigma, "sigma_err": band.sigma_error,
    }  # fmt: skip
