"""What an optimisation found; its entry in the parameter file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.physics.lines import QBB
from dataflow.physics.trapping import Trapping

from .scan import Scan

Floats = NDArray[np.float64]

DRIFT = "dt_eff"
ENTRY = "eopt"


def failed_entry(reason: str, *, wanted: bool = True) -> dict[str, Any]:
    """What the parameter file says of a detector whose filters are not optimised: no failure, others hold."""
    warnings = {"warnings": [f"filters are not optimised, and there is no trapping correction: {reason}"]}
    return {ENTRY: {"failed": reason}} | (warnings if wanted else {})


@dataclass(frozen=True)
class Width:
    """FWHM at the reference energy and of lines, in keV.

    Attributes
    ----------
    value, error
        At the reference energy.
    lines
        By energy: FWHM and error.
    """

    value: float
    error: float
    lines: Mapping[float, tuple[float, float]]

    @property
    def is_known(self) -> bool:
        """Whether all of them, and their errors, are numbers."""
        pairs = [(self.value, self.error), *self.lines.values()]
        return bool(np.isfinite(pairs).all())


@dataclass(frozen=True)
class Correction:
    """The correction of an energy estimator, and what it does.

    Attributes
    ----------
    estimator
        ``cuspEmax`` …
    trapping
        The correction.
    before, after
        Widths without and with it.
    drift
        Mean drift times of parts of the highest line in ns, shape (parts,).
    positions, corrected, errors
        Position of the line in these parts, without and with the correction, and its error, in keV.
    line
        Energy of that line in keV.
    """

    estimator: str
    trapping: Trapping
    before: Width
    after: Width
    drift: Floats = field(repr=False)
    positions: Floats = field(repr=False)
    corrected: Floats = field(repr=False)
    errors: Floats = field(repr=False)
    line: float = 0.0


@dataclass(frozen=True)
class Result:
    """The filters of a detector.

    Attributes
    ----------
    scans
        One for each filter.
    flat
        Flat top in microseconds.
    longest
        The drift time that it must hold, in microseconds.
    corrections
        Those of all estimators.
    events
        Events by line in keV.
    reference
        Where the width is stated, in keV.
    notes
        What is to be known besides.
    """

    scans: tuple[Scan, ...]
    flat: float
    longest: float
    corrections: tuple[Correction, ...]
    events: Mapping[float, int]
    reference: float = QBB
    notes: tuple[str, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """What is to be known about it."""
        ends = [
            f"lines are narrowest at the {scan.edge} of the scan of {scan.filter}, {scan.best:g} us"
            for scan in self.scans
            if scan.edge and scan.is_known
        ]
        unknown = [each.estimator for each in self.corrections if not (each.before.is_known and each.after.is_known)]
        unknown += [scan.filter for scan in self.scans if not np.isfinite(scan.lowest).all()]
        few = [f"the events are too few for some widths of {name}" for name in unknown]
        return [*ends, *self.notes, *few]

    def filters(self) -> dict[str, dict[str, str]]:
        """The times of the filters that the events tell, and the flat top, as a processing chain takes them."""
        return {
            scan.filter: ({scan.time: _us(scan.best)} if scan.is_known else {}) | {"flat": _us(self.flat)}
            for scan in self.scans
        }

    def entry(self) -> dict[str, Any]:
        """The detector's entry in the parameter file: for the chain and hit, and what is known of it."""
        found: dict[str, Any] = dict(self.filters())
        found["ctc_params"] = {f"{each.estimator}_ctc": _operation(each) for each in self.corrections}
        found[ENTRY] = {
            **{scan.filter: self._scan(scan) for scan in self.scans},
            "n_events": dict(self.events),
            "longest_drift": _us(self.longest),
            "ctc": {each.estimator: self._correction(each) for each in self.corrections},
        }
        return found | ({"warnings": self.warnings} if self.warnings else {})

    def _scan(self, scan: Scan) -> dict[str, Any]:
        width, error = scan.lowest
        return {
            scan.time: _us(scan.best),
            **({f"{scan.time}_err": _us(scan.error)} if scan.has_error else {}),
            "flat": _us(self.flat),
            "used": scan.is_known,
            f"{self._name}_fwhm_in_kev": _rounded(width),
            f"{self._name}_fwhm_err_in_kev": _rounded(error),
        }

    @property
    def _name(self) -> str:
        return "Qbb" if abs(self.reference - QBB) < 0.5 else "reference"

    def _correction(self, each: Correction) -> dict[str, Any]:
        one = each.trapping
        lines = {
            energy: {
                "a": _significant(values[0]),
                "a_err": _significant(values[1]),
                "n_sig": round(values[2], 1),
                "fwhm_in_kev": _pair(each.after.lines.get(energy)),
                "fwhm_uncorrected_in_kev": _pair(each.before.lines.get(energy)),
            }
            for energy, values in one.of_lines.items()
        }
        return {
            "a": _significant(one.factor),
            "a_err": _significant(one.error),
            "chi_square": [round(one.chi2, 3), one.ndf],
            "p_value": one.p_value,
            f"{self._name}_fwhm_in_kev": _rounded(each.after.value),
            f"{self._name}_fwhm_err_in_kev": _rounded(each.after.error),
            f"{self._name}_fwhm_uncorrected_in_kev": _rounded(each.before.value),
            f"{self._name}_fwhm_uncorrected_err_in_kev": _rounded(each.before.error),
            "lines": lines,
            "drift_time": {
                "line": each.line,
                "dt_eff_in_ns": _list(each.drift),
                "position_in_kev": _list(each.positions),
                "position_corrected_in_kev": _list(each.corrected),
                "position_err_in_kev": _list(each.errors),
            },
        }


def _operation(each: Correction) -> dict[str, Any]:
    """As the published flow writes it, and hit evaluates it."""
    return {
        "expression": f"{each.estimator}*(1+{DRIFT}*a)",
        "parameters": {"a": _significant(each.trapping.factor)},
    }


def _us(value: float) -> str:
    """Three decimals: a time that is a whole number of samples (96 ns) remains one."""
    return f"{value:.3f}*us"


def _significant(value: float) -> float:
    return float(f"{value:.5e}")


def _rounded(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def _pair(value: tuple[float, float] | None) -> list[float | None] | None:
    return None if value is None else [_rounded(each) for each in value]


def _list(values: Floats) -> list[float]:
    return [round(float(value), 3) for value in values]
