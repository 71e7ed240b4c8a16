"""Memory of the workers of an energy calibration: columns read by detector in the worker, and all before the fork.

    python benchmarks/par_memory.py [--detectors N] [--events N] [--threads N] [--folder DIR]

Made-up dsp files of 228Th spectra in 5 files; the calibration is the real one. Printed is the peak of the memory of the
worker that needed most, and of the process that forked. What one detector needs grows with its events and not with the
number of detectors; what is read before the fork grows with both.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dataflow/src"))

import h5py  # noqa: E402
import numpy as np  # noqa: E402
import yaml  # noqa: E402

from dataflow.jobs.lh5files import read_many  # noqa: E402
from dataflow.jobs.spread import spread  # noqa: E402
from dataflow.metadata.stepconfig import shipped_folder  # noqa: E402
from dataflow.physics.dsprows import DspRows  # noqa: E402
from dataflow.physics.lines import Source  # noqa: E402
from dataflow.steps.par_hit_ecal import build as ecal  # noqa: E402
from dataflow.steps.par_hit_ecal.settings import Settings, Sources  # noqa: E402
from dataflow.steps.par_hit_ecal.source import source_of  # noqa: E402

READINGS = ("worker", "job")
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
    made.add_argument("--read", choices=READINGS, help="measure one way of reading the files in the folder")
    options = made.parse_args()
    if options.read:
        measure(options.read, options.folder, options.threads)
        return
    tables = [f"ch{number:07d}/dsp" for number in range(options.detectors)]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for number in range(FILES):
            write(Path(folder) / f"{number}.lh5", tables, options.events // FILES, SEED + number)
        print(f"{options.detectors} detectors, {options.events} events each, seed {SEED}, {options.threads} workers")
        for reading in READINGS:
            words = ["--read", reading, "--folder", folder, "--threads", str(options.threads)]
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
