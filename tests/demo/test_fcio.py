"""FlashCam files that the field's readers take as any other."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from gebox.files import fcio


def rewritten(path: Path) -> bytes:
    """A FlashCam file read record by record and written again by our writer."""
    stream = io.BytesIO()
    writer: fcio.Writer | None = None
    for tag, frames in fcio.records(path):
        if tag == fcio.CONFIG:
            writer = fcio.Writer(stream, _config(frames))
            continue
        assert writer is not None
        if tag == fcio.EVENT:
            kind, pulser, timeoffset, timestamp, traces, deadregion = frames
            width = 2 + writer.config.eventsamples
            writer.event(
                _event(kind, pulser, timeoffset, timestamp, deadregion), np.frombuffer(traces, "<u2").reshape(-1, width)
            )
        elif tag == fcio.SPARSE_EVENT:
            kind, pulser, timeoffset, timestamp, deadregion, _, channels, *rows = frames
            traces = np.array([np.frombuffer(b"\0\0\0\0" + row, "<u2") for row in rows])
            header = _event(kind, pulser, timeoffset, timestamp, deadregion)
            writer.sparse_event(header, _numbers(channels, "H"), traces)
        elif tag == fcio.STATUS:
            state, times, _, _, *cards = frames
            writer.status(fcio.Status(_numbers(state)[0], _numbers(times), tuple(cards)))
    return stream.getvalue()


def _numbers(payload: bytes, code: str = "i") -> tuple[int, ...]:
    return struct.unpack(f"<{len(payload) // struct.calcsize(code)}{code}", payload)


def _config(frames: list[bytes]) -> fcio.Config:
    adcs, triggers, samples, precision, sumlength, bits, masters, trigger_cards, cards, gps = (
        _numbers(frame)[0] for frame in frames[:10]
    )
    return fcio.Config(
        adcs,
        samples,
        triggers,
        precision,
        sumlength,
        bits,
        masters,
        trigger_cards,
        cards,
        gps,
        tracemap=_numbers(frames[10], "I") if len(frames) > 10 else None,
        streamid=_numbers(frames[11])[0] if len(frames) > 11 else None,
    )


def _event(kind: bytes, pulser: bytes, timeoffset: bytes, timestamp: bytes, deadregion: bytes) -> fcio.Event:
    height = struct.unpack("<f", pulser)[0]
    return fcio.Event(_numbers(timestamp), _numbers(timeoffset), _numbers(deadregion), _numbers(kind)[0], height)


@pytest.mark.parametrize("name", ["th228.fcio", "L200-comm-20211130-phy-spms.fcio"])
def test_a_real_file_is_rewritten_byte_for_byte(shared_data: Path, name: str) -> None:
    path = shared_data / "fcio" / name
    assert rewritten(path) == path.read_bytes()


def test_a_simulated_file_is_rewritten_byte_for_byte(simulated: Path) -> None:
    for path in sorted((simulated / "daq").rglob("*.fcio")):
        assert rewritten(path) == path.read_bytes()


def test_unix_time_is_what_the_library_derives(shared_data: Path) -> None:
    import fcio as library

    path = shared_data / "fcio" / "th228.fcio"
    reader = library.FCIO()
    reader.open(str(path))
    for tag, frames in fcio.records(path):
        if tag == fcio.CONFIG:
            continue
        assert reader.get_record()
        kind, pulser, timeoffset, timestamp, _, deadregion = frames
        ours = fcio.unix_time(_event(kind, pulser, timeoffset, timestamp, deadregion))
        assert ours == pytest.approx(reader.event.unix_time_utc_sec, abs=1e-6)
    reader.close()


def test_sparse_and_full_events_come_back_sample_by_sample(tmp_path: Path) -> None:
    import fcio as library

    rng = np.random.default_rng(3)
    config = fcio.Config(adcs=3, eventsamples=64, tracemap=(1040 << 16, 1040 << 16 | 1, 1056 << 16), streamid=5)
    full = rng.integers(0, 65536, (3, 66), dtype=np.uint16)
    sparse = rng.integers(0, 65536, (2, 68), dtype=np.uint16)
    header = fcio.Event((1, 2, 125_000_000, fcio.CLOCK_HZ - 1), (1_700_000_000, 250_000, 0, 0, 0))
    path = tmp_path / "both.fcio"
    with path.open("wb") as file:
        writer = fcio.Writer(file, config)
        writer.event(header, full)
        writer.sparse_event(header, [0, 2], sparse)
    reader = library.FCIO()
    reader.open(str(path))
    assert reader.config.streamid == 5
    assert reader.get_record()
    np.testing.assert_array_equal(np.array(reader.event.trace), full[:, 2:])
    np.testing.assert_array_equal(reader.event.fpga_energy, full[:, 1])
    assert reader.event.unix_time_utc_sec == pytest.approx(1_700_000_002.75)
    assert reader.get_record()
    np.testing.assert_array_equal(np.array(reader.event.trace), sparse[:, 4:])
    np.testing.assert_array_equal(reader.event.trace_list, [0, 2])
    assert list(reader.event.card_address) == [1040, 1056]
    reader.close()


def test_traces_of_the_wrong_shape_are_refused() -> None:
    writer = fcio.Writer(io.BytesIO(), fcio.Config(adcs=2, eventsamples=8))
    header = fcio.Event((0, 0, 0, 1), (0, 0))
    with pytest.raises(ValueError, match="shape"):
        writer.event(header, np.zeros((1, 10), np.uint16))


def test_a_truncated_file_is_noticed(tmp_path: Path, simulated: Path) -> None:
    whole = next(iter(sorted((simulated / "daq").rglob("*.fcio"))))
    cut = tmp_path / "cut.fcio"
    cut.write_bytes(whole.read_bytes()[:-5])
    with pytest.raises(ValueError, match="ends inside a frame"):
        list(fcio.records(cut))


def test_what_is_no_flashcam_stream_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.fcio"
    path.write_text("hello")
    with pytest.raises(ValueError, match="does not begin"):
        list(fcio.records(path))
