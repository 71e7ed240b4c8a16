"""Charge that drifting carriers induce on the read-out contact.

The signal follows from the Shockley-Ramo theorem (He, NIM A 463 (2001) 250): a charge q at x induces q times the
weighting potential at x. Trajectories are one-dimensional and velocities piecewise constant, so every signal is a
closed formula of time:

* point contacts (icpc, bege, ppc): the distance x to the contact. The weighting potential falls as a/x from 1 at the
  radius a, less a term in x^2 that makes it vanish at the lithium contact, x = R, without changing the steep part (a
  point charge and its image in a sphere). Holes drift from x to a, electrons outwards to R; within three radii of the
  contact the field is strong and the velocity saturated. The current peaks where the holes arrive, alike for all
  places: that is what makes A/E work.
* coax: the radius r between bore (r1) and mantle (r2), weighting potential ln(r2/r) / ln(r2/r1).

Charges that start in the transition layer below the lithium contact come slowly and incompletely.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gebox.compiled import compiled
from gebox.experiment.model import Constants, Detector
from gebox.physics import rng

Floats = NDArray[np.float64]

FINE_NS: Final = 4.0
"""Step of the charge signal."""
FINE: Final = 1600
"""Its number of steps: 6.4 us hold the slowest surface event."""

LATE_STEPS: Final = 376
"""So many steps, 1.5 us, are those in which dsp measures late charge."""
CURRENT_STEPS: Final = 20
"""Over so many steps, 80 ns, the true current is averaged, about as the current of dsp is."""

DEAD_MM: Final = 0.3
"""No charge comes from this depth below the lithium contact."""
FULL_MM: Final = 1.2
"""From this depth on it comes completely; the full charge collection depths of LEGEND's detectors are 0.7 to 1.3 mm."""
SLOW_NS: Final = 600.0
"""Time constant of the diffusion out of the transition layer."""
CLOUD_NS: Final = 3.0
"""Growth of the charge cloud, as a time constant after one microsecond of drift."""
SHORT_NS: Final = 25.0
"""The same without any drift."""
SATURATED: Final = 0.1
"""Drift velocity in mm/ns in strong fields (Bruyneel et al., NIM A 569 (2006) 764)."""
NEAR: Final = 3.0
"""Radii of the contact within which the field is strong."""


class Crystal(NamedTuple):
    """What the charge model knows of a detector; lengths in mm, times in ns."""

    coax: bool
    radius: float
    height: float
    contact: float
    near: float
    velocity: float
    rise: float
    trapping: float
    mean_drift: float


def crystal(detector: Detector, constants: Constants) -> Crystal:
    """The model of a detector, with the mean drift time over its volume (2000 fixed random points)."""
    shape = detector.geometry
    contact = shape.bore_radius if detector.kind == "coax" else max(0.45 * shape.contact_radius, 2.5)
    near = contact if detector.kind == "coax" else NEAR * contact
    model = Crystal(
        detector.kind == "coax", shape.radius, shape.height, contact, near, constants.velocity, constants.rise,
        constants.trapping, 0.0,
    )  # fmt: skip
    return model._replace(mean_drift=float(_mean_drift(model, rng.seeded(1))))


@compiled
def _mean_drift(model: Crystal, state: rng.State) -> float:
    total = 0.0
    place = np.zeros(3)
    for _ in range(2000):
        place[0] = model.radius * math.sqrt(rng.uniform(state))
        place[2] = model.height * rng.uniform(state)
        total += drift_time(model, place)
    return total / 2000.0


@compiled
def depth(model: Crystal, place: Floats) -> float:
    """Depth below the lithium contact: mantle and the face away from the read-out contact."""
    radius = math.sqrt(place[0] ** 2 + place[1] ** 2)
    return float(max(0.0, min(model.radius - radius, model.height - place[2])))


@compiled
def distance(model: Crystal, place: Floats) -> float:
    """Where the holes start: distance to the contact, or radius in a coax."""
    if model.coax:
        start = math.sqrt(place[0] ** 2 + place[1] ** 2)
    else:
        start = math.sqrt(place[0] ** 2 + place[1] ** 2 + place[2] ** 2)
    return max(start, 1.05 * model.contact)


@compiled
def drift_time(model: Crystal, place: Floats) -> float:
    """Time until the holes arrive, in ns."""
    start = distance(model, place)
    slow = max(0.0, start - model.near) / model.velocity
    return slow + (min(start, model.near) - model.contact) / _close_velocity(model)


@compiled
def _close_velocity(model: Crystal) -> float:
    return model.velocity if model.coax else SATURATED


@compiled
def _hole(model: Crystal, start: float, time: float) -> float:
    """Where the holes are after some time: never closer than the contact."""
    slow = max(0.0, start - model.near) / model.velocity
    if time < slow:
        return start - model.velocity * time
    return max(min(start, model.near) - _close_velocity(model) * (time - slow), model.contact)


@compiled
def _potential(model: Crystal, at: float, ground: float) -> float:
    if model.coax:
        return math.log(ground / at) / math.log(ground / model.contact)
    share = (model.contact / ground) ** 3
    return (model.contact / at - share * (at / model.contact) ** 2) / (1.0 - share)


@compiled
def _drift(model: Crystal, place: Floats, energy: float, lag: float, signal: Floats) -> None:
    """Add the charge of one site to `signal`; time zero lies `lag` ns before the first step."""
    start = distance(model, place)
    ground = model.radius if model.coax else start + max(depth(model, place), 0.5)
    ground = max(ground, start * 1.001)
    for index in range(signal.size):
        time = lag + index * FINE_NS
        hole = _hole(model, start, time)
        electron = start + model.velocity * time
        if hole <= model.contact and electron >= ground:
            signal[index:] += energy
            return
        held = 1.0 if hole <= model.contact else _potential(model, hole, ground)
        gone = 0.0 if electron >= ground else _potential(model, electron, ground)
        signal[index] += energy * (held - gone)


@compiled
def _smooth(signal: Floats, constant: float, step: float) -> None:
    """A single pole with the given time constant."""
    keep = math.exp(-step / constant)
    level = 0.0
    for index in range(signal.size):
        level = keep * level + (1.0 - keep) * signal[index]
        signal[index] = level


@compiled
def collected(model: Crystal, place: Floats) -> float:
    """Share of the charge that leaves its place: less than 1 in the transition layer only."""
    return min(1.0, max(0.0, (depth(model, place) - DEAD_MM) / (FULL_MM - DEAD_MM)))


@compiled
def highest_current(signal: Floats) -> float:
    """The largest rise of a charge signal within :data:`CURRENT_STEPS` steps, in keV per microsecond: the true A."""
    highest = 0.0
    for index in range(CURRENT_STEPS, signal.size):
        highest = max(highest, signal[index] - signal[index - CURRENT_STEPS])
    return highest / (CURRENT_STEPS * FINE_NS * 1e-3)


@compiled
def late(signal: Floats, total: float) -> float:
    """Mean share of the charge that is still missing in the :data:`LATE_STEPS` steps from 80 % of it on."""
    first = 0
    while first < signal.size - 1 and signal[first] < 0.8 * total:
        first += 1
    missing = 0.0
    for index in range(first, first + LATE_STEPS):
        missing += 1.0 - signal[min(index, signal.size - 1)] / total
    return missing / LATE_STEPS


@compiled
def collect(
    model: Crystal, places: Floats, energies: Floats, lag: float, signal: Floats, slow: Floats
) -> tuple[float, float]:
    """Charge signal of an event in one detector.

    Parameters
    ----------
    places, energies
        Sites, shape (sites, 3) in mm and (sites,) in keV.
    lag
        The first step of the signal comes this long after the event, in ns.
    signal, slow
        Overwritten; shape (FINE,). `signal` holds the charge in keV, trapping and incomplete collection included.

    Returns
    -------
    energy
        Charge at the end, in keV.
    drift
        Mean drift time weighted by energy, in ns.
    """
    signal[:] = 0.0
    slow[:] = 0.0
    total, weighted, delayed = 0.0, 0.0, False
    for site in range(energies.size):
        time = drift_time(model, places[site])
        share = collected(model, places[site])
        kept = energies[site] * share * (1.0 - model.trapping * 1e-3 * (time - model.mean_drift))
        total += kept
        weighted += kept * time
        if share < 1.0:
            delayed = True
            _drift(model, places[site], kept, lag, slow)
        else:
            _drift(model, places[site], kept, lag, signal)
    if delayed:
        _smooth(slow, SLOW_NS, FINE_NS)
        signal += slow
    mean = weighted / total if total > 0.0 else 0.0
    _smooth(signal, model.rise, FINE_NS)
    _smooth(signal, SHORT_NS + CLOUD_NS * math.sqrt(mean * 1e-3), FINE_NS)
    return total, mean
