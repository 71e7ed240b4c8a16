"""The records of a DAQ file: configuration, events, status; and the truth of each event."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Protocol

from gebox.experiment import Experiment
from gebox.experiment.model import DaqFile
from gebox.files import fcio, fsp, orca
from gebox.readout import Triggered, events
from gebox.truth import Record

STATUS_PERIOD = 300.0
"""Seconds between two status records."""


class Sink(Protocol):
    """What a container's writer can do."""

    def event(self, event: fcio.Event, traces: fcio.Traces) -> None:
        """Write an event with all traces."""

    def sparse_event(self, event: fcio.Event, channels: list[int], traces: fcio.Traces) -> None:
        """Write an event with some traces."""

    def status(self, status: fcio.Status, counts: fsp.Counts | None = None) -> None:
        """Write a status record, and the numbers of the software trigger where there is one."""


Opener = Callable[[BinaryIO, Experiment, DaqFile], Sink]


def fcio_sink(stream: BinaryIO, experiment: Experiment, file: DaqFile) -> Sink:  # noqa: ARG001 - as all openers
    """Begin a FlashCam file."""
    return fcio.Writer(stream, config(experiment))


def orca_sink(stream: BinaryIO, experiment: Experiment, file: DaqFile) -> Sink:
    """Begin an ORCA file, whose stream has a software trigger, as LEGEND-200's has."""
    number = int(file.period[1:]) * 1000 + int(file.run[1:])
    made = config(experiment)
    return orca.Writer(stream, [made], orca.Run(number, file.start), {orca.identity(made): trigger(experiment)})


SINKS: dict[str, Opener] = {"fcio": fcio_sink, "orca": orca_sink}
"""By the extension of the file's name."""


def config(experiment: Experiment) -> fcio.Config:
    """The configuration record of all files."""
    addresses = experiment.layout.tracemap
    return fcio.Config(
        adcs=len(addresses),
        eventsamples=experiment.layout.samples,
        adccards=len({address.card for address in addresses}),
        tracemap=tuple(address.tracemap for address in addresses),
        streamid=addresses[0].fcid,
    )


def trigger(experiment: Experiment) -> fsp.Trigger:
    """The software trigger: germanium detectors in its hardware multiplicity, light sensors in its peak sum."""
    layout = experiment.layout
    names = {detector.address: detector.name for detector in layout.detectors}
    names |= {auxiliary.address: auxiliary.name for auxiliary in layout.auxiliaries}
    light = {auxiliary.address for auxiliary in layout.auxiliaries if auxiliary.system == "spms"}
    germanium = {detector.address for detector in layout.detectors}
    places = list(enumerate(layout.tracemap))
    return fsp.Trigger(
        traces=len(places),
        germanium=tuple(place for place, address in places if address in germanium),
        light=tuple(place for place, address in places if address in light),
        names=tuple(names[address] for _, address in places),
    )


def record(experiment: Experiment, file: DaqFile, stream: BinaryIO, open_sink: Opener = fcio_sink) -> Record:
    """Write all records of a file to `stream`; returns the truth."""
    sink = open_sink(stream, experiment, file)
    rawids = [address.rawid for address in experiment.layout.tracemap]
    germanium = [detector.address.rawid for detector in experiment.layout.detectors]
    truth = Record()
    next_status, known = 0.0, 0
    for index, triggered in enumerate(events(experiment, file)):
        time = triggered.happening.time
        while time >= next_status:
            sink.status(status(experiment, file, next_status, index), counts(file, next_status, index, known))
            known = index
            next_status += STATUS_PERIOD
        header = event_header(file, time, index)
        if file.readout == "full":
            sink.event(header, triggered.rows[:, 2:].copy())
        else:
            sink.sparse_event(header, triggered.channels, triggered.rows[triggered.channels])
        note(truth, triggered, header, {rawids[c] for c in triggered.channels}, germanium)
    total = len(truth)
    end = float(file.duration)
    sink.status(status(experiment, file, end, total), counts(file, end, total, known))
    if isinstance(sink, orca.Writer):
        sink.finish(file.start + file.duration)
    return truth


def event_header(file: DaqFile, time: float, index: int) -> fcio.Event:
    """Clock of an event `time` seconds after the beginning of a file, for a clock that was reset then."""
    ticks = round(time * fcio.CLOCK_HZ)
    timestamp = (index, ticks // fcio.CLOCK_HZ, ticks % fcio.CLOCK_HZ, fcio.CLOCK_HZ - 1, 0, 0, 0, 0, 0, 0)
    return fcio.Event(timestamp, (file.start, 0, file.start, 0, 0, file.start, 0, 0, 0, 0))


def status(experiment: Experiment, file: DaqFile, time: float, number: int) -> fcio.Status:
    """All cards in good health: card id, event number, time, and zeros for everything that is measured."""
    seconds = int(time)
    requests = [0] + [0x2000 + card for card in range(len({a.card for a in experiment.layout.tracemap}))]
    cards = []
    for request in requests:
        words = [request, 1, number, seconds, 0, fcio.CLOCK_HZ - 1]
        cards.append(fcio.integers(words + [0] * (fcio.CARD_BYTES // 4 - len(words))))
    times = (seconds, 0, file.start + seconds, 0, 0, file.start, 0, 0, 0, 0)
    return fcio.Status(0, times, tuple(cards))


def counts(file: DaqFile, time: float, number: int, known: int) -> fsp.Counts:
    """What the software trigger has counted up to a status, `known` events of it before the last one."""
    since = time % STATUS_PERIOD or min(time, STATUS_PERIOD)
    return fsp.Counts(float(file.start), file.start + time, since, number, number - known)


def note(truth: Record, triggered: Triggered, header: fcio.Event, read: set[int], germanium: list[int]) -> None:
    """Add an event to the truth: all hits of detectors that were read out, and their sites."""
    hits = [hit for hit in triggered.happening.hits if germanium[hit.detector] in read]
    sites = [(germanium[h.detector], *p, e) for h in hits for p, e in zip(h.places, h.energies, strict=True)]
    truth.event(
        eventnumber=header.timestamp[0],
        timestamp=fcio.unix_time(header),
        source=int(triggered.happening.source),
        argon_energy=triggered.happening.argon,
        hit_rawid=[germanium[hit.detector] for hit in hits],
        hit_kind=[int(hit.kind) for hit in hits],
        hit_energy=[hit.energy for hit in hits],
        hit_charge=[hit.charge for hit in hits],
        hit_drift_time=[hit.drift for hit in hits],
        hit_current=[hit.current for hit in hits],
        hit_late=[hit.late for hit in hits],
        hit_start=[hit.start for hit in hits],
        hit_saturated=[int(hit.saturated) for hit in hits],
        hit_second_charge=[hit.second_charge for hit in hits],
        hit_second_start=[hit.second_start for hit in hits],
        site_rawid=[site[0] for site in sites],
        site_x=[site[1] for site in sites],
        site_y=[site[2] for site in sites],
        site_z=[site[3] for site in sites],
        site_energy=[site[4] for site in sites],
        photoelectrons_rawid=list(triggered.photoelectrons),
        photoelectrons=list(triggered.photoelectrons.values()),
    )
