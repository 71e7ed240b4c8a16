"""Gammas through an array of crystals in liquid argon.

Photons fly from one interaction to the next by Woodcock's delta tracking (Woodcock et al., ANL-7050 (1965)): the free
path is drawn with germanium's attenuation everywhere, and in argon an interaction is accepted with the ratio of the
attenuations, so that no distance to any surface is ever computed. Compton scattering follows Klein and Nishina
(Z. Phys. 52 (1929) 853), sampled by Butcher and Messel's composition (Nucl. Phys. 20 (1960) 15). Photo-absorption
deposits everything; pair production deposits E - 2 m and sends out two 511 keV photons. Electrons stop where they are
born; bremsstrahlung, fluorescence, polarisation and Doppler broadening are left out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gebox.compiled import compiled
from gebox.experiment.model import Detector
from gebox.physics import rng
from gebox.physics.crosssections import ELECTRON_MASS, GRID, HIGHEST, LOWEST, Materials
from gebox.physics.decays import Tables

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

WORLD_RADIUS = 400.0
"""Photons farther than this from the centre of the array are lost, in mm."""
CUT = 8.0
"""Photons below this energy are absorbed at once, in keV."""
MOST_SITES = 48
"""Sites kept in an event."""


class Array(NamedTuple):
    """The crystals for the compiled code, shape (detectors, 8): x, y, z of the contact face, radius, height, bore
    radius, bore depth, and 1 where the bore begins at the contact side."""

    crystals: Floats
    centre: Floats


class Sites(NamedTuple):
    """Energy depositions of one event; row n of each belongs to one deposition.

    detector (MOST_SITES,), place (MOST_SITES, 3) in the detector's coordinates in mm, energy (MOST_SITES,) in keV.
    """

    detector: Integers
    place: Floats
    energy: Floats


def array(detectors: tuple[Detector, ...]) -> Array:
    """The geometry of the detectors; the centre is that of their bounding box."""
    rows = [
        (d.x, d.y, d.z, d.geometry.radius, d.geometry.height, d.geometry.bore_radius, d.geometry.bore_depth,
         1.0 if d.kind == "coax" else 0.0)
        for d in detectors
    ]  # fmt: skip
    table = np.array(rows)
    low = (table[:, :3] - np.array([1.0, 1.0, 0.0]) * table[:, 3:4]).min(axis=0)
    high = np.maximum(table[:, :2] + table[:, 3:4], 0).max(axis=0), (table[:, 2] + table[:, 4]).max()
    centre = np.array([(low[0] + high[0][0]) / 2, (low[1] + high[0][1]) / 2, (low[2] + high[1]) / 2])
    return Array(table, centre)


def sites() -> Sites:
    """Room for one event."""
    return Sites(np.zeros(MOST_SITES, np.int64), np.zeros((MOST_SITES, 3)), np.zeros(MOST_SITES))


@compiled
def locate(crystals: Floats, place: Floats) -> int:
    """The crystal that holds a point, or -1."""
    for index in range(crystals.shape[0]):
        crystal = crystals[index]
        z = place[2] - crystal[2]
        if z < 0.0 or z > crystal[4]:
            continue
        radius2 = (place[0] - crystal[0]) ** 2 + (place[1] - crystal[1]) ** 2
        if radius2 > crystal[3] ** 2:
            continue
        depth = z if crystal[7] > 0.5 else crystal[4] - z
        if radius2 < crystal[5] ** 2 and depth < crystal[6]:
            return -1
        return index
    return -1


@compiled
def isotropic(state: rng.State, direction: Floats) -> None:
    """Fill `direction` with a random unit vector."""
    cosine = 2.0 * rng.uniform(state) - 1.0
    sine = math.sqrt(1.0 - cosine * cosine)
    angle = 2.0 * math.pi * rng.uniform(state)
    direction[0] = sine * math.cos(angle)
    direction[1] = sine * math.sin(angle)
    direction[2] = cosine


@compiled
def turned(direction: Floats, cosine: float, angle: float) -> None:
    """Turn a unit vector by a polar angle, given by its cosine, and an azimuth."""
    sine = math.sqrt(max(0.0, 1.0 - cosine * cosine))
    x, y, z = direction[0], direction[1], direction[2]
    a, b = sine * math.cos(angle), sine * math.sin(angle)
    across = math.sqrt(max(0.0, 1.0 - z * z))
    if across < 1e-6:
        direction[0], direction[1], direction[2] = a, b, cosine * math.copysign(1.0, z)
        return
    direction[0] = cosine * x + (a * x * z - b * y) / across
    direction[1] = cosine * y + (a * y * z + b * x) / across
    direction[2] = cosine * z - a * across


@compiled
def scattered(state: rng.State, energy: float) -> tuple[float, float]:
    """Energy and cosine after Compton scattering of a photon of `energy` keV."""
    k = energy / ELECTRON_MASS
    least = 1.0 / (1.0 + 2.0 * k)
    first = -math.log(least)
    second = 0.5 * (1.0 - least * least)
    while True:
        if rng.uniform(state) * (first + second) < first:
            ratio = math.exp(-first * rng.uniform(state))
        else:
            ratio = math.sqrt(least * least + (1.0 - least * least) * rng.uniform(state))
        away = (1.0 - ratio) / (k * ratio)
        sine2 = away * (2.0 - away)
        if rng.uniform(state) < 1.0 - ratio * sine2 / (1.0 + ratio * ratio):
            return ratio * energy, 1.0 - away


@compiled
def _deposit(found: Sites, number: int, crystals: Floats, where: int, place: Floats, energy: float) -> int:
    """Note a deposition; beyond :data:`MOST_SITES` the last site takes the rest."""
    slot = min(number, MOST_SITES - 1)
    if number >= MOST_SITES:
        found.energy[slot] += energy
        return number
    found.detector[slot] = where
    for axis in range(3):
        found.place[slot, axis] = place[axis] - crystals[where, axis]
    found.energy[slot] = energy
    return number + 1


@compiled
def _index(energy: float) -> int:
    """The grid point of an energy."""
    step = (math.log(energy) - math.log(LOWEST)) / (math.log(HIGHEST) - math.log(LOWEST)) * (GRID - 1)
    return min(max(int(step + 0.5), 0), GRID - 1)


@compiled
def _interact(
    state: rng.State, tables: Materials, index: int, where: int, energy: float, direction: Floats
) -> tuple[float, float, bool]:
    """What a photon does in germanium (`where` not negative) or argon: energy left, energy kept, whether a pair."""
    photo = tables.ge_photo[index] if where >= 0 else tables.ar_photo[index]
    compton = tables.ge_compton[index] if where >= 0 else tables.ar_compton[index]
    choice = rng.uniform(state)
    if energy < CUT or choice < photo:
        return energy, 0.0, False
    if choice < photo + compton or energy < 2.0 * ELECTRON_MASS:
        kept, cosine = scattered(state, energy)
        turned(direction, cosine, 2.0 * math.pi * rng.uniform(state))
        return energy - kept, kept, False
    return energy - 2.0 * ELECTRON_MASS, 0.0, True


@compiled
def _annihilate(state: rng.State, place: Floats, direction: Floats, waiting: Floats, queue: int) -> int:
    """Queue two 511 keV photons back to back; returns the length of the queue."""
    isotropic(state, direction)
    for sign in range(2):
        if queue < waiting.shape[0]:
            waiting[queue, :3] = place
            waiting[queue, 3:6] = direction * (1.0 - 2.0 * sign)
            waiting[queue, 6] = ELECTRON_MASS
            queue += 1
    return queue


@compiled
def fly(
    state: rng.State,
    world: Array,
    tables: Materials,
    place: Floats,
    direction: Floats,
    energy: float,
    found: Sites,
    number: int,
    argon: Floats,
) -> int:
    """Track one photon, and the annihilation photons it makes, until nothing is left.

    Returns
    -------
    number
        of sites found so far; ``argon[0]`` grows by the energy left in liquid argon.
    """
    waiting = np.empty((8, 7))
    waiting[0, :3] = place
    waiting[0, 3:6] = direction
    waiting[0, 6] = energy
    queue = 1
    while queue > 0:
        queue -= 1
        place[:] = waiting[queue, :3]
        direction[:] = waiting[queue, 3:6]
        energy = waiting[queue, 6]
        while energy > 0.0:
            index = _index(energy)
            path = rng.exponential(state) / tables.germanium[index]
            away = 0.0
            for axis in range(3):
                place[axis] += path * direction[axis]
                away += (place[axis] - world.centre[axis]) ** 2
            if away > WORLD_RADIUS**2:
                break
            where = locate(world.crystals, place)
            if where < 0 and rng.uniform(state) > tables.argon[index]:
                continue
            left, energy, pair = _interact(state, tables, index, where, energy, direction)
            if pair:
                queue = _annihilate(state, place, direction, waiting, queue)
            if where >= 0:
                number = _deposit(found, number, world.crystals, where, place, left)
            else:
                argon[0] += left
    return number


@compiled
def decay(
    state: rng.State,
    world: Array,
    tables: Materials,
    lines: Tables,
    origin: Floats,
    found: Sites,
    argon: Floats,
) -> int:
    """One decay at `origin`: every gamma of one drawn path is tracked; returns the number of sites."""
    path = int(np.searchsorted(lines.cumulative, rng.uniform(state)))
    path = min(path, lines.cumulative.size - 1)
    number = 0
    place = np.empty(3)
    direction = np.empty(3)
    for gamma in range(lines.first[path], lines.first[path + 1]):
        place[:] = origin
        isotropic(state, direction)
        number = fly(state, world, tables, place, direction, lines.energy[gamma], found, number, argon)
    return number
