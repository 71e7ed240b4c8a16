"""Writing the DAQ files and the truth, file by file, in one or several processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from gebox.drawn import number
from gebox.errors import UserError
from gebox.events import Happening, Traces, happenings, state_of
from gebox.experiment import Experiment
from gebox.experiment.model import DaqFile
from gebox.files import fcio
from gebox.resolution import noise_fwhm
from gebox.truth import Record, file_path, run_path, write_run
from gebox.writing import appearing


@dataclass(frozen=True)
class Done:
    """How many files were written, and how many were there before."""

    written: int
    skipped: int


def simulate(experiment: Experiment, daq: Path, truth: Path, *, jobs: int = 1, only: str = "") -> Done:
    """Write all files that are not there yet.

    Parameters
    ----------
    daq, truth
        Folders; files go to ``{datatype}/{period}/{run}/{key}.fcio`` and ``…/{key}-truth.lh5``.
    jobs
        Processes. Each file has a random state of its own, so the bytes do not depend on it.
    only
        Restrict to keys that contain this.

    Raises
    ------
    UserError
        When no key contains `only`.
    """
    files = [file for file in experiment.files if only in file.key]
    if not files:
        first = experiment.files[0].key
        raise UserError(f"no DAQ file of this experiment has {only!r} in its key", hint=f"a key looks like {first}")
    missing = [file for file in files if not _complete(daq, truth, file)]
    _write_runs(experiment, truth, files)
    if missing:
        with _progress(sum(_weight(file) for file in missing)) as advance:
            for file in _each(experiment, daq, truth, missing, jobs):
                advance(_weight(file))
    return Done(len(missing), len(files) - len(missing))


def _weight(file: DaqFile) -> int:
    """What a file costs: its events and a little."""
    return file.events + file.duration // 10 + 1


def _complete(daq: Path, truth: Path, file: DaqFile) -> bool:
    return daq_path(daq, file).is_file() and file_path(truth, file).is_file()


def daq_path(folder: Path, file: DaqFile) -> Path:
    """Where a DAQ file is."""
    return folder / f"{file.stem}.fcio"


def _each(experiment: Experiment, daq: Path, truth: Path, files: list[DaqFile], jobs: int) -> Iterator[DaqFile]:
    """Write the files and tell each when it is done."""
    if jobs <= 1 or len(files) == 1:
        for file in files:
            write_file(experiment, daq, truth, file)
            yield file
        return
    warm_up(experiment)
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    with ProcessPoolExecutor(min(jobs, len(files)), mp_context=context) as pool:
        running = {pool.submit(write_file, experiment, daq, truth, file): file for file in files}
        for future in as_completed(running):
            future.result()
            yield running[future]


def warm_up(experiment: Experiment) -> None:
    """Compile everything in this process, before others are forked from it."""
    for readout in ("sparse", "full"):
        file = next((f for f in experiment.files if f.readout == readout and f.events), None)
        if file is not None:
            for _ in _traced(experiment, replace(file, events=3, duration=40)):
                pass


def _traced(experiment: Experiment, file: DaqFile) -> Iterator[tuple[Happening, list[int], dict[int, int], Traces]]:
    state = state_of(experiment, file)
    traces = Traces(experiment, file, state)
    for happening in happenings(experiment, file, state):
        channels, photoelectrons = traces.event(happening)
        yield happening, channels, photoelectrons, traces


def write_file(experiment: Experiment, daq: Path, truth: Path, file: DaqFile) -> None:
    """Write one DAQ file and its truth; the DAQ file appears last, so that it is there only when both are."""
    record = Record()
    with appearing(daq_path(daq, file)) as temporary, temporary.open("wb", buffering=1 << 20) as stream:
        _stream(experiment, file, stream, record)
        record.write(file_path(truth, file))


def config(experiment: Experiment) -> fcio.Config:
    """The configuration record of all files."""
    addresses = experiment.layout.tracemap
    cards = len({address.card for address in addresses})
    return fcio.Config(
        adcs=len(addresses), eventsamples=experiment.layout.samples, adccards=cards, sumlength=1,
        tracemap=tuple(address.tracemap for address in addresses), streamid=addresses[0].fcid,
    )  # fmt: skip


def _stream(experiment: Experiment, file: DaqFile, stream: BinaryIO, record: Record) -> None:
    writer = fcio.Writer(stream, config(experiment))
    rawids = [address.rawid for address in experiment.layout.tracemap]
    germanium = [detector.address.rawid for detector in experiment.layout.detectors]
    next_status = 0.0
    for index, (happening, channels, light, traces) in enumerate(_traced(experiment, file)):
        if happening.time >= next_status:
            writer.status(status(experiment, file, next_status, index))
            next_status += STATUS_PERIOD
        header = event_header(file, happening.time, index)
        if traces.full:
            writer.event(header, traces.rows[:, 2:].copy())
        else:
            writer.sparse_event(header, channels, traces.rows[channels])
        _note(record, happening, header, index, [rawids[c] for c in channels], light, germanium)
    writer.status(status(experiment, file, float(file.duration), -1))


STATUS_PERIOD = 300.0
"""Seconds between two status records."""


def event_header(file: DaqFile, time: float, index: int) -> fcio.Event:
    """Clock of an event `time` seconds after the begin of a file, for a clock that was reset then."""
    ticks = round(time * fcio.CLOCK_HZ)
    timestamp = (index, ticks // fcio.CLOCK_HZ, ticks % fcio.CLOCK_HZ, fcio.CLOCK_HZ - 1, 0, 0, 0, 0, 0, 0)
    return fcio.Event(timestamp, (file.start, 0, file.start, 0, 0, file.start, 0, 0, 0, 0))


def status(experiment: Experiment, file: DaqFile, time: float, events: int) -> fcio.Status:
    """All cards in good health."""
    seconds = int(time)
    cards = []
    total = 1 + len({address.card for address in experiment.layout.tracemap})
    for card in range(total):
        request = 0 if card == 0 else 0x2000 + card - 1
        words = [request, 1, events, seconds, 0, fcio.CLOCK_HZ - 1]
        words += [0] * (fcio.CARD_BYTES // 4 - len(words))
        cards.append(fcio.integers(words))
    times = (seconds, 0, file.start + seconds, 0, 0, file.start, 0, 0, 0, 0)
    return fcio.Status(1, times, tuple(cards))


def _note(
    record: Record, happening: Happening, header: fcio.Event, index: int, channels: Iterable[int],
    light: dict[int, int], germanium: list[int],
) -> None:  # fmt: skip
    """Note the truth of an event."""
    read = set(channels)
    hits = [hit for hit in happening.hits if germanium[hit.detector] in read]
    sites = [(germanium[hit.detector], *site, e) for hit in hits for site, e in zip(hit.places, hit.energies, strict=True)]
    record.event(
        eventnumber=index,
        timestamp=fcio.unix_time(header),
        source=int(happening.source),
        argon_energy=happening.argon,
        hit_rawid=[germanium[hit.detector] for hit in hits],
        hit_kind=[int(hit.kind) for hit in hits],
        hit_energy=[hit.energy for hit in hits],
        hit_charge=[hit.charge for hit in hits],
        hit_drift_time=[hit.drift for hit in hits],
        hit_start=[hit.start for hit in hits],
        site_rawid=[site[0] for site in sites],
        site_x=[site[1] for site in sites],
        site_y=[site[2] for site in sites],
        site_z=[site[3] for site in sites],
        site_energy=[site[4] for site in sites],
        photoelectrons_rawid=list(light),
        photoelectrons=list(light.values()),
    )


def _write_runs(experiment: Experiment, truth: Path, files: list[DaqFile]) -> None:
    """Write the true constants of the runs concerned."""
    for period, run in sorted({(file.period, file.run) for file in files}):
        if run_path(truth, period, run).is_file():
            continue
        first = experiment.runs()[period, run][0]
        noise = {}
        for detector in experiment.layout.detectors:
            constants = experiment.constants(detector, first)
            seed = number(experiment.seed, f"resolution/{detector.name}/{period}/{run}")
            noise[detector.name] = noise_fwhm(constants, seed)
        write_run(experiment, truth, period, run, noise)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar where rich is installed and the output is a terminal; else silence."""
    try:
        from rich.progress import Progress
    except ImportError:
        yield lambda amount: None
        return
    with Progress(transient=True) as bar:
        task = bar.add_task("simulating", total=total)
        yield lambda amount: bar.advance(task, amount)
