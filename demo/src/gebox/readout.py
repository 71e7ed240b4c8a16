"""All channels of an event, as the experiment reads them out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from gebox.drawn import number
from gebox.experiment import Experiment
from gebox.experiment.layouts import SAMPLING_NS
from gebox.experiment.model import DaqFile
from gebox.germanium import Germanium
from gebox.happenings import Happening, Nature, happenings
from gebox.physics import rng
from gebox.signals import light, noise, trace
from gebox.truth import Kind

PRE_TRIGGER = 1800
"""Samples before the trigger: 28.8 us, room for a trapezoid of 10 us rise and 3 us flat top on either side."""
LARGE = 22_000.0
"""Height of the pulses in pulser, baseline and muon channels, in counts."""


@dataclass(frozen=True)
class Triggered:
    """An event that is written: what happened, which traces, detected photo-electrons by raw id."""

    happening: Happening
    channels: list[int]
    photoelectrons: dict[int, int]
    rows: np.ndarray[tuple[int, int], np.dtype[np.uint16]]
    """Traces of all channels, those read out filled; shape (channels, 4 + samples), overwritten by the next event."""


class Readout:
    """Makes the traces of a file's events; with other shares of defects if these are given."""

    def __init__(
        self, experiment: Experiment, file: DaqFile, nature: Nature, shares: Mapping[Kind, float] | None = None
    ) -> None:
        layout = experiment.layout
        self.state = nature.state
        self.full = file.readout == "full"
        self.germanium = Germanium(experiment, file, nature, shares)
        order = [address.rawid for address in layout.tracemap]
        self.detector_rows = [order.index(detector.address.rawid) for detector in layout.detectors]
        self.auxiliaries = [(order.index(a.address.rawid), a) for a in layout.auxiliaries]
        self.bank = noise.bank(self.state, light.NOISE, 0.5)
        self.rows = np.zeros((len(order), 4 + layout.samples), np.uint16)
        self.steps = np.zeros(layout.samples)
        self.trace = np.zeros(layout.samples)

    def event(self, happening: Happening) -> Triggered | None:
        """Fill :attr:`rows`; None where no channel triggers after all (the charge was lost at a surface)."""
        start = (PRE_TRIGGER + rng.uniform(self.state)) * SAMPLING_NS
        heights = self.germanium.collect(happening, start)
        if not heights and happening.source is not Kind.LIGHT:
            return None
        hits = {hit.detector: hit for hit in happening.hits}
        wanted = range(len(self.detector_rows)) if self.full else sorted(heights)
        for detector in wanted:
            row = self.rows[self.detector_rows[detector]]
            self.germanium.trace_of(detector, hits.get(detector), heights.get(detector, 0.0), row)
        channels = [self.detector_rows[detector] for detector in wanted]
        photoelectrons: dict[int, int] = {}
        for index, auxiliary in self.auxiliaries:
            fires = (auxiliary.system, happening.source) in FIRES
            if auxiliary.system == "spms" and self.full:
                photoelectrons[auxiliary.address.rawid] = self._sipm(index, happening.argon, start)
            elif auxiliary.system != "spms" and (self.full or fires):
                self._digital(index, start, fires=fires)
            else:
                continue
            channels.append(index)
        return Triggered(happening, sorted(channels), photoelectrons, self.rows)

    def _sipm(self, index: int, argon: float, start: float) -> int:
        self.steps[:] = 0.0
        self.trace[:] = 0.0
        found = light.photons(self.state, light.PER_MEV * argon * 1e-3, start, self.steps)
        light.pulses(self.steps, self.trace)
        chain = trace.plain(light.BASELINE + light.STEP * (index % 6))
        trace.digitise(self.state, self.trace, chain, self.bank, 0.0, self.rows[index])
        return found

    def _digital(self, index: int, start: float, *, fires: bool) -> None:
        """Pulser, baseline and muon channels show a large pulse when they fire, else their baseline."""
        self.steps[:] = 0.0
        self.trace[:] = 0.0
        if fires:
            self.steps[math.ceil(start / SAMPLING_NS)] = LARGE
        chain = trace.plain(15_000.0, 200_000.0)
        trace.respond(self.steps, chain, self.trace)
        trace.digitise(self.state, self.trace, chain, self.bank, LARGE if fires else 0.0, self.rows[index])


FIRES = {("puls", Kind.PULSER), ("bsln", Kind.FORCED), ("auxs", Kind.MUON)}
"""Which auxiliary channel shows its signal in an event of which cause."""


def events(
    experiment: Experiment, file: DaqFile, *, stream: str = "file", shares: Mapping[Kind, float] | None = None
) -> Iterator[Triggered]:
    """All events of a file in order of time; seed and key alone decide what they are.

    Parameters
    ----------
    stream
        Another one than ``file`` gives other events.
    shares
        Of the defects, if not the usual ones.
    """
    state = rng.seeded(number(experiment.seed, f"{stream}/{file.key}"))
    nature = Nature(experiment.layout, file, state, experiment.source)
    readout = Readout(experiment, file, nature, shares)
    for happening in happenings(experiment.layout, file, nature):
        triggered = readout.event(happening)
        if triggered is not None:
            yield triggered
