"""Memory of the workers of an energy calibration: columns read by detector in the worker, and all before the fork.

    python benchmarks/par_memory.py [--detectors N] [--events N] [--threads N] [--folder DIR]

Made-up dsp files of 228Th spectra in 5 files; the calibration is the real one. Printed is the peak of the memory of the
worker that needed most, and of the process that forked. What one detector needs grows with its events and not with the
number of detectors; what is read before the fork grows with both. The last line is the process that looks up which
events are the pulser's, before it forks: a coincidence map of all rows, and a mask for each detector.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dataflow/src"))

import h5py  # noqa: E402
import numpy as np  # noqa: E402
import yaml  # noqa: E402

from dataflow.jobs.lh5files import read_many  # noqa: E402
from dataflow.jobs.spread import spread  # noqa: E402
from dataflow.metadata.stepconfig import shipped_folder  # noqa: E402
from dataflow.physics.dsprows import DspRows  # noqa: E402
from dataflow.physics.lines import Source  # noqa: E402
from dataflow.physics.pulser import pulser_rows  # noqa: E402
from dataflow.plan.job import Job  # noqa: E402
from dataflow.steps.par_hit_ecal import build as ecal  # noqa: E402
from dataflow.steps.par_hit_ecal.settings import Settings, Sources  # noqa: E402
from dataflow.steps.par_hit_ecal.source import source_of  # noqa: E402

READINGS = ("worker", "job")
PULSER = "pulser"
PULSER_NUMBER = 1_000_000
PATIENCE = 1000.0
"""Seconds that a detector may take."""
FILES = 5
SEED = 9
ENERGIES = ("trapEmax", "cuspEmax")
SETTINGS = Settings(energy_params=ENERGIES)
NAMES = tuple(ecal.wanted_columns(SETTINGS))


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--detectors", type=int, default=20)
    made.add_argument("--events", type=int, default=100_000)
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--folder", type=Path, help="where to make the files")
    made.add_argument("--read", choices=(*READINGS, PULSER), help="measure one way of reading the files in the folder")
    options = made.parse_args()
    if options.read:
        if options.read == PULSER:
            measure_pulser(options.folder, options.detectors, options.events)
        else:
            measure(options.read, options.folder, options.threads)
        return
    tables = [f"ch{number:07d}/dsp" for number in range(options.detectors)]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for number in range(FILES):
            write(Path(folder) / f"{number}.lh5", tables, options.events // FILES, SEED + number)
        print(f"{options.detectors} detectors, {options.events} events each, seed {SEED}, {options.threads} workers")
        write_map(Path(folder) / "map.tcm", options.detectors, options.events // FILES)
        for reading in (*READINGS, PULSER):
            words = ["--read", reading, "--folder", folder, "--threads", str(options.threads)]
            words += ["--detectors", str(options.detectors), "--events", str(options.events)]
            print(
                subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE, text=True).stdout
            )


def write(path: Path, tables: Sequence[str], events: int, seed: int) -> None:
    """A dsp file with the spectrum of thorium in each table."""
    random = np.random.default_rng(seed)
    lines = np.array([line.energy for line in th228().lines])
    with h5py.File(path, "w") as file:
        for table in tables:
            energy = np.where(
                random.random(events) < 0.3, random.choice(lines, events), random.uniform(100, 2700, events)
            )
            measured = energy + random.normal(0, 1, events)
            columns = {name: random.normal(10, 1, events) for name in NAMES} | dict.fromkeys(ENERGIES, measured * 5)
            columns |= {"n_sat_lo": np.zeros(events), "n_sat_hi": np.zeros(events)}
            for name, values in columns.items():
                file[f"{table}/{name}"] = values


def write_map(path: Path, detectors: int, events: int) -> None:
    """A coincidence map in which each row is an event, the last ones are the pulser's."""
    pulses = events // 100
    rows = detectors * events + pulses
    numbers = np.concatenate([np.tile(np.arange(detectors), events), np.full(pulses, PULSER_NUMBER)])
    places = np.concatenate([np.repeat(np.arange(events), detectors), np.arange(pulses)])
    with h5py.File(path, "w") as file:
        file["hardware_tcm_1/table_key/flattened_data"] = numbers
        file["hardware_tcm_1/table_key/cumulative_length"] = np.arange(1, rows + 1, dtype=np.uint32)
        file["hardware_tcm_1/row_in_table/flattened_data"] = places


def measure_pulser(folder: Path, detectors: int, events: int) -> None:
    """Look up the rows of the pulser in all files of a run, and print what it took."""
    begin = time.perf_counter()
    channels = [SimpleNamespace(name=f"ch{n}", system="geds", rawid=n) for n in range(detectors)]
    channels.append(SimpleNamespace(name="pulser", system="puls", rawid=PULSER_NUMBER))
    files = [folder / "map.tcm"] * FILES
    with h5py.File(files[0]) as file:
        numbers = np.asarray(file["hardware_tcm_1/table_key/flattened_data"][:])
    rows = np.bincount(numbers[numbers < detectors], minlength=detectors)
    del numbers
    counts = {f"ch{n}": [int(rows[n])] * FILES for n in range(detectors)}
    job = SimpleNamespace(
        inputs={"tcm": files}, unit="the run", map_of=lambda _: channels, table=lambda _: "hardware_tcm_1"
    )
    before = peak()
    masks = pulser_rows(cast(Job, job), counts)
    size = sum(mask.nbytes for mask in masks.values()) / 1e6
    text = f"pulser looked up: job {peak():5.0f} MB ({before:.0f} MB before), masks {size:.0f} MB"
    print(f"{text}, {time.perf_counter() - begin:.1f} s, {events} events")


def th228() -> Source:
    """The lines of 228Th."""
    table = yaml.safe_load((shipped_folder("pars_hit_ecal") / "sources.yaml").read_text())
    return source_of(SETTINGS, Sources.read(table).nuclides)


def measure(reading: str, folder: Path, threads: int) -> None:
    """Calibrate all detectors, and print what it took."""
    begin, paths = time.perf_counter(), sorted(folder.glob("*.lh5"))
    with h5py.File(paths[0]) as file:
        tables = {name: (f"{name}/dsp",) * len(paths) for name in sorted(file)}
    rows, source = DspRows(tuple(paths), tables, {}, {}, dict.fromkeys(tables, set(NAMES))), th228()
    data = read_many(paths, tables, NAMES) if reading == "job" else {}

    def one(name: str) -> float:
        columns = data[name] if data else rows.read(name, NAMES)
        ecal.calibrate(columns, np.ones(len(columns[ecal.DRIFT]), dtype=bool), SETTINGS, source, {})
        return peak()

    found = list(spread(one, list(tables), threads, PATIENCE))
    failed = [outcome.reason for outcome in found if outcome.failed]
    if failed:
        raise SystemExit(failed[0])
    worker = max(outcome.value or 0.0 for outcome in found)
    seconds = time.perf_counter() - begin
    print(f"columns read by the {reading:6s}: worker {worker:5.0f} MB, job {peak():5.0f} MB, {seconds:.1f} s")


def peak() -> float:
    """The most memory that this process has had, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    main()
