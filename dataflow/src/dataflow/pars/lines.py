"""The gamma lines of the 228Th chain that calibrate germanium detectors.

Energies are those of the evaluated nuclear data (ENSDF, as listed by LNHB/DDEP for 212Pb, 208Tl and 212Bi); double and
single escape are the 2614.511 keV line less 1022 and 511 keV.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """A line and how to fit it.

    Attributes
    ----------
    energy
        In keV.
    below, above
        Width of the fitted window on both sides, in keV.
    full_energy
        Whether it is a clean full-energy peak, with a tail of incomplete charge; others are fitted without.
    for_resolution
        Whether its width belongs to the resolution curve: those of escape peaks are larger by the Doppler effect.
    """

    energy: float
    below: float
    above: float
    full_energy: bool = True
    for_resolution: bool = True

    @property
    def name(self) -> str:
        """The energy as par files call it."""
        return f"{self.energy:g}"


TL208 = 2614.511

TH228: tuple[Line, ...] = (
    Line(238.632, 8, 8, full_energy=False),
    Line(583.187, 20, 20),
    Line(727.330, 25, 25),
    Line(860.557, 25, 25),
    Line(1592.511, 20, 20, full_energy=False, for_resolution=False),
    Line(1620.50, 20, 20, full_energy=False),
    Line(2103.511, 25, 25, full_energy=False, for_resolution=False),
    Line(TL208, 35, 35),
)
"""What a calibration run shows, from 212Pb to 208Tl."""
