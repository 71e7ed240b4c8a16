"""Interaction of photons with germanium and liquid argon.

Germanium: NIST XCOM (Berger et al., NIST Standard Reference Database 8), barn per atom, without coherent scattering,
which moves no energy. Argon: Compton scattering scaled by the number of electrons, photo-absorption and pair production
by powers of Z (4.5 and 2), good to 20 % where they matter little.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ENERGY = np.array(
    [5.0, 6.0, 8.0, 10.0, 11.103, 11.104, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0, 200.0, 300.0, 400.0,
     500.0, 600.0, 800.0, 1000.0, 1022.0, 1250.0, 1500.0, 2000.0, 3000.0, 4000.0, 5000.0, 6000.0, 8000.0, 10000.0]
)  # fmt: skip
"""keV."""
_PHOTO = np.array(
    [2.943e4, 1.786e4, 8.048e3, 4.306e3, 3.206e3, 2.371e4, 1.090e4, 4.996e3, 1.610e3, 704.5, 367.0, 214.0, 90.61, 46.24,
     13.56, 5.706, 1.733, 0.7731, 0.4270, 0.2699, 0.1379, 0.08585, 0.08158, 0.05512, 0.03968, 0.02437, 0.01314,
     8.813e-3, 6.576e-3, 5.225e-3, 3.685e-3, 2.839e-3]
)  # fmt: skip
_COMPTON = np.array(
    [5.025, 5.856, 7.328, 8.579, 9.180, 9.180, 10.91, 12.38, 14.00, 14.75, 15.05, 15.12, 14.94, 14.59, 13.57, 12.63,
     11.13, 10.03, 9.188, 8.516, 7.497, 6.747, 6.676, 6.038, 5.490, 4.687, 3.689, 3.077, 2.658, 2.349, 1.922, 1.637]
)  # fmt: skip
_PAIR = np.array([0.0] * 23 + [0.01073, 0.0532, 0.1971, 0.5391, 0.8579, 1.1405, 1.3901, 1.8151, 2.1643])
"""In the fields of the nucleus and of the electrons."""

ELECTRON_MASS: Final = 510.99895
"""keV."""
AVOGADRO_BARN: Final = 0.602214076
"""Avogadro's number times a barn, in cm2/mol."""
GE_DENSITY, GE_MASS = 5.55, 75.6
"""g/cm3 and g/mol of germanium enriched in 76Ge."""
AR_DENSITY, AR_MASS, AR_Z = 1.396, 39.95, 18.0

GRID: Final = 600
LOWEST, HIGHEST = 5.0, 10_000.0


class Materials(NamedTuple):
    """Interaction of photons on a logarithmic grid of :data:`GRID` energies from :data:`LOWEST` to :data:`HIGHEST` keV.

    Shape (GRID,) each: attenuation of germanium in 1/mm, its shares of photo-absorption and of Compton scattering (the
    rest is pair production), the ratio of argon's attenuation to germanium's, and argon's two shares.
    """

    germanium: Floats
    ge_photo: Floats
    ge_compton: Floats
    argon: Floats
    ar_photo: Floats
    ar_compton: Floats


def energies() -> Floats:
    """The energies of the grid in keV."""
    return np.exp(np.linspace(np.log(LOWEST), np.log(HIGHEST), GRID))


def germanium(energy: Floats) -> tuple[Floats, Floats, Floats]:
    """Photo-absorption, Compton scattering and pair production in barn per atom, log-log interpolated.

    Pair production is interpolated in (E - 2 m)^2 as its threshold behaviour makes logarithms useless.
    """
    logs = np.log(energy)
    photo = np.exp(np.interp(logs, np.log(_ENERGY), np.log(_PHOTO)))
    compton = np.exp(np.interp(logs, np.log(_ENERGY), np.log(_COMPTON)))
    above = np.clip(energy - 2 * ELECTRON_MASS, 0.0, None)
    nodes = _ENERGY[23:]
    slope = np.interp(energy, nodes, _PAIR[23:] / (nodes - 2 * ELECTRON_MASS) ** 2)
    return photo, compton, slope * above**2


def materials() -> Materials:
    """The tables that the transport looks up."""
    photo, compton, pair = germanium(energies())
    total = photo + compton + pair
    per_mm = 0.1 * AVOGADRO_BARN * GE_DENSITY / GE_MASS
    ratio = AR_Z / 32.0
    ar_photo, ar_compton, ar_pair = photo * ratio**4.5, compton * ratio, pair * ratio**2
    ar_total = ar_photo + ar_compton + ar_pair
    ar_per_mm = 0.1 * AVOGADRO_BARN * AR_DENSITY / AR_MASS
    # below argon's share of germanium's attenuation nothing is lost: the K edge lies below any threshold
    share = np.clip(ar_total * ar_per_mm / (total * per_mm), 0.0, 1.0)
    return Materials(total * per_mm, photo / total, compton / total, share, ar_photo / ar_total, ar_compton / ar_total)
