"""Which lines events are selected of, and how far around them; no numpy: plans look at it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dataflow.metadata.settings import Nowhere, Place
from dataflow.physics.lines import Line, Source
from dataflow.steps.par_hit_ecal.settings import Sources, SpectrumSettings
from dataflow.steps.par_hit_ecal.source import source_of

from .settings import SelectionSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dataflow.keys.channel import Channel
    from dataflow.metadata.stepconfig import StepConfig
    from dataflow.steps.par_hit_ecal.settings import Nuclide

SAME = 1.0
"""Two energies in keV that are this near mean the same line."""
MARGIN = 5.0
"""Events are taken so many keV further than the line is fitted: fits move their window with the peak."""
RULE = "peak_config"


@dataclass(frozen=True)
class Selection:
    """What is selected.

    Attributes
    ----------
    lines
        The lines, with the windows in which events are taken.
    source
        All lines by which the spectrum is recognised.
    """

    lines: tuple[Line, ...]
    source: Source


def selection_of(config: StepConfig, channel: Channel) -> tuple[SelectionSettings, Selection]:
    """How the events of a detector are selected, and of which lines.

    Raises
    ------
    UserError
        If the configuration is not valid; file and line are named.
    """
    settings = config.settings(RULE, SelectionSettings, channel)
    table = config.settings("sources", Sources, channel)
    return settings, selected_lines(settings, table.nuclides, config.layers(RULE, channel))


def selected_lines(settings: SelectionSettings, table: Mapping[str, Nuclide], place: Place | None = None) -> Selection:
    """The lines that settings mean.

    Raises
    ------
    UserError
        If there is no such source or line.
    """
    where = place or Nowhere()
    spectrum = SpectrumSettings(source=settings.source)
    source = source_of(spectrum, table, where, RULE, alone=True)
    if not settings.peaks:
        return Selection(tuple(_wider(line) for line in source.lines if line.for_resolution), source)
    widths = settings.kev_widths or (None,) * len(settings.peaks)
    lines = []
    for energy, width in zip(settings.peaks, widths, strict=True):
        near = [line for line in source.lines if abs(line.energy - energy) < SAME]
        if not near:
            known = ", ".join(f"{line.energy:g}" for line in source.lines)
            message = f"{RULE}.peaks: the source has no line at {energy:g} keV"
            raise where.error(message, "peaks", hint=f"its lines are {known}")
        line = min(near, key=lambda line: abs(line.energy - energy))
        lines.append(replace(line, below=width[0], above=width[1]) if width else _wider(line))
    return Selection(tuple(lines), source)


def _wider(line: Line) -> Line:
    return replace(line, below=line.below + MARGIN, above=line.above + MARGIN)
