"""Which lines a calibration uses: those of its sources, by the table ``sources``, as the settings choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dataflow.base.messages import nearest
from dataflow.metadata.settings import Nowhere, Place
from dataflow.physics.lines import QBB, Line, Source, half_width, separation

from .settings import LineSettings, Nuclide, Settings, Sources, SpectrumSettings, estimator_name

if TYPE_CHECKING:
    from dataflow.keys.channel import Channel
    from dataflow.metadata.stepconfig import StepConfig

SAME = 1.0
"""Two energies in keV that are this near mean the same line."""
LEAST_NEIGHBOUR = 0.003
"""Share of a line's intensity from which on a neighbour belongs into its model."""
LEAST_FAR_NEIGHBOUR = 0.02
"""Share of a line's intensity from which on a neighbour ends its window."""


def calibration_of(config: StepConfig, channel: Channel) -> tuple[Settings, Source]:
    """How a detector is calibrated, and with which lines.

    Raises
    ------
    UserError
        If the configuration is not valid; file and line are named.
    """
    settings, table = config.settings("ecal_config", Settings, channel), config.settings("sources", Sources, channel)
    place = config.layers("ecal_config", channel)
    check_copies(settings, [estimator_name(parameter) for parameter in settings.energy_params], place)
    return settings, source_of(settings, table.nuclides, place)


def check_copies(
    settings: SpectrumSettings, estimators: Sequence[str], place: Place, called: str = "ecal_config"
) -> None:
    """Make sure that the calibrations that are to be copied are made.

    Raises
    ------
    UserError
        If one is not.
    """
    names = [f"{estimator}_cal" for estimator in estimators]
    for name, copied in settings.copy_calibration.items():
        if copied.copy_param not in names:
            message = f"{called}.copy_calibration.{name}: there is no calibration {copied.copy_param!r} to copy"
            hint = f"there are {', '.join(names)}"
            raise place.error(message, "copy_calibration", name, "copy_param", hint=hint)


def source_of(
    settings: SpectrumSettings,
    table: Mapping[str, Nuclide],
    place: Place | None = None,
    called: str = "ecal_config",
    *,
    alone: bool = False,
) -> Source:
    """The lines that a calibration uses.

    Parameters
    ----------
    settings
        Names sources and lines.
    table
        The nuclides of the input ``sources``.
    place
        Where the settings stand.
    called
        What the input with the settings is called.
    alone
        Whether a single line will do.

    Raises
    ------
    UserError
        If a source, or a line that is to be left out, is not known, or if there is but one line and no expected gain.
    """
    where = place or Nowhere()
    for name in settings.sources:
        if name not in table:
            hint = nearest(name, sorted(table))
            raise where.error(f"{called}.source: there is no source {name!r}", "source", hint=hint)
    known = [line for name in settings.sources for line in table[name].lines]
    chosen = _chosen(settings, known)
    lines = tuple(_line(line, chosen, known) for line in _without(chosen, settings.excluded_lines, where, called))
    if not alone or not lines:
        _enough(lines, settings, where, called)
    own = (table[name].reference_energy for name in settings.sources)
    default = next((energy for energy in own if energy), QBB)
    return Source(tuple(sorted(lines, key=lambda line: line.energy)), settings.reference_energy or default)


def _chosen(settings: SpectrumSettings, known: Sequence[LineSettings]) -> list[LineSettings]:
    if not settings.lines:
        return [line for line in known if line.calibrates]
    return [_wanted(line, known) for line in settings.lines]


def _wanted(line: float | LineSettings, known: Sequence[LineSettings]) -> LineSettings:
    """What ``lines`` asks for: an energy is looked up among the lines of the source."""
    if isinstance(line, LineSettings):
        return line
    near = [entry for entry in known if abs(entry.energy - line) < SAME]
    return min(near, key=lambda entry: abs(entry.energy - line)) if near else LineSettings(energy=line)


def _without(
    chosen: Sequence[LineSettings], excluded: Sequence[float], where: Place, called: str
) -> list[LineSettings]:
    for energy in excluded:
        if not any(abs(line.energy - energy) < SAME for line in chosen):
            lines = ", ".join(f"{line.energy:g}" for line in chosen)
            message = f"{called}.excluded_lines: the source has no line at {energy:g} keV"
            raise where.error(message, "excluded_lines", hint=f"its lines are {lines}")
    return [line for line in chosen if not any(abs(line.energy - energy) < SAME for energy in excluded)]


def _enough(lines: Sequence[Line], settings: SpectrumSettings, where: Place, called: str) -> None:
    if len(lines) >= 2 or (lines and settings.gains):
        return
    what = f"one line ({lines[0].energy:g} keV) identifies nothing" if lines else "there is no line to calibrate with"
    raise where.error(
        f"{called}: {what}",
        "lines" if settings.lines else "source",
        hint="add the lines of another source, or say between which gains to look: expected_gain: [low, high], "
        "in keV per unit of the estimator",
    )


def _line(line: LineSettings, chosen: Sequence[LineSettings], known: Sequence[LineSettings]) -> Line:
    """How a line is fitted: neighbours that overlap belong to its model, others end its window."""
    reach = separation(line.energy)
    others = {other.energy: other for other in (*known, *chosen) if other.energy != line.energy and line in known}
    others |= {other.energy: other for other in chosen if other.energy != line.energy}
    below = above = half_width(line.energy)
    joint = []
    for other in sorted(others.values(), key=lambda other: other.energy):
        distance = other.energy - line.energy
        share = other.intensity / line.intensity if other.intensity and line.intensity else None
        if abs(distance) <= reach and share is not None:
            joint += [(distance, share)] if share > LEAST_NEIGHBOUR else []
        elif share is None or share > LEAST_FAR_NEIGHBOUR:
            free = max(abs(distance) - reach / 2, abs(distance) / 2)
            below, above = (min(below, free), above) if distance < 0 else (below, min(above, free))
    return Line(
        line.energy,
        line.below or below,
        line.above or above,
        full_energy=line.tail,
        for_resolution=not line.broad,
        intensity=line.intensity or 0.0,
        uncertainty=line.uncertainty,
        neighbours=tuple(joint),
        name=line.name or 0.0,
    )
