"""The energy calibration beside the truth, on many spectra of which everything is known.

Each spectrum has the lines of 228Th on steps and a continuum, an offset and a gain; lines of full energy have a tail to
lower energies if a part of their events is to be in it (``--tail 0.1``). Its slope grows with the energy, as that of
trapped charge does, from 1.5 standard deviations at 2614.5 keV (``--slope``), or with a power of it: with 0.32 it is
nearly the same part of each line's width. For each quantity the pulls, (found - true) / error, must have mean 0 within
0.2 and a width from 0.8 to 1.2. Those of tails are of logarithms, since their errors are parts of them.

    python benchmarks/ecal_pulls.py --seeds 450 --first 1000
    python benchmarks/ecal_pulls.py --seeds 300 --first 1000 --tail 0.1 --power 0.32
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dataflow/src"))

from dataflow.metadata.stepconfig import shipped_folder  # noqa: E402
from dataflow.physics import curves  # noqa: E402 - after the path
from dataflow.physics.linefit import LineFit  # noqa: E402
from dataflow.physics.lines import (
    QBB,  # noqa: E402
    TL208,
    Line,
    Source,
)
from dataflow.physics.peakmodel import FWHM, mode, width  # noqa: E402
from dataflow.steps.par_hit_ecal.build import calibrate_one  # noqa: E402
from dataflow.steps.par_hit_ecal.result import EnergyCalibration  # noqa: E402
from dataflow.steps.par_hit_ecal.settings import Settings, Sources  # noqa: E402
from dataflow.steps.par_hit_ecal.source import source_of  # noqa: E402

Floats = NDArray[np.floating[Any]]

GAIN, OFFSET = 0.0653, 0.4
STRENGTH = {238.632: 9000, 583.191: 4000, 727.33: 750, 860.564: 450, 1592.511: 220, 1620.5: 130, 2103.511: 330,
            2614.511: 3000}  # fmt: skip
"""Counts of the lines, by their name in parameter files."""
MEAN, WIDTH = 0.2, (0.8, 1.2)


def sigma(energy: float) -> float:
    """True standard deviation of a line, in keV."""
    return float(np.sqrt(1.2 + 0.0019 * energy)) / FWHM


@dataclass(frozen=True)
class Truth:
    """What spectra are like.

    Attributes
    ----------
    scale
        Multiplies all counts.
    tail
        Part of the events of a line of full energy in its tail.
    slope
        Of the tail at 2614.5 keV, in standard deviations of that line.
    power
        Of the energy with which the slope grows.
    """

    scale: float = 1.0
    tail: float = 0.0
    slope: float = 1.5
    power: float = 1.0

    def shape(self, line: Line) -> dict[str, float]:
        """Parameters of a line about its energy, in keV."""
        form = {"mu": 0.0, "sigma": sigma(line.energy)}
        if not self.tail or not line.full_energy:
            return form
        tau = self.slope * sigma(TL208) * (line.energy / TL208) ** self.power
        return form | {"htail": self.tail, "tau": tau}


def spectrum(random: np.random.Generator, source: Source, truth: Truth) -> Floats:
    """Energies in keV: lines with their neighbours, steps below them, a continuum."""
    parts = [random.exponential(800, random.poisson(30_000 * truth.scale))]
    for line in source.lines:
        strength, form = STRENGTH[line.key] * truth.scale, truth.shape(line)
        for distance, share in ((0.0, 1.0), *line.neighbours):
            events = random.normal(line.energy + distance, form["sigma"], random.poisson(strength * share))
            if "tau" in form:
                late = random.random(len(events)) < form["htail"]
                events[late] -= random.exponential(form["tau"], np.count_nonzero(late))
            parts.append(events)
        parts.append(random.uniform(line.energy - 300, line.energy, random.poisson(strength * 0.3)))
    energies = np.concatenate(parts)
    return energies[(energies > 50) & (energies < 2800)]


def pulls(result: EnergyCalibration, truth: Truth) -> dict[str, float]:
    """(found - true) / error by quantity."""
    found = {}
    for fit in result.fits:
        line, key, unit = fit.line, f"{fit.line.key:g} keV", result.scale / GAIN
        form = truth.shape(line)
        true = (line.energy + mode(form) - OFFSET) * unit
        found[f"position {key}"] = (fit.position - true) / fit.position_error
        found[f"FWHM {key}"] = (fit.fwhm - width(form) * unit) / fit.fwhm_error
        found[f"counts {key}"] = (fit.counts - STRENGTH[line.key] * truth.scale) / fit.counts_error
        if "tau" in form and "tau" in fit.parameters:
            found[f"tail {key}"] = _of_logarithm(fit, "htail", form["htail"])
            found[f"slope of tail {key}"] = _of_logarithm(fit, "tau", form["tau"] * unit)
    for name, curve in (("", result.resolution), (" quadratic", result.resolution_quadratic)):
        if curve is not None:
            found_width, error = curves.width_at(curve, QBB)
            found[f"FWHM at Qbb{name}"] = (found_width - width(truth.shape(Line(QBB, 30, 30)))) / error
    if not truth.tail:  # which moves the mode not in proportion to the energy: no straight line
        found["gain"] = (result.curve.parameters["b"] - GAIN) / result.curve.errors["b"]
    return found


def _of_logarithm(fit: LineFit, name: str, true: float) -> float:
    """Pull of a positive quantity whose error grows with itself."""
    value, error = fit.parameters[name], fit.errors[name]
    return float(np.log(value / true) * value / error)


def campaign(seeds: range, truth: Truth) -> dict[str, Floats]:
    """The pulls of all seeds, by quantity."""
    table = yaml.safe_load((shipped_folder("pars_hit_ecal") / "sources.yaml").read_text())
    settings = Settings(energy_params=("cuspEmax",))
    source = _exact(source_of(settings, Sources.read(table).nuclides))
    found: dict[str, list[float]] = {}
    for seed in seeds:
        amplitudes = (spectrum(np.random.default_rng(seed), source, truth) - OFFSET) / GAIN
        for name, pull in pulls(calibrate_one(amplitudes, "cuspEmax", settings, source), truth).items():
            found.setdefault(name, []).append(pull)
    return {name: np.array(values) for name, values in found.items()}


def _exact(source: Source) -> Source:
    """The source with lines whose energies are known exactly, as those of the spectra are."""
    lines = tuple(Line(**{**vars(line), "uncertainty": 0.0}) for line in source.lines)
    return Source(lines, source.reference_energy)


def out_of_bounds(name: str, values: Floats) -> bool:
    """Whether mean or width of the pulls are wrong by more than two of their own errors.

    The error of the gain includes the digitizer's nonlinearity, and that of a slope what is assumed of it before the
    fit, neither of which the spectra have: their pulls are narrower.
    """
    low, high = (0.0, WIDTH[1]) if name == "gain" or name.startswith("slope") else WIDTH
    own = 2 / np.sqrt(len(values))
    mean, width = float(values.mean()), float(values.std(ddof=1))
    return bool(abs(mean) > MEAN + own or not low - own / np.sqrt(2) < width < high + own / np.sqrt(2))


def main() -> int:
    """Print a table; returns 1 if a mean or a width is out of bounds."""
    parser = argparse.ArgumentParser(description=Path(__file__).stem)
    parser.add_argument("--seeds", type=int, default=100, help="number of spectra (default: 100)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first one (default: 0)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies all counts (default: 1)")
    parser.add_argument("--tail", type=float, default=0.0, help="part of a line's events in its tail (default: 0)")
    parser.add_argument("--slope", type=float, default=1.5, help="of the tail at 2614.5 keV, in sigma (default: 1.5)")
    parser.add_argument("--power", type=float, default=1.0, help="of the energy, of that slope (default: 1)")
    options = parser.parse_args()
    start = time.monotonic()
    truth = Truth(options.scale, options.tail, options.slope, options.power)
    found = campaign(range(options.first, options.first + options.seeds), truth)
    bad = 0
    print(f"{'quantity':28s} {'fits':>5s} {'mean':>14s} {'width':>14s}")
    for name, values in found.items():
        mean, width, number = values.mean(), values.std(ddof=1), len(values)
        wrong = out_of_bounds(name, values)
        bad += wrong
        errors = (width / np.sqrt(number), width / np.sqrt(2 * number))
        print(f"{name:28s} {number:5d} {mean:+6.2f} ± {errors[0]:4.2f} {width:7.2f} ± {errors[1]:4.2f}{' !' * wrong}")
    print(f"{options.seeds} spectra in {time.monotonic() - start:.0f} s, {bad} quantities out of bounds")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
