"""Events of FlashCam files that are gathered in columns are those of legend-daq2lh5, one by one."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daq2lh5.data_streamer import DataStreamer
from daq2lh5.fc.fc_event_decoder import FCEventDecoder as Library
from daq2lh5.fc.fc_streamer import FCStreamer
from daq2lh5.raw_buffer import RawBufferLibrary
from fcio import FCIO
from lgdo import VectorOfVectors, WaveformTable

from dataflow.steps.tier_raw.formats import flashcam, flashcam_blocks, flashcam_events, flashcam_streams
from dataflow.steps.tier_raw.formats.flashcam_ahead import compile_ahead
from dataflow.steps.tier_raw.formats.flashcam_config import Later
from dataflow.steps.tier_raw.formats.flashcam_events import COLUMNS, ByEvents, Streamer, streamer
from dataflow.steps.tier_raw.formats.flashcam_records import index, skim
from dataflow.steps.tier_raw.formats.flashcam_rows import fill
from dataflow.steps.tier_raw.formats.flashcam_times import account
from dataflow.steps.tier_raw.formats.form import BrokenError
from gebox.files import fcio

SAMPLES, CHANNELS = 50, 4
CLOCK = fcio.CLOCK_HZ
READERS = (Streamer, ByEvents)
"""By compiled code, and event by event."""


@pytest.fixture(autouse=True)
def small_files_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flashcam, "LEAST", 0)


def columns(
    make: Callable[[], DataStreamer], path: Path, size: int, stays: bool | None = None
) -> Mapping[str, np.ndarray]:
    """All columns of all tables, after reading with buffers of `size` rows; whether compiled code reads to the end."""
    stream, found = make(), {}
    stream.open_stream(str(path), buffer_size=size, chunk_mode="only_full")
    for buffer in (buffer for buffers in stream.rb_lib.values() for buffer in buffers):
        for _, values in arrays(buffer):
            values[...] = 0
    while buffers := stream.read_chunk():
        for buffer in buffers:
            for name, values in arrays(buffer):
                found.setdefault(f"{buffer.out_name}/{name}", []).append(values[: buffer.loc].copy())
            buffer.loc = 0
    if isinstance(stream, Streamer) and stays is not None:
        assert (stream.blocks is not None) == stays
    stream.close_stream()
    return {name: np.concatenate(parts) for name, parts in found.items()}


def arrays(buffer: Any) -> Iterator[tuple[str, np.ndarray]]:
    for name, column in buffer.lgdo.items():
        if isinstance(column, VectorOfVectors):
            continue
        yield name, column.values.nda if isinstance(column, WaveformTable) else column.nda


def agree(path: Path, size: int = 7, *, stays: bool | None = None) -> Mapping[str, np.ndarray]:
    """All ways of reading give the same; whether the compiled one reads to the end."""
    theirs = columns(FCStreamer, path, size)
    for reader in READERS:
        ours = columns(reader, path, size, stays)
        assert ours.keys() == theirs.keys()
        for name, values in theirs.items():
            assert ours[name].dtype == values.dtype, name
            np.testing.assert_array_equal(ours[name], values, err_msg=name)
    return theirs


def written(path: Path, *, sparse: bool, adcbits: int = 16, kind: int = 1, words: int = 10) -> Path:
    """Events with dead intervals of their cards, of which some channels are read out."""
    rng = np.random.default_rng(11)
    tracemap = tuple((0x1B0 + number // 2) << 16 | number % 2 for number in range(CHANNELS))
    config = fcio.Config(
        adcs=CHANNELS, eventsamples=SAMPLES, tracemap=tracemap, streamid=3, adcbits=adcbits, blprecision=4, sumlength=5
    )
    with path.open("wb") as file:
        writer = fcio.Writer(file, config)
        for number in range(40):
            card = (2 * (number % 2), 2) if kind == 11 else (0, CHANNELS)
            dead = (number // 2, 1000, number // 2, 1000 + 40 * number, CLOCK - 1, *card, 0, 0, 0)
            time = (number, number, 12_345 * number, CLOCK - 1, *[0] * 6)
            offset = (1_700_000_000, 17 + number, 3, 4, 5, 1_699_999_999, 6, 0, 0, 0)
            event = fcio.Event(time[:words], offset[:words], dead[:words], kind)
            traces = rng.integers(0, 65_536, (CHANNELS, 2 + SAMPLES)).astype("u2")
            if adcbits == 12:  # the energy of the FPGA is above its baseline
                traces[:, 1] = traces[:, 0] // 8 + 9
                traces[:, 0] //= 8
            if sparse:
                chosen = sorted(rng.choice(CHANNELS, 1 + number % CHANNELS, replace=False).tolist())
                writer.sparse_event(event, chosen, np.pad(traces[chosen], ((0, 0), (2, 0))))
            else:
                writer.event(event, traces)
    return path


@pytest.mark.parametrize("adcbits", [12, 16])
@pytest.mark.parametrize(("sparse", "kind"), [(False, 1), (True, 1), (True, 11)])
def test_every_column_of_every_trace_agrees(tmp_path: Path, *, sparse: bool, kind: int, adcbits: int) -> None:
    found = agree(written(tmp_path / "a.fcio", sparse=sparse, kind=kind, adcbits=adcbits), stays=True)
    rows = [len(values) for name, values in found.items() if name.endswith("/waveform")]
    assert sum(rows) == (40 * CHANNELS if not sparse else 100)
    assert any(values.any() for name, values in found.items() if name.endswith("/deadtime"))


def test_events_with_fewer_numbers_agree(tmp_path: Path) -> None:
    found = agree(written(tmp_path / "a.fcio", sparse=False, words=5), stays=False)
    np.testing.assert_array_equal(found["FCEvent/dr_ch_len"], np.full(40 * CHANNELS, CHANNELS))


@pytest.mark.parametrize("name", ["th228.fcio", "L200-comm-20211130-phy-spms.fcio"])
def test_real_files_agree(shared_data: Path, name: str) -> None:
    path = shared_data / "fcio" / name
    if not path.is_file():
        pytest.skip(f"there is no {path.name} in the data for tests")
    assert len(agree(path, 100, stays=True)) >= len(COLUMNS)


def records_of(path: Path) -> list[bytes]:
    """The bytes of the records of a file, after its beginning."""
    return [fcio.encoded(tag, frames) for tag, frames in fcio.records(path)]


STATUS = fcio.encoded(
    fcio.STATUS,
    [fcio.integers([1]), fcio.integers([5, 6, 7, 8, 0]), fcio.integers([1]), fcio.integers([1180]), bytes(1180)],
)
OTHER = fcio.encoded(5, [fcio.integers([1])])
WIDE = 2 * (2 + SAMPLES)


def sparse_record(channels: list[int], widths: int = WIDE, kind: int = 1, dead: int = 10) -> bytes:
    """An event of some traces, in whatever form."""
    lists = [fcio.integers(range(1, length + 1)) for length in (10, 10, dead)]
    lists[2] = fcio.integers((1, 0, 1, 4000, 9, 0, CHANNELS, 0, 0, 0)[:dead])
    head = [fcio.integers([kind]), fcio.integers([0]), *lists, fcio.integers([len(channels)])]
    numbers = np.array(channels, dtype="<u2").tobytes()
    traces = [np.full(widths // 2, 100 + number, dtype="<u2").tobytes() for number in channels]
    return fcio.encoded(fcio.SPARSE_EVENT, [*head, numbers, *traces])


INSERTED = {
    "status": (STATUS, False),
    "reconstructed event": (OTHER, True),
    "no traces": (sparse_record([]), True),
    "all traces in another order": (sparse_record([2, 0, 3, 1]), True),
    "a trace twice": (sparse_record([1, 1]), False),
    "a short trace": (sparse_record([1, 2], WIDE - 4), False),
    "few numbers in the dead region": (sparse_record([1, 2], dead=6), True),
    "configuration": (None, False),
}
"""Records among events, and whether compiled code reads on after them."""


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("what", INSERTED)
def test_other_records_between_events_agree(tmp_path: Path, *, what: str, sparse: bool) -> None:
    first, *events = records_of(written(tmp_path / "a.fcio", sparse=sparse))
    extra, stays = INSERTED[what]
    mixed = [first, *events[:9], extra or first, *events[9:20], extra or first, *events[20:]]
    (tmp_path / "b.fcio").write_bytes(fcio.beginning() + b"".join(mixed))
    agree(tmp_path / "b.fcio", stays=stays or what == "status")


@pytest.mark.parametrize("cut", [1, 3, 4, 7, 50, WIDE + 3, 2 * WIDE + 20, 500, 1001])
@pytest.mark.parametrize("sparse", [False, True])
def test_files_that_break_off_agree(tmp_path: Path, *, cut: int, sparse: bool) -> None:
    path = written(tmp_path / "a.fcio", sparse=sparse)
    path.write_bytes(path.read_bytes()[:-cut])
    try:
        columns(FCStreamer, path, 7)
    except IndexError as error:  # of an event that is not whole
        for reader in READERS:
            with pytest.raises(IndexError, match=str(error)):
                columns(reader, path, 7)
    else:
        agree(path)


@pytest.mark.parametrize("block", [64, 300, 5000])
@pytest.mark.parametrize("sparse", [False, True])
def test_blocks_of_all_sizes_agree(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, block: int, sparse: bool
) -> None:
    monkeypatch.setattr(flashcam_blocks, "BLOCK", block)
    monkeypatch.setattr(flashcam_streams, "EVENTS", 3)
    monkeypatch.setattr(flashcam_streams, "TRACES", 5)
    agree(written(tmp_path / "a.fcio", sparse=sparse), 13, stays=True)


def walk(path: Path, records: Callable[[mmap.mmap], Iterator[int]] = flashcam.records) -> tuple[list[int], str]:
    """The ends of the whole records of a file, and what is said where it ends too early."""
    found: list[int] = []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            found.extend(records(data))
        except BrokenError as error:
            return found, f"{error.what} at byte {error.place}"
    return found, ""


@pytest.mark.parametrize("together", [1, 7, 100])
@pytest.mark.parametrize("sparse", [False, True])
def test_records_are_found_and_refused_as_without_compiled_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, together: int, sparse: bool
) -> None:
    monkeypatch.setattr(flashcam, "RECORDS", together)
    path = written(tmp_path / "a.fcio", sparse=sparse)
    whole, random = path.read_bytes(), np.random.default_rng(5)
    damaged = [whole, whole[:100], whole[:-1], whole + b"\xfd", whole + b"\x9c\xff\xff\xff", whole[:68]]
    damaged += [whole[:68] + b"\xfd" + whole[69:], whole[:68] + b"\xf8" + whole[69:]]
    for place in random.integers(60, len(whole), 100).tolist():
        damaged += [
            whole[:place],
            whole[:place] + b"\xff" + whole[place + 1 :],
            whole[:place] + b"\xff" * 4 + whole[place:],
        ]
    said = []
    for data in damaged:
        path.write_bytes(data)
        monkeypatch.setattr(flashcam, "LEAST", 0)
        ours = walk(path)
        monkeypatch.setattr(flashcam, "LEAST", 1 << 40)
        assert ours == walk(path)
        said.append(ours[1].partition(" ")[0])
    assert len(walk(path)[0]) > 0
    assert set(said) == {"", "truncated", "corrupted"}


def test_small_files_are_read_without_loading_compiled_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = written(tmp_path / "a.fcio", sparse=True)
    monkeypatch.setattr(flashcam, "LEAST", path.stat().st_size + 1)
    agree(path, stays=False)


def test_all_loops_are_compiled_at_installation(tmp_path: Path) -> None:
    """For the types that they are called with: reading a file adds none."""
    path = written(tmp_path / "a.fcio", sparse=True, kind=11)
    compile_ahead()
    before = [len(loop.signatures) for loop in (index, account, fill, skim)]
    list(walk(path))
    columns(Streamer, path, 7, stays=True)
    assert before == [len(loop.signatures) for loop in (index, account, fill, skim)] == [1] * 4


def test_legend_daq2lh5_has_no_column_that_is_not_filled() -> None:
    assert set(Library().decoded_values) == COLUMNS


def test_the_librarys_decoder_is_taken_where_asked_for_or_where_it_has_new_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert type(streamer({})) is Streamer
    assert type(streamer({"event_decoder": "daq2lh5"})) is FCStreamer
    assert type(streamer({"event_decoder": "fcio"})) is ByEvents
    monkeypatch.setattr(flashcam_events, "COLUMNS", COLUMNS - {"runtime"})
    assert type(streamer({})) is FCStreamer


def configured(path: Path, stream: int | None) -> Path:
    with path.open("wb") as file:
        config = fcio.Config(adcs=2, eventsamples=SAMPLES, tracemap=(0x1B00000, 0x1B00001), streamid=stream)
        fcio.Writer(file, config)
    return path


@pytest.mark.parametrize("stream", [None, 0, 7, 0x10002])
def test_the_configuration_is_read_from_its_bytes_as_fcio_reads_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stream: int | None
) -> None:
    path = configured(tmp_path / "a.fcio", stream)
    theirs = flashcam._head_by_fcio(path)
    monkeypatch.setattr(flashcam, "_head_by_fcio", lambda _: pytest.fail("fcio was asked"))
    assert flashcam.head_of(path) == theirs
    assert theirs.stream == (stream or 0)


@pytest.mark.parametrize("bits", [12, 16])
def test_the_whole_configuration_has_the_names_types_and_values_of_fcio(tmp_path: Path, bits: int) -> None:
    numbers = {"adcs": 2, "eventsamples": SAMPLES, "triggers": 1, "blprecision": 3, "sumlength": 5, "adcbits": bits}
    numbers |= {"mastercards": 7, "triggercards": 8, "adccards": 9, "gps": 10, "streamid": 11}
    path = tmp_path / "a.fcio"
    with path.open("wb") as file:
        fcio.Writer(file, fcio.Config(**numbers, tracemap=(1 << 16, 2 << 16, 0x10001)))
    theirs = FCIO()
    theirs.open(str(path))
    for ours in (later(str(path)), later(memoryview(bytearray(path.read_bytes())))):
        for name in [*numbers, "tracemap", "sampling_period_ns"]:
            one, other = getattr(ours.config, name), getattr(theirs.config, name)
            assert (type(one), np.asarray(one).tolist()) == (type(other), np.asarray(other).tolist()), name
        assert ours.config.tracemap.dtype == theirs.config.tracemap.dtype
        assert (ours.read_bytes(), ours.skipped_bytes()) == (theirs.read_bytes(), theirs.skipped_bytes())
        assert (ours.fsp, ours.is_open()) == (theirs.fsp, True)
        assert ours._opened is None
        ours.close()
        assert not ours.is_open()
    assert {name: int(getattr(theirs.config, name)) for name in numbers} == numbers


def later(peer: Any) -> Later:
    made = Later()
    made.open(peer)
    return made


def test_fcio_opens_a_stream_when_more_is_asked_than_its_configuration(tmp_path: Path) -> None:
    path, theirs = written(tmp_path / "a.fcio", sparse=True), FCIO()
    theirs.open(str(path))
    ours = later(str(path))
    while theirs.get_record():
        assert ours.get_record()
        assert (ours.tag, ours.read_bytes()) == (theirs.tag, theirs.read_bytes())
        assert ours.event.timestamp.tolist() == theirs.event.timestamp.tolist()
    assert not ours.get_record()
    ours.close()
    with pytest.raises(ValueError, match="not open"):
        ours.get_record()


def test_a_stream_without_the_usual_configuration_is_opened_by_fcio_at_once(tmp_path: Path) -> None:
    with (tmp_path / "a.fcio").open("wb") as file:
        fcio.Writer(file, fcio.Config(adcs=2, eventsamples=SAMPLES))  # no trace map
    opened = later(str(tmp_path / "a.fcio"))
    assert opened._opened is not None
    assert opened.config.eventsamples == SAMPLES
    opened.close()


def test_fcio_opens_no_file_that_compiled_code_reads_to_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = written(tmp_path / "a.fcio", sparse=True)
    monkeypatch.setattr(Later, "_now", lambda _: pytest.fail("fcio was asked"))
    assert len(columns(Streamer, path, 7, stays=True)) >= len(COLUMNS)


def test_tables_of_all_channels_are_those_of_the_library(tmp_path: Path) -> None:
    path = written(tmp_path / "a.fcio", sparse=True)
    found = []
    for make in (FCStreamer, Streamer):
        stream = make()
        spec = {"FCEventDecoder": {"ch{key}": {"key_list": ["*"], "out_stream": "x"}}}
        stream.open_stream(str(path), RawBufferLibrary(config=spec), buffer_size=7)
        found.append({buffer.out_name: described(buffer.lgdo) for buffer in stream.rb_lib["FCEventDecoder"]})
        tables = [buffer.lgdo for buffer in stream.rb_lib["FCEventDecoder"]]
        assert len(tables) == CHANNELS
        assert len({id(table["waveform"].attrs) for table in tables}) == len(tables)
        assert not any(np.shares_memory(tables[0]["channel"].nda, table["channel"].nda) for table in tables[1:])
        stream.close_stream()
    assert found[0] == found[1]
    assert len(found[0]) == CHANNELS


def described(node: Any, of: str = "") -> Any:
    if hasattr(node, "items"):
        return type(node), len(node), node.attrs, {name: described(child, name) for name, child in node.items()}
    values = node.nda.tolist() if of in ("t0", "dt") else None  # all others are filled later
    shape = node.nda.shape[1:]  # those that compiled code fills have as few rows as are needed
    return type(node), node.attrs, shape, node.dtype, values


@pytest.mark.parametrize("name", ["th228.fcio", "L200-comm-20211130-phy-spms.fcio"])
def test_the_configuration_of_real_files_is_that_of_fcio(shared_data: Path, name: str) -> None:
    path = shared_data / "fcio" / name
    if not path.is_file():
        pytest.skip(f"there is no {path.name} in the data for tests")
    assert flashcam.head_of(path) == flashcam._head_by_fcio(path)
