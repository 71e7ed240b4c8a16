"""Decoding the events of FlashCam files: by columns as raw does it, and by legend-daq2lh5; CPU seconds, equal columns.

    python benchmarks/raw_decode.py [FILE.fcio …] [--rows N]

Without files, those of a small simulated calibration are read.

Both read the same files into the same buffers; what is decoded is compared, value by value. Reading the file is in the
times, writing is not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dataflow/src"))

import numpy as np  # noqa: E402
from daq2lh5.data_streamer import DataStreamer  # noqa: E402
from daq2lh5.fc.fc_streamer import FCStreamer  # noqa: E402
from daq2lh5.raw_buffer import RawBufferLibrary  # noqa: E402
from lgdo import WaveformTable  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from dataflow.steps.tier_raw.formats.flashcam_events import Streamer  # noqa: E402

TABLES = "FCEventDecoder"
Columns = Mapping[str, NDArray[Any]]


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("files", nargs="*", type=Path)
    made.add_argument("--rows", type=int, default=1000, help="rows of a buffer")
    options = made.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(options.files or simulated(Path(folder)), options.rows)


def simulated(folder: Path) -> list[Path]:
    """The DAQ files of a small simulated calibration."""
    from gebox.experiment import build
    from gebox.simulate import simulate

    simulate(build(seed=1, scale=0.2), folder / "daq", folder / "truth", only="p03-r000-cal")
    return sorted(folder.rglob("*.fcio"))


def compare(files: Sequence[Path], rows: int) -> None:
    """Decode each file both ways."""
    print(f"{'file':50s} {'traces':>8s} {'library':>8s} {'ours':>8s} {'ratio':>6s}")
    for path in files:
        ours, after = decoded(Streamer, path, rows)
        theirs, before = decoded(FCStreamer, path, rows)
        for name, values in theirs.items():
            np.testing.assert_array_equal(ours[name], values, err_msg=name)
        traces = max(map(len, ours.values()))
        print(f"{path.name:50s} {traces:8d} {before:8.2f} {after:8.2f} {before / after:6.1f}")


def decoded(make: Callable[[], DataStreamer], path: Path, rows: int) -> tuple[Columns, float]:
    """All columns of all traces, and the CPU seconds of decoding."""
    stream, seconds = make(), 0.0
    found: dict[str, list[NDArray[Any]]] = {}
    library = RawBufferLibrary(config={TABLES: {"events": {"key_list": ["*"], "out_stream": ""}}})
    stream.open_stream(str(path), rb_lib=library, buffer_size=rows, chunk_mode="only_full")
    for _, values in arrays(stream):
        values[...] = 0
    while True:
        begin = time.process_time()
        buffers = stream.read_chunk()
        seconds += time.process_time() - begin
        if not buffers:
            break
        full = [buffer for buffer in stream.rb_lib[TABLES] if buffer in buffers]
        for name, values in arrays(stream):
            found.setdefault(name, []).append(values[: full[0].loc].copy() if full else values[:0])
        for buffer in buffers:
            buffer.loc = 0
    stream.close_stream()
    return {name: np.concatenate(parts) for name, parts in found.items()}, seconds


def arrays(stream: DataStreamer) -> Iterator[tuple[str, NDArray[Any]]]:
    """The columns of the one table that all channels share without a specification of tables."""
    (buffer,) = stream.rb_lib[TABLES]
    for name, column in buffer.lgdo.items():
        yield name, column.values.nda if isinstance(column, WaveformTable) else column.nda


if __name__ == "__main__":
    main()
