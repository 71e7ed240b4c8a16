"""How traces are stored: size, and megabytes a CPU second of writing and reading, for filters that h5py can read.

    python benchmarks/storage.py [FILE.fcio …] [--traces N] [--folder DIR]

Without files, those of a small simulated calibration are taken.
The traces are those of the fullest channel. Each way of storing writes them, reads them back, and what is read is
compared. The folder should be in memory: disks are not measured.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import h5py  # noqa: E402
import hdf5plugin  # noqa: E402
import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from raw_decode import decoded, simulated  # noqa: E402

from dataflow.steps.tier_raw.formats.flashcam_events import Streamer  # noqa: E402

TRIES = 3
WAYS: Mapping[str, Mapping[str, Any]] = {
    "gzip 4, shuffle, HDF5's chunks": {"compression": "gzip", "shuffle": True},
    "zstd 3, shuffle, HDF5's chunks": {"compression": hdf5plugin.Zstd(3), "shuffle": True},
    "zstd 1, shuffle, 64 traces": {"compression": hdf5plugin.Zstd(1), "shuffle": True, "chunks": 64},
    "bitshuffle + LZ4, 64 traces": {"compression": hdf5plugin.Bitshuffle(cname="lz4"), "chunks": 64},
    "bitshuffle + zstd 1, 64 traces": {"compression": hdf5plugin.Bitshuffle(cname="zstd", clevel=1), "chunks": 64},
    "blosc2, bitshuffle, zstd 1, 64 traces": {
        "compression": hdf5plugin.Blosc2(cname="zstd", clevel=1, filters=hdf5plugin.Blosc2.BITSHUFFLE),
        "chunks": 64,
    },
}


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("files", nargs="*", type=Path)
    made.add_argument("--traces", type=int, default=6000)
    made.add_argument("--folder", type=Path, default=Path("/dev/shm"), help="where to write")  # noqa: S108
    options = made.parse_args()
    with tempfile.TemporaryDirectory() as made_here:
        compare(options.files or simulated(Path(made_here)), options.traces, options.folder)


def compare(files: Sequence[Path], most: int, folder: Path) -> None:
    """Store the traces of each file in all ways."""
    for path in files:
        traces = traces_of(path, most)
        print(f"{path.name}: {len(traces)} traces of {traces.shape[1]} samples")
        for name, settings in WAYS.items():
            size, write, read = measured(traces, settings, folder)
            print(f"  {name:40s} size {size:.3f}   write {write:6.0f} MB/s   read {read:6.0f} MB/s")


def traces_of(path: Path, most: int) -> NDArray[np.uint16]:
    """The traces of the channel that has most."""
    columns, _ = decoded(Streamer, path, 1000)
    channels, numbers = columns["channel"], np.bincount(columns["channel"])
    return np.ascontiguousarray(columns["waveform"][channels == numbers.argmax()][:most])


def measured(traces: NDArray[np.uint16], settings: Mapping[str, Any], folder: Path) -> tuple[float, float, float]:
    """Part of the size that is left, and megabytes a second of CPU time written and read: the best of some tries."""
    rows = settings.get("chunks")
    options = {**settings, "chunks": (min(rows, len(traces)), traces.shape[1]) if rows else True}
    seconds, size = [np.inf, np.inf], 0
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".h5") as file:
        for _ in range(TRIES):
            begin = time.process_time()
            with h5py.File(file.name, "w") as out:
                dataset = out.create_dataset("traces", data=traces, **options)
                out.flush()
                size = dataset.id.get_storage_size()
            seconds[0] = min(seconds[0], time.process_time() - begin)
            begin = time.process_time()
            with h5py.File(file.name) as stored:
                back = stored["traces"][...]
            seconds[1] = min(seconds[1], time.process_time() - begin)
            np.testing.assert_array_equal(back, traces)
    return size / traces.nbytes, traces.nbytes / 1e6 / seconds[0], traces.nbytes / 1e6 / seconds[1]


if __name__ == "__main__":
    main()
