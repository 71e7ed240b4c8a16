"""A finished cycle beside the truth: residuals with errors, and the table that a physicist can judge.

Reads parameter files and truth as YAML only, so that it runs wherever PyYAML is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gebox.errors import UserError
from gebox.experiment.build import RECORD

LINES = (583.187, 2614.511)
POSITION_TOLERANCE = 0.1
"""keV: charge trapping and slow pulses shift a fitted peak by this much against its energy."""
WIDTH_TOLERANCE = 0.06
"""Relative: a line's width depends on the filter and on how a tail is treated."""
TAU_TOLERANCE = 0.005
TWO_POLES_TOLERANCE = 0.1
"""Relative: what one decay constant means where there are two."""
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
    folder = _parameter_folder(cycle, tier) / "cal" / period / run
    files = sorted(folder.glob(f"*-par_{tier}.yaml"))
    if not files:
        return None
    content = yaml.safe_load(files[0].read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def _parameter_folder(cycle: Path, tier: str) -> Path:
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
    _, ecal = energy_results(result.hit)
    found = [_tau(result)]
    for line in result.lines:
        found += _line(result, line, line_result(ecal, line))
    return found


def _tau(result: Result) -> Residual:
    """The decay constant in microseconds."""
    pz, true = result.dsp.get("pz") or {}, result.true["tau"] * 1e-3
    value, error = (nanoseconds(pz.get(name)) * 1e-3 for name in ("tau1", "tau1_err"))
    loose = TWO_POLES_TOLERANCE if result.true.get("tau_fraction") else TAU_TOLERANCE
    return _residual(result, "tau", (value, error), (true, loose * true), "us")


def _line(result: Result, line: float, fit: dict[str, Any]) -> list[Residual]:
    """Position, width and counts of a line."""
    name = int(line)
    position = _value(fit, "position_in_kev"), _value(fit, "position_err_in_kev")
    width = _value(fit, "fwhm_in_kev"), _value(fit, "fwhm_err_in_kev")
    counts = _value(fit, "n_sig"), _value(fit, "n_sig_err")
    expected = expected_width(result.true, line)
    number = float(result.true.get("calibration", {}).get(f"line_{name}", {}).get("counts", math.nan))
    return [
        _residual(result, f"position {name}", position, (line, POSITION_TOLERANCE), "keV"),
        _residual(result, f"FWHM {name}", width, (expected, WIDTH_TOLERANCE * expected), "keV"),
        _residual(result, f"counts {name}", counts, (number, COUNT_TOLERANCE * number), ""),
    ]


def _residual(
    result: Result, quantity: str, found: tuple[float, float], true: tuple[float, float], unit: str
) -> Residual:
    """Put value and error beside truth and tolerance."""
    place = (result.period, result.run, result.detector)
    value, error = found
    return Residual(*place, quantity, value, error, *true, unit, result.failure)


def expected_width(true: dict[str, Any], line: float) -> float:
    """FWHM of a line: noise, and the spread of the collected charge among the events that are there."""
    charge = true.get("calibration", {}).get(f"line_{int(line)}", {}).get("charge_fwhm")
    if charge is None:
        return float(true["resolution"][f"fwhm_{int(line)}"])
    return math.hypot(math.sqrt(true["resolution"]["a"]), float(charge))


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
