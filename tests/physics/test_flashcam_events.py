"""Events of FlashCam files that are gathered in columns are those of legend-daq2lh5, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daq2lh5.data_streamer import DataStreamer
from daq2lh5.fc.fc_event_decoder import FCEventDecoder as Library
from daq2lh5.fc.fc_streamer import FCStreamer
from lgdo import WaveformTable

from dataflow.steps.tier_raw.formats import flashcam_events
from dataflow.steps.tier_raw.formats.flashcam_events import COLUMNS, Streamer, streamer
from gebox.files import fcio

SAMPLES, CHANNELS = 50, 4
CLOCK = fcio.CLOCK_HZ


def columns(make: Callable[[], DataStreamer], path: Path, size: int) -> Mapping[str, np.ndarray]:
    """All columns of all tables of events, after reading with buffers of `size` rows."""
    stream, found = make(), {}
    stream.open_stream(str(path), buffer_size=size, chunk_mode="only_full")
    for name, values in (pair for buffer in stream.rb_lib["FCEventDecoder"] for pair in arrays(buffer)):
        assert name
        values[...] = 0
    while buffers := stream.read_chunk():
        for buffer in buffers:
            if buffer.out_name.startswith("FCEvent") and "Header" not in buffer.out_name:
                for name, values in arrays(buffer):
                    found.setdefault(f"{buffer.out_name}/{name}", []).append(values[: buffer.loc].copy())
            buffer.loc = 0
    stream.close_stream()
    return {name: np.concatenate(parts) for name, parts in found.items()}


def arrays(buffer: Any) -> Iterator[tuple[str, np.ndarray]]:
    for name, column in buffer.lgdo.items():
        yield name, column.values.nda if isinstance(column, WaveformTable) else column.nda


def agree(path: Path, size: int = 7) -> Mapping[str, np.ndarray]:
    ours, theirs = columns(Streamer, path, size), columns(FCStreamer, path, size)
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        assert ours[name].dtype == values.dtype, name
        np.testing.assert_array_equal(ours[name], values, err_msg=name)
    return ours


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
    found = agree(written(tmp_path / "a.fcio", sparse=sparse, kind=kind, adcbits=adcbits))
    rows = [len(values) for name, values in found.items() if name.endswith("/waveform")]
    assert sum(rows) == (40 * CHANNELS if not sparse else 100)
    assert any(values.any() for name, values in found.items() if name.endswith("/deadtime"))


def test_events_with_fewer_numbers_agree(tmp_path: Path) -> None:
    found = agree(written(tmp_path / "a.fcio", sparse=False, words=5))
    np.testing.assert_array_equal(found["FCEvent/dr_ch_len"], np.full(40 * CHANNELS, CHANNELS))


@pytest.mark.parametrize("name", ["th228.fcio", "L200-comm-20211130-phy-spms.fcio"])
def test_real_files_agree(shared_data: Path, name: str) -> None:
    path = shared_data / "fcio" / name
    if not path.is_file():
        pytest.skip(f"there is no {path.name} in the data for tests")
    assert len(agree(path, 100)) >= len(COLUMNS)


def test_legend_daq2lh5_has_no_column_that_is_not_filled() -> None:
    assert set(Library().decoded_values) == COLUMNS


def test_the_librarys_decoder_is_taken_where_asked_for_or_where_it_has_new_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert type(streamer({})) is Streamer
    assert type(streamer({"event_decoder": "daq2lh5"})) is FCStreamer
    monkeypatch.setattr(flashcam_events, "COLUMNS", COLUMNS - {"runtime"})
    assert type(streamer({})) is FCStreamer
