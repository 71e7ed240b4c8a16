"""FlashCam events in ORCA files that compiled code decodes are those of legend-daq2lh5, one by one."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daq2lh5.orca import orca_fcio
from daq2lh5.orca.orca_streamer import OrcaStreamer
from daq2lh5.raw_buffer import RawBufferLibrary

from dataflow.steps.tier_raw.build import buffer_rows
from dataflow.steps.tier_raw.daqfile import open_daq
from dataflow.steps.tier_raw.formats import flashcam, flashcam_blocks, orca_blocks, orca_events
from dataflow.steps.tier_raw.formats import orca as orca_file
from dataflow.steps.tier_raw.formats.flashcam_ahead import compile_ahead
from dataflow.steps.tier_raw.formats.flashcam_config import Later
from dataflow.steps.tier_raw.formats.flashcam_events import COLUMNS
from dataflow.steps.tier_raw.formats.flashcam_records import gather
from dataflow.steps.tier_raw.formats.orca_events import Streamer, streamer
from dataflow.steps.tier_raw.formats.orca_records import skim, survey
from dataflow.steps.tier_raw.storing import TRACES
from gebox.files import fcio, fsp, orca

from .test_flashcam_events import STATUS, arrays, sparse_record, walk

GERMANIUM = fcio.Config(adcs=4, eventsamples=50, tracemap=(1 << 16, 1 << 16 | 1, 2 << 16, 2 << 16 | 3), streamid=1)
LIGHT = fcio.Config(
    adcs=2, eventsamples=30, tracemap=(7 << 16, 7 << 16 | 2), streamid=0x10002, adcbits=12, blprecision=4, sumlength=5
)
ALL = (1000100, 1000101, 1000200, 1000203, 2000700, 2000702)
RUN = orca.Run(3, 1_700_000_000)
SPEC: Mapping[str, Any] = {
    "OrcaHeaderDecoder": {"OrcaHeader": {"key_list": ["*"], "out_stream": ""}},
    "ORRunDecoderForRun": {"ORRunDecoderForRun": {"key_list": ["*"], "out_stream": "x"}},
    "ORFCIOConfigDecoder": {"config/{key}": {"key_list": ["*"], "out_stream": "x"}},
    "ORFCIOEventDecoder": {"ch{key:07d}/raw": {"key_list": ["*"], "out_stream": "x"}},
}
WITH_STATUS: Mapping[str, Any] = {
    **SPEC,
    "ORFCIOStatusDecoder": {"status/{key}": {"key_list": ["*"], "out_stream": "x"}},
}


@pytest.fixture(autouse=True)
def small_files_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flashcam, "LEAST", 0)


def columns(
    make: Callable[[], OrcaStreamer], path: Path, spec: Mapping[str, Any], size: int, stays: bool | None = None
) -> Mapping[str, np.ndarray]:
    """All columns of all tables, after reading with buffers of `size` rows; whether compiled code reads to the end."""
    orca_fcio.fcio_stream_library.clear()
    stream = make()
    try:
        return read(stream, path, spec, size, stays)
    finally:
        stream.close_stream()


def read(
    stream: OrcaStreamer, path: Path, spec: Mapping[str, Any], size: int, stays: bool | None
) -> Mapping[str, np.ndarray]:
    found: dict[str, list[np.ndarray]] = {}
    stream.open_stream(str(path), RawBufferLibrary(config=dict(spec)), buffer_size=size, chunk_mode="only_full")
    for name, buffer in ((name, buffer) for name, buffers in stream.rb_lib.items() for buffer in buffers):
        if name != "OrcaHeaderDecoder":
            for _, values in arrays(buffer):
                values[...] = 0
    while buffers := stream.read_chunk():
        for buffer in buffers:
            if hasattr(buffer.lgdo, "items"):
                for name, values in arrays(buffer):
                    found.setdefault(f"{buffer.out_name}/{name}", []).append(values[: buffer.loc].copy())
            buffer.loc = 0
    assert stream.packet_locs == sorted(set(stream.packet_locs))
    if isinstance(stream, Streamer) and stays is not None:
        assert (stream.packets is not None) == stays
    return {name: np.concatenate(parts) for name, parts in found.items()}


def agree(
    path: Path, spec: Mapping[str, Any] = SPEC, size: int = 7, *, stays: bool | None = None
) -> Mapping[str, np.ndarray]:
    """Both ways of reading give the same; whether the compiled one reads to the end."""
    theirs = columns(OrcaStreamer, path, spec, size)
    ours = columns(Streamer, path, spec, size, stays)
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        assert ours[name].dtype == values.dtype, name
        np.testing.assert_array_equal(ours[name], values, err_msg=name)
    return theirs


def written(
    path: Path,
    *,
    sparse: bool,
    between: Callable[[orca.Writer, int], None] = lambda *_: None,
    triggers: Mapping[int, fsp.Trigger] | None = None,
) -> Path:
    """Events of two streams in turns, with dead intervals of their own."""
    rng = np.random.default_rng(11)
    with path.open("wb") as file:
        writer = orca.Writer(file, [GERMANIUM, LIGHT], RUN, triggers)
        for number in range(60):
            config = (GERMANIUM, LIGHT)[number % 3 // 2]
            shift = 3 * config.adcs
            dead = (
                number // 2,
                1000,
                number // 2,
                1000 + 40 * number + shift,
                fcio.CLOCK_HZ - 1,
                0,
                config.adcs,
                0,
                0,
                0,
            )
            time = (number, number, 12_345 * number, fcio.CLOCK_HZ - 1, *[0] * 6)
            offset = (1_700_000_000, 17 + number, 3, 4, 5, 1_699_999_999, 6, 0, 0, 0)
            event = fcio.Event(time, offset, dead, 1)
            traces = rng.integers(0, 65_536, (config.adcs, 2 + config.eventsamples)).astype("u2")
            traces[:, 1] = traces[:, 0] // 8 + 9
            traces[:, 0] //= 8
            between(writer, number)
            if sparse:
                chosen = sorted(rng.choice(config.adcs, 1 + number % config.adcs, replace=False).tolist())
                writer.sparse_event(event, chosen, np.pad(traces[chosen], ((0, 0), (2, 0))), config.streamid)
            else:
                writer.event(event, traces, config.streamid)
        writer.finish(1_700_000_600)
    return path


@pytest.mark.parametrize("size", [5, 7, 100])
@pytest.mark.parametrize("sparse", [False, True])
def test_every_column_of_every_trace_of_both_streams_agrees(tmp_path: Path, *, sparse: bool, size: int) -> None:
    found = agree(written(tmp_path / "a.orca", sparse=sparse), size=size, stays=True)
    rows = {name: len(values) for name, values in found.items() if name.endswith("/waveform")}
    assert len(rows) == 6
    assert sum(rows.values()) == (40 * 4 + 20 * 2 if not sparse else 130)
    assert {values.shape[1] for name, values in found.items() if name.endswith("/waveform")} == {50, 30}
    assert any(values.any() for name, values in found.items() if name.endswith("/deadtime"))
    assert {name.rpartition("/")[2] for name in found if name.startswith("ch")} == COLUMNS


def test_a_real_file_agrees(shared_data: Path) -> None:
    path = shared_data / "orca/l200-p14-r004-cal-20250606T010224Z.orca"
    if not path.is_file():
        pytest.skip(f"there is no {path.name} in the data for tests")
    found = agree(path, size=300, stays=True)
    assert sum(len(values) for name, values in found.items() if name.endswith("/waveform")) == 7


def status(writer: orca.Writer, number: int) -> None:
    if number % 10 == 5:
        writer._packet(orca.STATUS, struct.pack("<I", 1) + STATUS)


def unwanted(writer: orca.Writer, number: int) -> None:
    """Packets of a kind that nobody wants, long, long with the length in the first word, and short."""
    if number % 7 == 2:
        writer._packet(orca.STATUS, b"1234" * number)
        writer.file.write(struct.pack("<2I", orca.STATUS | 2, 5))


def odd(writer: orca.Writer, number: int) -> None:
    """An event that has a trace twice."""
    if number == 33:
        writer._packet(orca.EVENT, struct.pack("<I", 1) + sparse_record([1, 1]))


def again(writer: orca.Writer, number: int) -> None:
    if number == 20:
        writer._run(0x8, 1_700_000_100)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    ("between", "spec", "stays"),
    [(status, WITH_STATUS, True), (unwanted, SPEC, True), (again, SPEC, True)],
    ids=["status", "unwanted", "run"],
)
def test_other_packets_between_events_agree(
    tmp_path: Path, between: Any, spec: Mapping[str, Any], *, stays: bool, sparse: bool
) -> None:
    agree(written(tmp_path / "a.orca", sparse=sparse, between=between), spec, stays=stays)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("block", [300, 1 << 20])
def test_after_an_odd_event_the_library_goes_on_and_knows_all_dead_times(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, block: int, sparse: bool
) -> None:
    monkeypatch.setattr(flashcam_blocks, "BLOCK", block)
    agree(written(tmp_path / "a.orca", sparse=sparse, between=odd), stays=False)


def test_streams_with_a_software_trigger_are_left_to_the_library(tmp_path: Path) -> None:
    trigger = fsp.Trigger(3, (0, 1), (2,), ("V1", "V2", "S1"))
    path = written(tmp_path / "a.orca", sparse=False, triggers={1: trigger})
    spec = {**SPEC, "ORFCIOEventDecoder": {**SPEC["ORFCIOEventDecoder"]}}
    spec["ORFCIOEventDecoder"]["ch{key:07d}/raw"] = {"key_list": list(ALL), "out_stream": "x"}
    agree(path, spec, stays=False)


def test_a_stream_of_which_nothing_is_wanted_is_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path / "a.orca", sparse=True)
    wanted = {"ch{key:07d}/raw": {"key_list": [2000700, 2000702], "out_stream": "x"}}
    found = agree(path, {**SPEC, "ORFCIOEventDecoder": wanted}, stays=True)
    assert {name.partition("/")[0] for name in found if name.startswith("ch")} == {"ch2000700", "ch2000702"}


@pytest.mark.parametrize(("keys", "stays"), [(ALL[:3], True), (ALL, False)])
def test_traces_of_several_channels_in_one_table_agree(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keys: tuple[int, ...], *, stays: bool
) -> None:
    """Two streams in one table are left to the library, which puts them there in turns."""
    monkeypatch.setitem(globals(), "LIGHT", replace(LIGHT, eventsamples=50))
    path = written(tmp_path / "a.orca", sparse=True)
    together = {"all": {"key_list": list(keys), "out_stream": "x"}}
    agree(path, {**SPEC, "ORFCIOEventDecoder": together}, size=20, stays=stays)


@pytest.mark.parametrize("block", [64, 300, 5000])
@pytest.mark.parametrize("sparse", [False, True])
def test_blocks_of_all_sizes_agree(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, block: int, sparse: bool
) -> None:
    monkeypatch.setattr(flashcam_blocks, "BLOCK", block)
    monkeypatch.setattr(orca_blocks, "EVENTS", 3)
    agree(written(tmp_path / "a.orca", sparse=sparse, between=status), WITH_STATUS, 13, stays=True)


@pytest.mark.parametrize("cut", [4, 8, 16, 20, 60, 1000])
def test_files_that_break_off_agree(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path / "a.orca", sparse=True)
    path.write_bytes(path.read_bytes()[:-cut])
    try:
        columns(OrcaStreamer, path, SPEC, 7)
    except Exception as error:  # noqa: BLE001 - whatever the library says of it
        with pytest.raises(type(error), match=r".*"):
            columns(Streamer, path, SPEC, 7)
    else:
        agree(path)


def test_kinds_without_a_decoder_are_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def strange(writer: orca.Writer, number: int) -> None:
        writer._packet(9 << 18, struct.pack("<I", number))

    path = written(tmp_path / "a.orca", sparse=True, between=strange)
    text = path.read_bytes()
    described = b"<key>ORRunModel</key>"
    record = b"<key>X</key><dict><key>Y</key><dict><key>dataId</key><integer>2359296</integer>"
    record += b"<key>decoder</key><string>ORNobodyDecoder</string></dict></dict>"
    begin = struct.unpack_from("<2I", text)
    header = text[8 : 8 + begin[1]].replace(described, record + described)
    padded = header + bytes(-len(header) % 4)
    path.write_bytes(struct.pack("<2I", 2 + len(padded) // 4, len(header)) + padded + text[4 * begin[0] :])
    with caplog.at_level(logging.WARNING):
        columns(Streamer, path, SPEC, 7, True)
    assert [each for each in caplog.messages if "ORNobodyDecoder" in each] == [
        "no implementation of ORNobodyDecoder, packets were skipped"
    ]
    agree(path, stays=True)


def test_small_files_are_read_without_loading_compiled_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = written(tmp_path / "a.orca", sparse=True)
    monkeypatch.setattr(flashcam, "LEAST", path.stat().st_size + 1)
    agree(path, stays=False)


def test_all_loops_are_compiled_at_installation(tmp_path: Path) -> None:
    """For the types that they are called with: reading a file adds none."""
    path = written(tmp_path / "a.orca", sparse=True)
    compile_ahead()
    before = [len(loop.signatures) for loop in (survey, gather, skim)]
    walk(path, orca_file.records)
    columns(Streamer, path, SPEC, 7, stays=True)
    assert before == [len(loop.signatures) for loop in (survey, gather, skim)] == [1] * 3


@pytest.mark.parametrize("together", [1, 7, 100])
def test_packets_are_found_and_refused_as_without_compiled_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, together: int
) -> None:
    monkeypatch.setattr(flashcam, "RECORDS", together)
    path = written(tmp_path / "a.orca", sparse=True, between=status)
    whole, random = path.read_bytes(), np.random.default_rng(5)
    short = struct.pack("<I", 0x84000001)
    damaged = [whole, whole[:-1], whole[:-4], whole + short, whole + bytes(4), whole + bytes(8), whole[:3], short]
    for place in random.integers(0, len(whole), 100).tolist():
        damaged += [whole[:place], whole[:place] + b"\xff" + whole[place + 1 :], whole[:place] + bytes(8)]
    said = []
    for data in filter(None, damaged):
        path.write_bytes(data)
        monkeypatch.setattr(flashcam, "LEAST", 0)
        ours = walk(path, orca_file.records)
        monkeypatch.setattr(flashcam, "LEAST", 1 << 40)
        assert ours == walk(path, orca_file.records)
        said.append(ours[1].partition(" ")[0])
    assert set(said) == {"", "truncated", "corrupted"}


def test_fcio_opens_no_stream_that_compiled_code_reads_to_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = written(tmp_path / "a.orca", sparse=True)
    monkeypatch.setattr(Later, "_now", lambda _: pytest.fail("fcio was asked"))
    assert {f"ch{key:07d}/raw/waveform" for key in ALL} <= columns(Streamer, path, SPEC, 7, stays=True).keys()
    assert not any(isinstance(stream, Later) for stream in orca_fcio.fcio_stream_library.values())


def test_buffers_are_full_with_whole_chunks(tmp_path: Path) -> None:
    path = written(tmp_path / "a.orca", sparse=True)
    daq = open_daq(path)
    assert daq.rows == max(GERMANIUM.adcs, LIGHT.adcs) < len(daq.keys["ORFCIOEventDecoder"])
    rows = buffer_rows({"ORFCIOEventDecoder": {str(key): {"key_list": [key]} for key in ALL}}, daq)
    stream = Streamer()
    stream.open_stream(str(path), RawBufferLibrary(config=dict(SPEC)), buffer_size=rows, chunk_mode="only_full")
    assert {(len(buffer) - buffer.fill_safety + 1) % TRACES for buffer in stream.rb_lib["ORFCIOEventDecoder"]} == {0}
    stream.close_stream()


def test_the_librarys_reader_is_taken_where_asked_for_or_where_it_has_new_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert type(streamer({})) is Streamer
    assert type(streamer({"event_decoder": "daq2lh5"})) is OrcaStreamer
    assert type(streamer({"n_max": 10})) is OrcaStreamer
    monkeypatch.setattr(orca_events, "COLUMNS", COLUMNS - {"runtime"})
    assert type(streamer({})) is OrcaStreamer
