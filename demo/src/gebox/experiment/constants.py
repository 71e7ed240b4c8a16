"""The true constants of the detectors, drawn by name from the seed, and how they change from run to run.

The ranges are those of the data in LEGEND-200 and test stands: the p03 raw files of the public legend-testdata show a
noise of 13 to 23 ADC counts, baselines of about 15000, 0.19 keV per count; HPGe decay times range from the 50 us of
GERDA's preamplifiers to some 500 us in LEGEND-200.
"""

from __future__ import annotations

from gebox.drawn import normal, uniform
from gebox.experiment.model import Constants, Detector

_VELOCITY = {"icpc": 0.05, "bege": 0.055, "ppc": 0.055, "coax": 0.085}
"""Effective drift velocities in mm/ns; holes in germanium at 77 K saturate at about 0.1 mm/ns (Bruyneel et al.,
NIM A 569 (2006) 764); the weak field in large point-contact detectors makes them slower."""

_FANO = 0.00033
"""Variance over energy in keV: Fano factor 0.11 times 2.96 eV per pair (Knoll, Radiation Detection, 4th ed., table
11.1; Lowe, NIM A 399 (1997) 354)."""

JUMP = ("V01002B", "p03", "r002", 0.985)
"""The detector whose gain jumps, the first run after it, and the factor."""
NEW_TAU = ("P03001A", "p04", "r000", 0.72)
"""The detector whose decay constant changes, the first run after it, and the factor."""
UNTRAPPED = "B02001A"
"""The detector in which no charge is trapped."""
HUMMING = "B02002B"
"""The detector with a periodic interference."""
TWO_POLES = "P03002A"
"""The detector whose preamplifier has two decay constants."""
FOURTEEN_BITS = "C04001A"
"""The detector on a digitiser of 14 bits."""


def constants(seed: int, detector: Detector, period: str, run: str) -> Constants:
    """The truth for a detector in a run: base values, slow drifts, and the two sudden changes."""
    name = detector.name
    # the 14-bit card counts in steps four times as large
    coarse = 4.0 if name == FOURTEEN_BITS else 1.0
    gain = (
        coarse * uniform(seed, f"{name}/gain", 0.165, 0.215) * normal(seed, f"{name}/gain/{period}/{run}", 1.0, 2.0e-4)
    )
    tau = uniform(seed, f"{name}/tau", 110_000.0, 380_000.0) * normal(seed, f"{name}/tau/{period}/{run}", 1.0, 1e-3)
    noise = normal(seed, f"{name}/noise/{period}/{run}", 1.0, 0.02)
    interference = 3.0 if name == HUMMING else 0.0
    return Constants(
        gain=gain * _sudden(JUMP, name, period, run),
        offset=uniform(seed, f"{name}/offset", -0.4, 0.4),
        baseline=round(uniform(seed, f"{name}/baseline", 12_000.0, 16_000.0) / coarse),
        tau=tau * _sudden(NEW_TAU, name, period, run),
        tau_fraction=0.02 if name == TWO_POLES else 0.0,
        tau_second=12_000.0,
        rise=uniform(seed, f"{name}/rise", 28.0, 45.0),
        white=uniform(seed, f"{name}/white", 11.0, 15.0) * noise / coarse,
        pink=uniform(seed, f"{name}/pink", 2.0, 3.0) * noise / coarse,
        fano=_FANO * uniform(seed, f"{name}/fano", 1.0, 1.25),
        trapping=0.0 if name == UNTRAPPED else uniform(seed, f"{name}/trapping", 0.0004, 0.0012),
        velocity=_VELOCITY[detector.kind] * uniform(seed, f"{name}/velocity", 0.93, 1.07),
        hum=interference,
        ceiling=16383.0 if coarse > 1.0 else 65535.0,
        pulser=uniform(seed, f"{name}/pulser", 1250.0, 1450.0),
    )


def _sudden(change: tuple[str, str, str, float], name: str, period: str, run: str) -> float:
    """The factor of a sudden change: 1 before it and for every other detector."""
    who, first_period, first_run, factor = change
    return factor if name == who and (period, run) >= (first_period, first_run) else 1.0
