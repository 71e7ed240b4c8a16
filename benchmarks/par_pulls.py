"""Every calibration but that of energies beside the truth, on many samples of which everything is known.

    python benchmarks/par_pulls.py [--seeds 100] [--only aoe lq …]

Each sample has the statistics of a calibration run of a detector: A/E and late charge in the Compton continuum and in
lines, lines whose energy falls with the drift time, pulses of a SiPM, traces of large pulses, traces of noise. The
calibration is that of the step, its input what dsp would hand on (of decay constants traces, and the step's chain). For
each quantity the pulls, (found - true) / error, must have mean 0 within 0.2 and a width from 0.8 to 1.2, or miss that
by no more than two standard errors of so many seeds. ``ecal_pulls.py`` does the same for energies.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy import special
from scipy.signal import lfilter

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "dataflow/src"), str(Path(__file__).resolve().parent)]

from ecal_pulls import out_of_bounds  # noqa: E402

from dataflow.jobs.errors import WorkFailed  # noqa: E402
from dataflow.metadata.stepconfig import shipped_folder  # noqa: E402
from dataflow.physics.curves import Curve  # noqa: E402
from dataflow.physics.peakmodel import FWHM  # noqa: E402
from dataflow.steps.par_dsp_eopt.calibrate import correction  # noqa: E402
from dataflow.steps.par_dsp_eopt.scan import Events  # noqa: E402
from dataflow.steps.par_dsp_nopt import calibrate as nopt  # noqa: E402
from dataflow.steps.par_dsp_nopt.settings import NoptSettings  # noqa: E402
from dataflow.steps.par_dsp_pz import calibrate as pz  # noqa: E402
from dataflow.steps.par_dsp_pz.result import DecayConstants  # noqa: E402
from dataflow.steps.par_dsp_pz.settings import PzSettings  # noqa: E402
from dataflow.steps.par_hit_aoe import calibrate as aoe  # noqa: E402
from dataflow.steps.par_hit_aoe.settings import ParameterSet  # noqa: E402
from dataflow.steps.par_hit_lq import calibrate as lq  # noqa: E402
from dataflow.steps.par_hit_spms.calibrate import Pulses  # noqa: E402
from dataflow.steps.par_hit_spms.calibrate import calibrate as light  # noqa: E402
from dataflow.steps.par_hit_spms.settings import Settings as LightSettings  # noqa: E402

Floats = NDArray[np.floating[Any]]
Pulls = dict[str, float]

A, B = 0.6, 0.0021
WIDTHS = Curve("(a+b*x)**(0.5)", {"a": A, "b": B}, {"a": 0.1, "b": 1e-4}, np.zeros((2, 2)), 1.0, 3)
CUT = float(special.ndtri(0.1))
"""In true standard deviations, where the double-escape peak has single-site events alone."""


def sigma_at(energy: float | Floats) -> Any:
    """True standard deviation of a line in keV."""
    return np.sqrt(A + B * np.asarray(energy)) / FWHM


AOE_LINES = {1592.5: (1500, 1.0), 1620.5: (700, 0.12), 2103.53: (1700, 0.06), 2614.5: (9000, 0.09)}
AOE_CONTINUUM, AOE_SINGLE = 60_000, 0.4
MEAN_SLOPE, NOISE, PLATEAU, TAIL = -4e-6, 9.0, 6e-3, 0.12


def aoe_pulls(random: np.random.Generator) -> Pulls:
    """Mean, width, cut and survival of A/E."""
    energy, single = [random.uniform(800, 2400, random.poisson(AOE_CONTINUUM))], []
    single.append(random.random(len(energy[0])) < AOE_SINGLE)
    for line, (counts, part) in AOE_LINES.items():
        number, doppler = random.poisson(counts), 9.0 if line == 2103.53 else 0.0
        energy.append(random.normal(line, np.hypot(sigma_at(line), np.sqrt(doppler) / FWHM), number))
        single.append(random.random(number) < part)
    energies, alone = np.concatenate(energy), np.concatenate(single)
    width = np.hypot(PLATEAU, NOISE / energies)
    deviation = random.normal(0, 1, len(energies)) - np.where(alone, 0, random.exponential(TAIL, len(width))) / width
    current = energies * (1 + MEAN_SLOPE * energies) * (1 + width * deviation)
    found = aoe.calibrate(energies, current, energies, None, WIDTHS, ParameterSet(dt_corr=False))
    reference = 1 + MEAN_SLOPE * found.time.energy
    pulls = {"A/E mean, 1000 to 1300 keV": (found.time.mean - reference) / found.time.mean_error}
    pulls["A/E cut"] = (found.cut - CUT) / found.cut_error
    for line, (_, part) in (AOE_LINES | {2039.0: (0, AOE_SINGLE)}).items():
        kept, one = part * 0.9 + (1 - part) * multiple_above_cut(line), found.low_side[line]
        if line != 1592.5:  # whose survival is 90 % by definition
            pulls[f"A/E survival {line:g} keV"] = (one.fraction - kept) / one.error
    at = np.array([2039.0, 1.0])
    curve = at @ np.array(list(found.mean.parameters.values())) - (1 + MEAN_SLOPE * 2039) / found.time.mean
    pulls["A/E mean, curve at 2039 keV"] = curve / np.sqrt(at @ found.mean.covariance @ at)
    for band in (found.bands[2], found.bands[-3]):
        where = f"{'low' if band is found.bands[2] else 'high'} band"
        true = (1 + MEAN_SLOPE * band.energy) / found.time.mean
        pulls[f"A/E mean, {where}"] = (band.mean - true) / band.mean_error  # beside the reference that was found
        pulls[f"A/E width, {where}"] = (band.sigma - true * np.hypot(PLATEAU, NOISE / band.energy)) / band.sigma_error
    return pulls


@cache
def multiple_above_cut(energy: float) -> float:
    """The part of multi-site events that lies above the true cut: a normal distribution folded with an exponential."""
    width = float(np.hypot(PLATEAU, NOISE / energy))
    ratio = width / TAIL
    below = special.ndtr(CUT) + np.exp(CUT * ratio + ratio**2 / 2 + special.log_ndtr(-CUT - ratio))
    return float(1 - below)


LQ_LINES = {1592.5: 600, 1620.5: 300, 2103.53: 700, 2614.5: 3500}
LQ_MEAN, LQ_SIGMA, LQ_SLOPE, LQ_LATE = 0.48, 0.04, 1.2e-4, 0.25


def lq_pulls(random: np.random.Generator) -> Pulls:
    """Mean, width, slope over the drift time, and survival of late charge."""
    energy = [random.uniform(800, 2600, random.poisson(20_000))]
    energy += [random.normal(line, sigma_at(line), random.poisson(counts)) for line, counts in LQ_LINES.items()]
    late = [random.random(len(each)) < (LQ_LATE if number != 1 else 0) for number, each in enumerate(energy)]
    energies, slow = np.concatenate(energy), np.concatenate(late)
    drift = random.uniform(200, 1200, len(energies))
    excess = np.where(slow, random.exponential(1.0, len(energies)) + 12 * LQ_SIGMA, 0)
    relative = LQ_MEAN * (1 + LQ_SLOPE * (drift - 700)) + random.normal(0, LQ_SIGMA, len(energies)) + excess
    found = lq.calibrate(energies, relative * energies, energies, drift, WIDTHS)
    scale = found.before.mean
    pulls = {
        "LQ mean": (found.before.mean - LQ_MEAN) / found.before.mean_error,
        "LQ slope": (found.line.slope - LQ_SLOPE * LQ_MEAN / scale) / found.line.slope_error,
        "LQ width": (found.after.sigma - LQ_SIGMA / scale) / found.after.sigma_error,
    }
    for line in (1620.5, 2039.0, 2614.5):
        one, prompt = found.survival[line], (1 - LQ_LATE) * special.ndtr(lq.CUT)
        pulls[f"LQ survival {line:g} keV"] = (one.fraction - prompt) / one.error
    return pulls


TRAPPED_LINES = {583.187: 500, 727.33: 160, 860.557: 110, 1620.5: 60, 2614.511: 220}


def trapping_pulls(random: np.random.Generator) -> Pulls:
    """The correction for charge trapping, with it and without, and the width at 2039 keV after it."""
    pulls = {}
    for name, factor in (("trapping", 9e-7), ("no trapping", 0.0)):
        parts, peaks = [], []
        for line, counts in TRAPPED_LINES.items():
            number, rest = random.poisson(counts), random.poisson(0.3 * counts)
            parts.append(np.stack([random.normal(line, sigma_at(line), number), random.uniform(250, 1300, number)]))
            parts.append(np.stack([random.uniform(line - 25, line + 25, rest), random.uniform(250, 1300, rest)]))
            peaks.append(np.full(number + rest, line))
        (energies, drift), peak = np.concatenate(parts, axis=1), np.concatenate(peaks)
        measured = energies / (1 + factor * drift)
        measured *= np.median(energies / measured)
        events = [Events(line, np.flatnonzero(peak == line), drift[peak == line], 50.0) for line in TRAPPED_LINES]
        sample: Any = SimpleNamespace(energy=energies, drift=drift)
        found = correction("energy", measured, sample, events, 2039.0)
        pulls[name] = (found.trapping.factor - factor) / found.trapping.error
        pulls[f"FWHM 2039 keV, {name}"] = (found.after.value - FWHM * sigma_at(2039.0)) / found.after.error
    return pulls


GAIN, SPREAD, SIPM_NOISE, DARK, TALK = 47.6, 0.06, 4.0, 1500.0, 0.15
TRACES, PLACES = 800, 40


def light_pulls(random: np.random.Generator) -> Pulls:
    """Photo-electron scale, dark rate and cross-talk of a SiPM."""
    span = 65.5
    times, heights = np.full((TRACES, PLACES), np.nan), np.full((TRACES, PLACES), np.nan)
    number = np.zeros(TRACES, dtype=int)
    for row in range(TRACES):
        moments = random.uniform(0, span, random.poisson(DARK * span * 1e-6))
        if random.random() < 0.5:
            moments = np.concatenate([moments, 28.8 + random.exponential(1.3, random.poisson(2.0))])
        moments = np.sort(moments[moments < span])[:PLACES]
        electrons = random.geometric(1 - TALK, len(moments))
        own = GAIN * (electrons + SPREAD * np.sqrt(electrons) * random.normal(0, 1, len(moments)))
        times[row, : len(moments)] = moments * 1e3
        heights[row, : len(moments)] = own + random.normal(0, SIPM_NOISE, len(moments))
        number[row] = len(moments)
    noise = np.full(TRACES, SIPM_NOISE * FWHM)
    found = light(Pulses(times, heights, number, np.zeros(TRACES), noise, 65520.0), LightSettings.model_validate({}))
    if found.cross_talk is None or found.cross_talk_err is None:
        raise WorkFailed("no dark pulses")
    return {
        "photo-electron scale": (found.comb.gain - GAIN) / found.comb.gain_err,
        "dark rate": (found.dark_rate - DARK) / found.dark_rate_err,
        "cross-talk": (found.cross_talk - TALK) / found.cross_talk_err,
    }


PERIOD, SAMPLES, START = 16.0, 4096, 1800
WHITE, PINK = 13.0, 2.5
LONG = 16_384


def noise_traces(random: np.random.Generator, number: int, rest: float = PINK, power_of: int = 1) -> Floats:
    """White and falling noise in ADC counts, shape (number, samples): pieces of longer traces, as time has no end.

    The standard deviation of the second one is `rest`, its power falls with that power of the frequency.
    """
    frequency = np.fft.rfftfreq(LONG)
    falling = 1 / np.maximum(frequency, 3 / LONG) ** power_of
    falling[0] = 0.0
    power = WHITE**2 + rest**2 * falling * LONG / (2 * falling.sum())
    spectrum = random.normal(size=(number, len(power))) + 1j * random.normal(size=(number, len(power)))
    return np.asarray(np.fft.irfft(spectrum * np.sqrt(power * LONG / 2), LONG)[:, :SAMPLES])


def pulses(random: np.random.Generator, number: int, tau: float, second: float, fraction: float) -> NDArray[np.uint16]:
    """Digitised large pulses with one or two decay constants in ns, shape (number, samples)."""
    rise = random.uniform(300, 1200, number)
    charge = np.clip((np.arange(SAMPLES) - START) * PERIOD / rise[:, None], 0, 1)
    steps = np.diff(charge, prepend=0.0, axis=1)
    slow = lfilter([1.0], [1.0, -np.exp(-PERIOD / tau)], steps, axis=1)
    fast = lfilter([1.0], [1.0, -np.exp(-PERIOD / second)], steps, axis=1)
    heights = random.uniform(8_000, 14_000, number)[:, None]
    values = 14_000 + heights * ((1 - fraction) * slow + fraction * fast) + noise_traces(random, number)
    return np.asarray(np.rint(values).clip(0, 65535).astype("u2"))


def pz_pulls(random: np.random.Generator) -> Pulls:
    """One decay constant, and two with the part of the second one."""
    tau, second, fraction = 250e3, 12e3, 0.02
    (one, _), (two, _) = (decay_of(pulses(random, 300, tau, second, each)) for each in (0.0, fraction))
    found = {"decay constant": (one.single.value - tau) / one.single.error}
    if two.two is None:
        raise WorkFailed("two decay constants were not found")
    for name, value, true in (
        ("first of two", two.two.tau1, tau), ("second of two", two.two.tau2, second),
        ("part of the second", two.two.fraction, fraction),
    ):  # fmt: skip
        found[name] = (value.value - true) / value.error
    return found


def decay_of(values: NDArray[np.uint16]) -> tuple[DecayConstants, dict[str, Any]]:
    """What the step finds in traces, by its own chain."""
    import lh5
    from lgdo import Array, ArrayOfEqualSizedArrays, Table, WaveformTable

    from dataflow.physics.chains import run_chain

    chain = yaml.safe_load((shipped_folder("tier_dsp") / "processing_chain-geds.yaml").read_text())
    names = ("trapTmax", "tail_slope", "n_sat_hi", "bl_std", "bl_slope", "bl_mean", "wf_presum")
    array = ArrayOfEqualSizedArrays(nda=np.ascontiguousarray(values))
    columns = {"waveform": WaveformTable(values=array, dt=PERIOD, dt_units="ns", t0=0.0, t0_units="ns")}
    for name, kind in (("timestamp", "f8"), ("baseline", "u2"), ("daqenergy", "u2")):
        columns[name] = Array(np.zeros(len(values), dtype=kind))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw.lh5"
        lh5.write(Table(col_dict=columns), "ch1/raw", str(path))
        made = run_chain(path, "ch1/raw", chain, {}, outputs=names)
    data = {name: made[name].nda for name in names if name != "wf_presum"}
    data["wf_presum"] = made["wf_presum"].values.nda
    return pz.calibrate(data, (PERIOD, float(made["wf_presum"].dt.nda[0])), PzSettings.model_validate({})), data


SUMMED, BASELINE, TAU = 6, 0.34, 250e3
RED = (1.5, 2)
"""Noise of currents: without it no filter is ever long enough."""
QUIET = 400
"""Traces of a sample; the truth is that of thirty times as many."""
SETTINGS = NoptSettings.model_validate({"start": 2.0, "stop": 14.0, "step": 1.0})


def noise_scans(random: np.random.Generator, number: int) -> tuple[Any, ...]:
    """The scans of all filters on so many traces, averaged over six samples, without baseline, and without decay."""
    whole = np.concatenate([noise_traces(random, min(500, number), *RED) for _ in range(max(number // 500, 1))])
    length = SAMPLES // SUMMED
    summed = whole[:, : length * SUMMED].reshape(len(whole), length, SUMMED).mean(axis=2)
    level = summed - summed[:, : int(BASELINE * length)].mean(axis=1, keepdims=True)
    period = PERIOD * SUMMED
    keep = np.exp(-period / TAU)
    restored = lfilter([1.0, -keep], [1.0, -1.0], level, axis=1)
    return nopt.calibrate({"wf_blsub": level, "wf_pz": restored}, period, TAU, SETTINGS).scans


@cache
def true_scans() -> tuple[Any, ...]:
    """The scans of very many traces."""
    return noise_scans(np.random.default_rng(10**6), 30 * QUIET)


def noise_pulls(random: np.random.Generator) -> Pulls:
    """Noise at the best time of each filter, and that time."""
    pulls = {}
    for found, true in zip(noise_scans(random, QUIET), true_scans(), strict=True):
        lowest = int(np.argmin(found.noises))
        pulls[f"noise of {found.filter}"] = (found.noise - true.noises[lowest]) / found.noise_error
        if not true.edge and found.error > 0:  # a minimum at an end of the scan has no error
            pulls[f"time of {found.filter}"] = (found.best - true.best) / np.hypot(found.error, true.error)
    return pulls


CAMPAIGNS: dict[str, Callable[[np.random.Generator], Pulls]] = {
    "aoe": aoe_pulls, "lq": lq_pulls, "trapping": trapping_pulls, "light": light_pulls, "pz": pz_pulls,
    "noise": noise_pulls,
}  # fmt: skip


def campaign(one: Callable[[np.random.Generator], Pulls], seeds: int) -> tuple[dict[str, Floats], int]:
    """The pulls of all seeds by quantity, and how many calibrations failed."""
    found: dict[str, list[float]] = {}
    failed = 0
    for seed in range(seeds):
        try:
            made = one(np.random.default_rng(seed))
        except WorkFailed as error:
            print(f"{one.__name__} {seed}: {error.message}", file=sys.stderr)
            failed += 1
            continue
        for name, pull in made.items():
            found.setdefault(name, []).append(float(pull))
    return {name: np.array(values) for name, values in found.items()}, failed


def report(found: dict[str, Floats]) -> int:
    """Print a line a quantity; how many are out of bounds."""
    bad = 0
    for name, values in found.items():
        mean, width, number = values.mean(), values.std(ddof=1), len(values)
        wrong = out_of_bounds(name, values)
        bad += wrong
        errors = (width / np.sqrt(number), width / np.sqrt(2 * number))
        print(
            f"{name:28s} {number:5d} {mean:+6.2f} ± {errors[0]:4.2f} {width:7.2f} ± {errors[1]:4.2f}{' !' * wrong}",
            flush=True,
        )
    return bad


def main() -> int:
    """Print a table; returns 1 if a mean or a width is out of bounds, or a calibration failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100, help="number of samples of each kind (default: 100)")
    parser.add_argument("--only", nargs="*", choices=CAMPAIGNS, default=list(CAMPAIGNS), help="some of them")
    options = parser.parse_args()
    begin, bad = time.monotonic(), 0
    print(f"{'quantity':28s} {'fits':>5s} {'mean':>14s} {'width':>14s}", flush=True)
    for name in options.only:
        found, failed = campaign(CAMPAIGNS[name], options.seeds)
        bad += report(found) + failed
    print(f"{options.seeds} samples of each in {time.monotonic() - begin:.0f} s, {bad} out of bounds or failed")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
