"""Gamma rays of the nuclides in the source and around the detectors.

A nuclide is a list of paths: a path is a set of gammas emitted together, with its intensity per 100 decays of the head
of the chain in equilibrium. Cascades that matter are paths of several gammas, so their summing comes out; the others
are emitted alone, which keeps every line's intensity.

Sources: energies and intensities from the Decay Data Evaluation Project (Table of Radionuclides, BIPM-5, LNHB) and
ENSDF, rounded; the energies of the calibration lines are those that LEGEND calibrates with.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Path = tuple[float, tuple[float, ...]]

_TL = 0.3594
"""Share of 212Bi that decays to 208Tl."""

TL208 = 2614.511
"""The line of 208Tl whose pairs make the double-escape peak, in keV."""

TH228: Final[tuple[Path, ...]] = (
    # 228Th, 224Ra, 220Rn
    (1.06, (84.373,)), (0.13, (131.612, 84.373)), (0.10, (166.410, 84.373)), (0.246, (215.985,)),
    (4.12, (240.986,)), (0.115, (549.73,)),
    # 212Pb
    (43.6, (238.632,)), (2.56, (300.087,)), (0.62, (300.087, 115.183)),
    # 212Bi to 212Po; what feeds the 727 keV level is emitted with it
    (4.96, (727.330,)), (1.11, (785.37, 727.330)), (0.38, (893.41, 727.330)), (0.14, (952.12, 727.330)),
    (0.06, (1074.0, 727.330)), (0.56, (1078.63,)), (1.51, (1620.50,)), (0.29, (1512.70,)), (0.06, (1679.45,)),
    (0.10, (1805.96,)),
    # 208Tl: every decay passes the 2614.5 keV level, most the 583 keV transition above it
    (_TL * 54.0, (583.187, 2614.511)), (_TL * 22.6, (510.74, 583.187, 2614.511)),
    (_TL * 6.6, (277.37, 583.187, 2614.511)), (_TL * 1.79, (763.45, 583.187, 2614.511)),
    (_TL * 12.5, (860.564, 2614.511)), (_TL * 2.26, (2614.511,)),
)  # fmt: skip

K40: Final[tuple[Path, ...]] = ((10.34, (1460.822,)),)

BI214: Final[tuple[Path, ...]] = (
    # 214Pb
    (7.27, (241.997,)), (18.41, (295.224,)), (35.60, (351.932,)),
    # 214Bi: the strong cascades through the 609 keV level, then ground state transitions
    (14.91, (1120.294, 609.312)), (5.83, (1238.122, 609.312)), (4.89, (768.360, 609.312)), (3.10, (934.056, 609.312)),
    (2.13, (1509.21, 609.312)), (2.39, (1407.99, 609.312)), (12.2, (609.312,)), (15.31, (1764.491,)),
    (3.98, (1377.67,)), (4.91, (2204.06,)), (2.84, (1729.60,)), (2.03, (1847.43,)), (1.55, (2447.70,)),
)  # fmt: skip


CO60: Final[tuple[Path, ...]] = ((99.85, (1173.228, 1332.492)), (0.13, (1332.492,)))

CS137: Final[tuple[Path, ...]] = ((84.99, (661.657,)),)

NA22: Final[tuple[Path, ...]] = ((90.35, (510.999, 510.999, 1274.537)), (9.59, (1274.537,)))

BA133: Final[tuple[Path, ...]] = (
    (22.0, (356.0129, 80.9979)), (40.05, (356.0129,)), (18.31, (302.8508,)), (8.94, (383.8485,)), (7.13, (276.3989,)),
    (11.31, (80.9979,)), (2.63, (79.6142,)), (2.14, (53.1622,)), (0.638, (160.6121,)), (0.450, (223.2368,)),
)  # fmt: skip

EU152: Final[tuple[Path, ...]] = (
    # through the 344 keV level of 152Gd
    (12.97, (778.9045, 344.2785)), (2.24, (411.1165, 344.2785)), (1.73, (1089.737, 344.2785)),
    (1.63, (1299.142, 344.2785)), (8.02, (344.2785,)),
    # through the 122 keV level of 152Sm, whose transition is converted in half of the decays
    (11.0, (1408.013, 121.7817)), (9.85, (1408.013,)), (7.0, (1112.076, 121.7817)), (6.41, (1112.076,)),
    (7.5, (964.079, 121.7817)), (7.0, (964.079,)), (2.91, (121.7817,)),
    (10.13, (1085.837,)), (7.55, (244.6974,)), (4.24, (867.380,)), (3.12, (443.965,)), (1.42, (1212.948,)),
    (0.14, (963.367,)),
)  # fmt: skip

AM241: Final[tuple[Path, ...]] = (
    (35.92, (59.5409,)), (2.31, (26.3446,)), (0.1215, (33.1963,)), (0.0203, (98.97,)), (0.0195, (102.98,)),
    (0.0041, (125.30,)),
)  # fmt: skip

SOURCES: Final[dict[str, tuple[Path, ...]]] = {
    "Th228": TH228, "Co60": CO60, "Eu152": EU152, "Ba133": BA133, "Am241": AM241, "K40": K40, "Cs137": CS137,
    "Na22": NA22,
}  # fmt: skip
"""What the calibration source may be."""

COMPARED: Final[dict[str, tuple[float, ...]]] = {
    "Th228": (583.187, 2614.511), "Co60": (1173.228, 1332.492), "Eu152": (344.2785, 1408.013),
    "Ba133": (302.8508, 356.0129), "Am241": (59.5409,), "K40": (1460.822,), "Cs137": (661.657,), "Na22": (1274.537,),
}  # fmt: skip
"""The lines that a calibration is compared with."""


class Tables(NamedTuple):
    """Paths for the compiled code: cumulative probability (paths,), first gamma (paths + 1,), energies (gammas,)."""

    cumulative: NDArray[np.float64]
    first: NDArray[np.int64]
    energy: NDArray[np.float64]


def tables(*sources: tuple[float, tuple[Path, ...]]) -> Tables:
    """Merge nuclides by their activities; a draw from the result is one decay that emits something."""
    paths = [(activity * intensity, gammas) for activity, nuclide in sources for intensity, gammas in nuclide]
    weights = np.array([weight for weight, _ in paths])
    first = np.cumsum([0, *(len(gammas) for _, gammas in paths)])
    energy = np.array([gamma for _, gammas in paths for gamma in gammas])
    return Tables(np.cumsum(weights) / weights.sum(), first.astype(np.int64), energy)


def intensity(nuclide: tuple[Path, ...], energy: float) -> float:
    """Intensity of a line per 100 decays of the chain's head."""
    return sum(weight * gammas.count(energy) for weight, gammas in nuclide)
