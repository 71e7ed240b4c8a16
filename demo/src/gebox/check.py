"""A finished cycle beside the truth: residuals with errors, and the table that a physicist can judge.

Reads parameter files and truth as YAML only, so that it runs wherever PyYAML is.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from gebox.errors import UserError
from gebox.experiment.build import RECORD

LINES = (583.187, 2614.511)
QBB = 2039.061
POSITION_TOLERANCE = 0.1
"""keV: charge trapping and slow pulses shift a fitted peak by this much against its energy."""
WIDTH_TOLERANCE = 0.06
"""Relative: a line's width depends on the filter and on how a tail is treated."""
TAU_TOLERANCE = 0.005
TWO_POLES_TOLERANCE = 0.05
"""Relative, of each of two decay constants."""
ONE_OF_TWO_TOLERANCE = 0.1
"""Relative: what one decay constant means where there are two."""
QBB_TOLERANCE = 0.05
"""Relative, of the width at the end point."""
NOISE_TOLERANCE = 0.05
"""Relative: the flat top differs, and the baseline of each trace is subtracted."""
SURVIVAL_TOLERANCE = 2.0
"""Percent: noise moves events across the cut, and side bands are no flat background."""
LEAST_NOISE_TOLERANCE = 0.01
"""Relative: what a step of the scan changes where the noise falls slowly."""
TRAPPING_TOLERANCE = 0.25
"""Relative: the effective drift time of dsp is not the drift time of the holes."""
COUNT_TOLERANCE = 0.05
"""Relative: hits in a shoulder of the line are signal or background, as the fit likes."""


@dataclass(frozen=True)
class Residual:
    """One quantity of one detector in one run; `found` and `error` are NaN where the cycle says nothing."""

    period: str
    run: str
    detector: str
    quantity: str
    found: float
    error: float
    true: float
    tolerance: float
    unit: str
    reason: str = ""

    @property
    def pull(self) -> float:
        """Deviation over its error, the tolerance included; NaN where there is no error, or nothing to count."""
        allowed = math.hypot(self.error, self.tolerance)
        return (self.found - self.true) / allowed if allowed > 0 else math.nan

    @property
    def measured(self) -> bool:
        """Whether it can be compared with the truth."""
        return math.isfinite(self.pull)


@dataclass(frozen=True)
class Result:
    """The parameters that a cycle has for one detector and run, beside the truth."""

    period: str
    run: str
    detector: str
    true: dict[str, Any]
    dsp: dict[str, Any]
    hit: dict[str, Any]
    lines: tuple[float, ...] = LINES

    @property
    def failure(self) -> str:
        """Why there is no result; empty where there is one."""
        for entry in (self.dsp, self.hit):
            status = entry.get("status")
            if isinstance(status, dict) and status.get("state") == "failed":
                return f"{status.get('step', '')}: {status.get('reason', '')}".strip(": ")
        return "" if self.hit else "not in the parameter file"


ESTIMATORS = ("trapEmax", "trapEftp", "cuspEmax", "zacEmax")
"""Energies in the order of preference: the true noise is that of a trapezoid."""


def check(cycle: Path, *, truth: Path | None = None) -> list[Residual]:
    """Compare every calibrated run of a cycle with the truth.

    Parameters
    ----------
    cycle
        Folder of the production cycle.
    truth
        Folder that ``gebox simulate`` filled; by default the one recorded in the cycle's metadata, or one of the
        usual places.

    Returns
    -------
    residuals
        One a detector, run and quantity, sorted.

    Raises
    ------
    UserError
        When truth or parameter files cannot be found.
    """
    return [residual for result in results(cycle, truth=truth) for residual in residuals(result)]


def results(cycle: Path, *, truth: Path | None = None) -> list[Result]:
    """Parameters and truth of every processable detector in every run that has parameter files."""
    if not cycle.is_dir():
        raise UserError(f"there is no folder {cycle}", hint="name the folder of a production cycle")
    folder = truth_folder(cycle, truth)
    found = []
    for path in sorted(folder.glob("*-truth.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        place = (content["period"], content["run"])
        lines = tuple(content.get("lines", LINES))
        dsp, hit = (_parameters(cycle, tier, *place) for tier in ("dsp", "hit"))
        if dsp is None and hit is None:
            continue
        for name, true in content["detectors"].items():
            if true.get("processable", True):
                found.append(Result(*place, name, true, _entry(dsp, name), _entry(hit, name), lines))
    if not found:
        hint = "run the calibration first: snakemake all-l200-*-*-cal-hit.gen"
        raise UserError(f"{cycle} has no parameter files of the runs in {folder}", hint=hint)
    return found


def _entry(parameters: dict[str, Any] | None, name: str) -> dict[str, Any]:
    entry = (parameters or {}).get(name)
    return entry if isinstance(entry, dict) else {}


def truth_folder(cycle: Path, given: Path | None) -> Path:
    """The folder with the truth: as given, as recorded, or in a usual place."""
    record = cycle / "inputs" / RECORD
    recorded = yaml.safe_load(record.read_text(encoding="utf-8")) if record.is_file() else {}
    places = [given] if given else []
    if not given and isinstance(recorded, dict) and recorded.get("truth"):
        text = str(recorded["truth"]).replace("$_", str(record.parent.resolve()))
        places.append(record.parent / text)
    if not given:
        places += usual_places(cycle)
    for place in places:
        if any(place.glob("*-truth.yaml")):
            return place
    looked = ", ".join(str(place) for place in places)
    raise UserError(f"no truth found (looked in {looked})", hint="say where it is with --truth DIR")


def usual_places(cycle: Path) -> list[Path]:
    """Where the truth of a cycle is if nothing else is said."""
    return [cycle / "generated" / "truth", cycle / "inputs" / "truth", cycle / "truth", cycle.parent / "truth"]


def _parameters(cycle: Path, tier: str, period: str, run: str) -> dict[str, Any] | None:
    """The parameter file of a run, None where there is none."""
    folder = parameter_folder(cycle, tier) / "cal" / period / run
    files = sorted(folder.glob(f"*-par_{tier}.yaml"))
    if not files:
        return None
    content = yaml.safe_load(files[0].read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def parameter_folder(cycle: Path, tier: str) -> Path:
    """As the configuration says, else ``generated/par/{tier}``."""
    return _configured(cycle, {f"par_{tier}": "", "par": tier}) or cycle / "generated" / "par" / tier


def tier_folder(cycle: Path, tier: str) -> Path:
    """As the configuration says, else ``generated/tier/{tier}``."""
    return _configured(cycle, {f"tier_{tier}": "", "tier": tier}) or cycle / "generated" / "tier" / tier


def _configured(cycle: Path, names: Mapping[str, str]) -> Path | None:
    """The first of the paths that the configuration has, with the folder below it."""
    for name in ("config.json", "config.yaml"):
        path = cycle / name
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            content = json.loads(text) if name.endswith("json") else yaml.safe_load(text)
            content = next(iter(content["setups"].values())) if "setups" in content else content
            paths = content.get("paths", {})
            for known, below in names.items():
                if known in paths:
                    return Path(str(paths[known]).replace("$_", str(cycle.resolve()))) / below
    return None


def energy_results(hit: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The preferred calibrated energy and its results; empty where there is none."""
    found = hit.get("results", {}).get("ecal", {}) if isinstance(hit.get("results"), dict) else {}
    for estimator in ESTIMATORS:
        for name in (f"{estimator}_ctc_cal", f"{estimator}_cal"):
            if found.get(name):
                return name, found[name]
    return next(((name, entry) for name, entry in sorted(found.items()) if entry and name.endswith("_cal")), ("", {}))


def line_result(entry: dict[str, Any], energy: float) -> dict[str, Any]:
    """The fit of a line, whose name may be a number or text, rounded or not."""
    for name, fit in (entry.get("pk_fits") or {}).items():
        if abs(float(name) - energy) < 0.5 and isinstance(fit, dict):
            return fit
    return {}


def nanoseconds(value: Any) -> float:  # noqa: ANN401
    """A time such as ``173000.0*ns``, ``173*us`` or a plain number of ns; NaN where there is none."""
    if isinstance(value, (int, float)):
        return float(value)
    match = re.fullmatch(r"\s*([-+0-9.eE]+)\s*\*?\s*(ns|us|ms)?\s*", str(value))
    return float(match[1]) * {"ns": 1.0, "us": 1e3, "ms": 1e6}[match[2] or "ns"] if match else math.nan


def _value(content: dict[str, Any], *names: str) -> float:
    """The first of the names that holds a number, else NaN."""
    for name in names:
        if isinstance(content.get(name), (int, float)):
            return float(content[name])
    return math.nan


def residuals(result: Result) -> list[Residual]:
    """All quantities of one detector and run."""
    name, ecal = energy_results(result.hit)
    result = with_filter(result)
    corrected = bool(trapping_factor(result.hit, name))
    found = _decay(result)
    for line in result.lines:
        found += _line(result, line, line_result(ecal, line), corrected=corrected)
    found += _other_positions(result, ecal)
    found += _end_point(result, ecal, corrected=corrected)
    return [*found, *_noise(result), *_trapping(result, name), *_survival(result)]


def with_filter(result: Result) -> Result:
    """With the true noise behind the trapezoid that the cycle uses, where its rise time is in the parameters."""
    rise = nanoseconds((result.dsp.get("etrap") or {}).get("rise"))
    noise = noise_at(result.true, rise)
    if noise is None:
        return result
    return replace(result, true=result.true | {"resolution": result.true["resolution"] | {"a": noise**2}})


def noise_at(true: dict[str, Any], rise: float) -> float | None:
    """FWHM in keV of the true noise behind a trapezoid with a rise time in ns; None where the truth does not tell."""
    known = sorted(
        (1e3 * float(time), float(width)) for time, width in true["resolution"].get("noise_by_rise", {}).items()
    )
    for (low, first), (high, second) in itertools.pairwise(known):
        if low <= rise <= high:
            part = (rise - low) / (high - low)
            return float(first * (second / first) ** part)
    return None


def _noise(result: Result) -> list[Residual]:
    """The noise that the optimisation found for the trapezoid at its best time, as FWHM in keV.

    And what the true noise is at that time, beside the least that there is at any.
    """
    scan = (result.dsp.get("nopt_pars") or {}).get("etrap") or {}
    true = noise_at(result.true, nanoseconds(scan.get("rise")))
    if true is None or "noise_err" not in scan:
        return []
    factor = 2 * math.sqrt(2 * math.log(2)) * float(result.true["gain"])
    found = factor * _value(scan, "noise"), factor * _value(scan, "noise_err")
    least = min(map(float, result.true["resolution"]["noise_by_rise"].values()))
    return [
        _residual(result, "noise", found, (true, NOISE_TOLERANCE * true), "keV"),
        _residual(result, "least noise", (true, 0.0), (least, LEAST_NOISE_TOLERANCE * least), "keV"),
    ]


def _decay(result: Result) -> list[Residual]:
    """Decay constants in microseconds, and the part of the shorter one in percent."""
    pz, true = result.dsp.get("pz") or {}, result.true
    two = bool(true.get("tau_fraction"))
    loose = (TWO_POLES_TOLERANCE if "tau2" in pz else ONE_OF_TWO_TOLERANCE) if two else TAU_TOLERANCE
    found = [_time(result, "tau", "tau1", true["tau"], loose)]
    if two and "tau2" in pz:
        found.append(_time(result, "tau 2", "tau2", true["tau_second"], TWO_POLES_TOLERANCE))
        fraction, part = (_value(pz, "frac") * 100, _value(pz, "frac_err") * 100), true["tau_fraction"] * 100
        found.append(_residual(result, "tau fraction", fraction, (part, TWO_POLES_TOLERANCE * part), "%"))
    return found


def _time(result: Result, quantity: str, name: str, true: float, tolerance: float) -> Residual:
    pz = result.dsp.get("pz") or {}
    value, error = (nanoseconds(pz.get(each)) * 1e-3 for each in (name, f"{name}_err"))
    return _residual(result, quantity, (value, error), (true * 1e-3, tolerance * true * 1e-3), "us")


def trapping_factor(hit: dict[str, Any], name: str) -> float:
    """The correction for charge trapping that a calibrated energy has, per ns; 0 for none."""
    pars = hit.get("pars") if isinstance(hit.get("pars"), dict) else {}
    operations = pars.get("operations") if isinstance(pars, dict) else {}
    operation = (operations or {}).get(name.removesuffix("_cal")) or {}
    return float((operation.get("parameters") or {}).get("a", 0.0))


def _end_point(result: Result, ecal: dict[str, Any], *, corrected: bool) -> list[Residual]:
    """The width at 2039 keV by the curve, where the noise of the estimator is known: that of a trapezoid."""
    curve = ecal.get("eres_linear") or {}
    true = expected_at(result.true, QBB, corrected=corrected)
    if "Qbb_fwhm_in_kev" not in curve or true is None:
        return []
    width = _value(curve, "Qbb_fwhm_in_kev"), _value(curve, "Qbb_fwhm_err_in_kev")
    return [_residual(result, "FWHM 2039", width, (true, QBB_TOLERANCE * true), "keV")]


def _trapping(result: Result, name: str) -> list[Residual]:
    """The correction for charge trapping in percent per microsecond, where it has an error."""
    estimator = name.removesuffix("_cal").removesuffix("_ctc")
    found = ((result.dsp.get("eopt") or {}).get("ctc") or {}).get(estimator) or {}
    if "a_err" not in found:
        return []
    value, true = tuple(1e5 * _value(found, each) for each in ("a", "a_err")), 100 * float(result.true["trapping"])
    return [_residual(result, "trapping", (value[0], value[1]), (true, TRAPPING_TOLERANCE * true), "%/us")]


def _survival(result: Result) -> list[Residual]:
    """What the low cut of A/E leaves, in percent, beside a cut on the true A/E."""
    known = (result.true.get("calibration") or {}).get("survival") or {}
    found = first_set(result.hit).get("low_side_sfs") or {}
    made = []
    for energy, true in known.items():
        one = next((each for name, each in found.items() if abs(float(name) - float(energy)) < 0.5), None)
        if one is not None and isinstance(one.get("sf"), (int, float)):
            loose = math.hypot(float(true["sf_err"]), SURVIVAL_TOLERANCE)
            value = float(one["sf"]), _value(one, "sf_err")
            made.append(_residual(result, f"A/E survival {int(float(energy))}", value, (float(true["sf"]), loose), "%"))
    return made


def first_set(hit: dict[str, Any]) -> dict[str, Any]:
    """The results of the first classifier of A/E; empty where there is none."""
    aoe = hit.get("results", {}).get("aoe") if isinstance(hit.get("results"), dict) else None
    if not isinstance(aoe, dict):
        return {}
    return aoe if "low_side_sfs" in aoe else next((each for each in aoe.values() if isinstance(each, dict)), {})


def _line(result: Result, line: float, fit: dict[str, Any], *, corrected: bool) -> list[Residual]:
    """Position, width and counts of a line."""
    name = int(line)
    position = _value(fit, "position_in_kev"), _value(fit, "position_err_in_kev")
    width = _value(fit, "fwhm_in_kev"), _value(fit, "fwhm_err_in_kev")
    counts = _value(fit, "n_sig"), _value(fit, "n_sig_err")
    expected = expected_width(result.true, line, corrected=corrected)
    number = float(result.true.get("calibration", {}).get(f"line_{name}", {}).get("counts", math.nan))
    return [
        _residual(result, f"position {name}", position, (line, POSITION_TOLERANCE), "keV"),
        _residual(result, f"FWHM {name}", width, (expected, WIDTH_TOLERANCE * expected), "keV"),
        _residual(result, f"counts {name}", counts, (number, COUNT_TOLERANCE * number), ""),
    ]


def _other_positions(result: Result, ecal: dict[str, Any]) -> list[Residual]:
    """Where the other lines came out that were fitted, with few counts or not: each at its energy."""
    made = []
    for name, fit in (ecal.get("pk_fits") or {}).items():
        line = float(name)
        position = _value(fit, "position_in_kev"), _value(fit, "position_err_in_kev")
        if all(abs(line - other) > 0.5 for other in result.lines) and math.isfinite(position[0]):
            made.append(_residual(result, f"position {int(line)}", position, (line, POSITION_TOLERANCE), "keV"))
    return made


def _residual(
    result: Result, quantity: str, found: tuple[float, float], true: tuple[float, float], unit: str
) -> Residual:
    """Put value and error beside truth and tolerance."""
    place = (result.period, result.run, result.detector)
    value, error = found
    return Residual(*place, quantity, value, error, *true, unit, result.failure)


def expected_width(true: dict[str, Any], line: float, *, corrected: bool = False) -> float:
    """FWHM of a line: noise, and the spread of the collected charge among the events that are there.

    Of `corrected` energies, what charge trapping makes of the charge in proportion to the drift time does not count.
    """
    known = true.get("calibration", {}).get(f"line_{int(line)}", {})
    charge = known.get("charge_fwhm_corrected" if corrected else "charge_fwhm", known.get("charge_fwhm"))
    if charge is None:
        return float(true["resolution"][f"fwhm_{int(line)}"])
    return math.hypot(math.sqrt(true["resolution"]["a"]), float(charge))


def expected_at(true: dict[str, Any], energy: float, *, corrected: bool = False) -> float | None:
    """FWHM at an energy without a line: noise, Fano, and charge trapping in proportion to the energy.

    The latter is what the highest line that is compared shows beyond noise and Fano; None without such a line.
    """
    a, b = true["resolution"]["a"], true["resolution"]["b"]
    lines = [int(name.removeprefix("line_")) for name in true.get("calibration", {}) if name.startswith("line_")]
    if not lines:
        return None
    highest = max(lines)
    trapping = expected_width(true, highest, corrected=corrected) ** 2 - a - b * highest
    return math.sqrt(a + b * energy + max(trapping, 0.0) * (energy / highest) ** 2)


def counts(found: list[Result]) -> dict[tuple[str, str, str], int]:
    """Calibration traces of each detector, as far as the truth counted them."""
    return {
        (result.period, result.run, result.detector): int(result.true["calibration"]["traces"])
        for result in found
        if result.true.get("calibration")
    }


def unmeasured(found: list[Residual]) -> list[Residual]:
    """Those that cannot be compared with the truth, of detectors with a result."""
    return [residual for residual in found if not residual.measured and not residual.reason]


def beyond(found: list[Residual], limit: float) -> list[Residual]:
    """Those beyond the limit, and one for every detector without result."""
    bad = [residual for residual in found if abs(residual.pull) > limit]
    return bad + [r for r in found if r.reason and r.quantity == "tau"]
