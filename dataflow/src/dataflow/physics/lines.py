"""Gamma lines, and how each is fitted; no numpy: plans look at it."""

from __future__ import annotations

from dataclasses import dataclass

TL208 = 2614.511
QBB = 2039.061
"""Energy of the double beta decay of 76Ge, in keV: Q value by B. J. Mount et al., Phys. Rev. C 81 (2010) 032501."""


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
        Whether the peak may have a tail of incomplete charge.
    for_resolution
        Whether its width belongs to the resolution curve: the Doppler effect makes annihilation and escape peaks
        wider.
    intensity
        Photons per 100 decays, 0 if not known.
    uncertainty
        Of the energy, in keV.
    neighbours
        Lines that cannot be told from it: distance in keV and intensity as a part of this line's.
    name
        The energy under which parameter files know the line; 0 for its energy.
    """

    energy: float
    below: float
    above: float
    full_energy: bool = True
    for_resolution: bool = True
    intensity: float = 0.0
    uncertainty: float = 0.0
    neighbours: tuple[tuple[float, float], ...] = ()
    name: float = 0.0

    @property
    def key(self) -> float:
        """The energy as par files call it."""
        return self.name or self.energy


@dataclass(frozen=True)
class Source:
    """What the calibration knows of a source.

    Attributes
    ----------
    lines
        Its lines by energy.
    reference_energy
        Where the resolution is stated, in keV.
    """

    lines: tuple[Line, ...]
    reference_energy: float = QBB


def half_width(energy: float) -> float:
    """Half width of the fitted window of a line that stands alone, in keV."""
    return min(max(4.0 + 0.028 * energy, 5.0), 35.0)


def separation(energy: float) -> float:
    """Distance in keV up to which two lines overlap: some four widths of a germanium detector."""
    return 6.0 + 0.006 * energy
