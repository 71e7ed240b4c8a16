"""Raw files from FlashCam and ORCA files, by compiled code and by legend-daq2lh5; CPU seconds, all is equal.

    python benchmarks/raw_decode.py [FILE.fcio FILE.orca …] [--rows N] [--repeat N] [--tries N] [--folder DIR]

Without files, those of a small simulated calibration and of forced triggers of all channels of a larger setup are read.
``--repeat`` makes longer files of them: the same records again and again.

*Decoding*: both read the same file into the same buffers; reading the file is in the times, writing is not. *File to
file*: what a raw job does (looking whether the file is whole, decoding, writing, with the settings that are shipped)
against ``daq2lh5.build_raw``, with its defaults (gzip), with zstd and shuffled bytes, and with our filter of traces for
all columns. Everything is compared value by value. Sides take turns; the smallest of the tries counts. Compiled code is
loaded before (how long that takes is printed) and also reads small files here. The folder should be in memory.
"""

from __future__ import annotations

import argparse
import mmap
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dataflow/src"))

import h5py  # noqa: E402
import hdf5plugin  # noqa: E402
import numpy as np  # noqa: E402
from daq2lh5.build_raw import build_raw  # noqa: E402
from daq2lh5.data_streamer import DataStreamer  # noqa: E402
from daq2lh5.fc.fc_streamer import FCStreamer  # noqa: E402
from daq2lh5.orca.orca_streamer import OrcaStreamer  # noqa: E402
from daq2lh5.raw_buffer import RawBuffer, RawBufferLibrary  # noqa: E402
from goals import Result, add_option, ratio, save  # noqa: E402
from lgdo import WaveformTable  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from dataflow.steps.tier_raw import build, daqfile, decode, storing  # noqa: E402
from dataflow.steps.tier_raw.formats import flashcam, flashcam_ahead, flashcam_events, orca, orca_events  # noqa: E402

READERS: Mapping[str, tuple[Callable[[], DataStreamer], Callable[[], DataStreamer]]] = {
    ".fcio": (FCStreamer, flashcam_events.Streamer),
    ".orca": (OrcaStreamer, orca_events.Streamer),
}
"""That of legend-daq2lh5, and ours."""
Columns = Mapping[str, NDArray[Any]]
LISTENER = "ORFlashCamListenerConfigDecoder"
DECODING, FILE = 8.0, 5.0
"""Goals of decoding alone, and of a file."""
OURS: Mapping[str, Any] = {storing.HDF5: {"compression": "zstd", "shuffle": True}, decode.WAVEFORMS: True}
THEIRS: Mapping[str, Mapping[str, Any]] = {
    "defaults": {},
    "zstd, shuffle": {"compression": hdf5plugin.Zstd(3), "shuffle": True},
    "bitshuffle": {"compression": hdf5plugin.Bitshuffle(cname="lz4"), "shuffle": False},
}


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("files", nargs="*", type=Path)
    made.add_argument("--rows", type=int, default=200, help="rows of a buffer, where decoding is timed alone")
    made.add_argument("--repeat", type=int, default=1, help="records of a file, how many times")
    made.add_argument("--tries", type=int, default=3)
    made.add_argument("--folder", type=Path, default=Path("/dev/shm"), help="where to write")  # noqa: S108
    add_option(made)
    options = made.parse_args()
    flashcam.LEAST = 0
    begin = time.process_time()
    flashcam_ahead.compile_ahead()
    print(f"compiled code loaded in {time.process_time() - begin:.2f} s")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        files = [repeated(path, options.repeat, folder) for path in options.files or simulated(folder)]
        results = [*compare(files, options.rows, options.tries), *compare_files(files, options.tries, folder)]
    save(options.json, results)


def repeated(path: Path, times: int, folder: Path) -> Path:
    """A file whose events come several times."""
    if times == 1:
        return path
    data = path.read_bytes()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        begin, end = events_of_orca(mapped) if path.suffix == ".orca" else events_of_flashcam(mapped)
    made = folder / path.name
    with made.open("wb") as target:
        target.write(data[:begin])
        for _ in range(times):
            target.write(data[begin:end])
        target.write(data[end:])
    return made


def events_of_flashcam(data: mmap.mmap) -> tuple[int, int]:
    """Where the events of a FlashCam file begin and end."""
    return flashcam.frames_at(data, flashcam.BEGIN)[1], len(data)


def events_of_orca(data: mmap.mmap) -> tuple[int, int]:
    """Where the packets of the most frequent kind begin and end in an ORCA file."""
    places = [0, *orca.records(data)]
    kinds = [int.from_bytes(data[place : place + 4], "little") >> 18 for place in places[:-1]]
    often = max(kinds, key=kinds.count)
    return places[kinds.index(often)], places[len(kinds) - kinds[::-1].index(often)]


def compare_files(files: Sequence[Path], tries: int, folder: Path) -> Iterator[Result]:
    """Make a raw file of each file in all ways."""
    print(f"{'file to file':42s} {'settings':16s} {'MB':>6s} {'library':>8s} {'ours':>8s} {'ratio':>6s}")
    for path in files:
        megabytes = path.stat().st_size / 1e6
        for name, settings in THEIRS.items():
            times = [(written(path, folder), written_by_library(path, folder, settings)) for _ in range(tries)]
            equal(folder / "ours.lh5", folder / "theirs.lh5")
            ours, theirs = (min(some) for some in zip(*times, strict=True))
            print(
                f"{path.name:42s} {name:16s} {megabytes:6.0f} {theirs:8.2f} {ours:8.2f} {theirs / ours:6.1f}",
                flush=True,
            )
            yield ratio(3, f"raw file of {kind_of(path)}, {name}", ours, theirs, FILE)


def tables_of(daq: daqfile.DaqFile, target: str) -> dict[str, Any]:
    """One table a channel, and what traces of before 2024 need to have times."""
    tables = {
        decoder: {f"ch{key}/raw": {"key_list": [key], "out_stream": target} for key in keys}
        for decoder, keys in daq.keys.items()
    }
    if LISTENER in daq.context:
        tables[LISTENER] = {"listener/config": {"key_list": ["*"], "out_stream": target}}
    return tables


def written(path: Path, folder: Path) -> float:
    """CPU seconds of what a raw job does."""
    target = folder / "ours.lh5"
    begin = time.process_time()
    with daqfile.opened(path, folder / "work.fcio", OURS) as daq:
        spec = tables_of(daq, "raw")
        decode.decode(daq, spec, target, {"buffer_size": build.buffer_rows(spec, daq), **OURS}, 0.0)
    return time.process_time() - begin


def written_by_library(path: Path, folder: Path, settings: Mapping[str, Any]) -> float:
    """CPU seconds of the library's driver."""
    target = folder / "theirs.lh5"
    with daqfile.opened(path, folder / "work.fcio", OURS) as daq:
        spec = tables_of(daq, str(target))
    begin = time.process_time()
    options = {"hdf5_settings": dict(settings)} if settings else {}
    build_raw(str(path), in_stream_type=daq.stream, out_spec=spec, overwrite=True, **options)
    return time.process_time() - begin


def equal(ours: Path, theirs: Path) -> None:
    """Make sure that two files have the same datasets, values, types and attributes."""
    with h5py.File(ours) as one, h5py.File(theirs) as other:
        names: list[str] = []
        other.visit(names.append)
        found: list[str] = []
        one.visit(found.append)
        assert sorted(names) == sorted(found)  # noqa: S101
        for name in names:
            assert dict(one[name].attrs) == dict(other[name].attrs), name  # noqa: S101
            if isinstance(other[name], h5py.Dataset):
                assert one[name].dtype == other[name].dtype, name  # noqa: S101
                np.testing.assert_array_equal(one[name][:], other[name][:], err_msg=name)


def simulated(folder: Path) -> list[Path]:
    """The DAQ files of a small simulated calibration, and of forced triggers of all channels."""
    from gebox.experiment import build
    from gebox.simulate import simulate

    simulate(build(seed=1, scale=0.2), folder / "daq", folder / "truth", only="p03-r000-cal")
    simulate(build(seed=1, scale=1, preset="full"), folder / "daq", folder / "truth", only="p03-r000-fft")
    return sorted(folder.rglob("*.fcio"))


def kind_of(path: Path) -> str:
    """A DAQ file in short: that of a simulation by its type of data and time."""
    return next(
        (f"simulated {kind} {path.stem[-7:-1]}" for kind in ("cal", "fft", "phy") if f"-{kind}-" in path.name),
        path.name[:24],
    )


def compare(files: Sequence[Path], rows: int, tries: int) -> Iterator[Result]:
    """Decode each file both ways."""
    print(f"{'decoding':50s} {'traces':>8s} {'library':>8s} {'ours':>8s} {'ratio':>6s}")
    for path in files:
        before, after = [], []
        for _ in range(tries):
            library, own = READERS[path.suffix]
            ours, seconds = decoded(own, path, rows)
            after.append(seconds)
            theirs, seconds = decoded(library, path, rows)
            before.append(seconds)
        for name, values in theirs.items():
            np.testing.assert_array_equal(ours[name], values, err_msg=name)
        traces = sum(len(values) for name, values in ours.items() if name.endswith("/packet_id"))
        print(f"{path.name:50s} {traces:8d} {min(before):8.3f} {min(after):8.3f} {min(before) / min(after):6.1f}")
        yield ratio(3, f"decoding of {kind_of(path)}", min(after), min(before), DECODING)


def decoded(make: Callable[[], DataStreamer], path: Path, rows: int) -> tuple[Columns, float]:
    """All columns of all traces, and the CPU seconds of decoding."""
    stream, seconds = make(), 0.0
    found: dict[str, list[NDArray[Any]]] = {}
    with daqfile.opened(path, path.with_suffix(".work"), OURS) as daq:
        library = RawBufferLibrary(config=tables_of(daq, ""))
    stream.open_stream(str(path), rb_lib=library, buffer_size=rows, chunk_mode="only_full")
    for buffer in (buffer for decoder in daq.keys for buffer in stream.rb_lib[decoder]):
        for _, values in arrays(buffer):
            values[...] = 0
    while True:
        begin = time.process_time()
        buffers = stream.read_chunk()
        seconds += time.process_time() - begin
        if not buffers:
            break
        for buffer in (buffer for decoder in daq.keys for buffer in stream.rb_lib[decoder] if buffer in buffers):
            for name, values in arrays(buffer):
                found.setdefault(f"{buffer.out_name}/{name}", []).append(values[: buffer.loc].copy())
        for buffer in buffers:
            buffer.loc = 0
    stream.close_stream()
    return {name: np.concatenate(parts) for name, parts in found.items()}, seconds


def arrays(buffer: RawBuffer) -> Iterator[tuple[str, NDArray[Any]]]:
    """The columns of a table."""
    for name, column in buffer.lgdo.items():
        yield name, column.values.nda if isinstance(column, WaveformTable) else column.nda


if __name__ == "__main__":
    main()
