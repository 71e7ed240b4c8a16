"""Writing the DAQ files and the truth, file by file, in one or several processes."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gebox.acquisition import SINKS, record
from gebox.check import usual_places
from gebox.errors import UserError
from gebox.experiment import Experiment
from gebox.experiment.build import RECORD, REMARK, recorded
from gebox.experiment.model import DaqFile
from gebox.readout import events
from gebox.resolution import noise_fwhm
from gebox.summary import summarise
from gebox.truth import file_path, run_path, write_run
from gebox.writing import appearing, write_yaml


@dataclass(frozen=True)
class Done:
    """How many files were written, and how many were there before."""

    written: int
    skipped: int


def simulate(
    experiment: Experiment, daq: Path, truth: Path, *, jobs: int = 1, only: str = "", form: str = "fcio"
) -> Done:
    """Write all files that are not there yet.

    Parameters
    ----------
    daq, truth
        Folders; files go to ``{datatype}/{period}/{run}/{key}.fcio`` and ``…/{key}-truth.lh5``.
    jobs
        Processes. Each file has a random state of its own, so the bytes do not depend on it.
    only
        Restrict to keys that contain this.
    form
        Container: ``fcio``, or ``orca`` with FlashCam records inside.

    Raises
    ------
    UserError
        When no key contains `only`.
    """
    files = [file for file in experiment.files if only in file.key]
    if not files:
        first = experiment.files[0].key
        raise UserError(f"no DAQ file of this experiment has {only!r} in its key", hint=f"a key looks like {first}")
    missing = [file for file in files if not _complete(daq, truth, file, form)]
    if missing:
        with _progress(sum(_weight(file) for file in missing)) as advance:
            for file in _each(experiment, daq, truth, missing, jobs, form):
                advance(_weight(file))
    _write_runs(experiment, truth, files, made=missing)
    return Done(len(missing), len(files) - len(missing))


def remember_truth(metadata: Path, truth: Path) -> None:
    """Note beside the metadata where the truth is, unless it is where ``gebox check`` looks anyway."""
    place, stored = truth.resolve(), recorded(metadata)
    usual = {folder.resolve() for folder in usual_places(metadata.resolve().parent)}
    if place not in usual and stored.get("truth") != str(place):
        write_yaml(metadata / RECORD, {**stored, "truth": str(place)}, comment=REMARK)


def _weight(file: DaqFile) -> int:
    """What a file costs: its events and a little."""
    return file.events + file.duration // 10 + 1


def _complete(daq: Path, truth: Path, file: DaqFile, form: str) -> bool:
    return daq_path(daq, file, form).is_file() and file_path(truth, file).is_file()


def daq_path(folder: Path, file: DaqFile, form: str = "fcio") -> Path:
    """Where a DAQ file is."""
    return folder / f"{file.stem}.{form}"


def _each(
    experiment: Experiment, daq: Path, truth: Path, files: list[DaqFile], jobs: int, form: str
) -> Iterator[DaqFile]:
    """Write the files and tell each when it is done."""
    if jobs <= 1 or len(files) == 1:
        for file in files:
            write_file(experiment, daq, truth, file, form)
            yield file
        return
    warm_up(experiment)
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    with ProcessPoolExecutor(min(jobs, len(files)), mp_context=context) as pool:
        running = {pool.submit(write_file, experiment, daq, truth, file, form): file for file in files}
        for future in as_completed(running):
            future.result()
            yield running[future]


def warm_up(experiment: Experiment) -> None:
    """Compile everything in this process, before others are forked from it."""
    for datatype in sorted({file.datatype for file in experiment.files}):
        file = next(file for file in experiment.files if file.datatype == datatype)
        for _ in events(experiment, replace(file, events=30 if file.events else 0, duration=40)):
            pass


def write_file(experiment: Experiment, daq: Path, truth: Path, file: DaqFile, form: str = "fcio") -> None:
    """Write one DAQ file and its truth; the DAQ file appears last, so that it is there only when both are."""
    with appearing(daq_path(daq, file, form)) as temporary, temporary.open("wb", buffering=1 << 20) as stream:
        record(experiment, file, stream, SINKS[form]).write(file_path(truth, file))


def _write_runs(experiment: Experiment, truth: Path, files: list[DaqFile], *, made: list[DaqFile]) -> None:
    """Write the true constants of the runs concerned, and what their files hold."""
    changed = {(file.period, file.run) for file in made}
    for run in sorted({(file.period, file.run) for file in files}):
        if run_path(truth, *run).is_file() and run not in changed:
            continue
        first = experiment.runs()[run][0]
        noise = {d.name: noise_fwhm(experiment.constants(d, first)) for d in experiment.layout.detectors}
        counts = summarise(experiment, truth, experiment.runs()[run])
        write_run(experiment, truth, run, noise, counts)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar where rich is installed and the output is a terminal; else silence."""
    try:
        from rich.progress import Progress
    except ImportError:
        yield lambda amount: None
        return
    with Progress(transient=True, disable=not sys.stdout.isatty()) as bar:
        task = bar.add_task("simulating", total=total)
        yield lambda amount: bar.advance(task, amount)
