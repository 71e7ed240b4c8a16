"""Packets of one FlashCam trace each, as ORCA wrote them before 2024: compiled code decodes them as legend-daq2lh5."""

from __future__ import annotations

import logging
import plistlib
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daq2lh5.orca.orca_streamer import OrcaStreamer

from dataflow.steps.tier_raw.daqfile import open_daq
from dataflow.steps.tier_raw.formats import flashcam, flashcam_blocks, orca_blocks, orca_cards, orca_traces
from dataflow.steps.tier_raw.formats.flashcam_ahead import compile_ahead
from dataflow.steps.tier_raw.formats.orca_events import Streamer
from gebox.files import fcio, orca

from .test_orca_events import RUN, agree, columns

ADC, STANDARD = "ORFlashCamADCWaveformDecoder", "ORFlashCamWaveformDecoder"
TRACE, CONFIG, OTHER = 3 << 18, 4 << 18, 5 << 18
GERMANIUM = fcio.Config(
    adcs=4, eventsamples=50, tracemap=(0x10 << 16, 0x10 << 16 | 1, 0x20 << 16, 0x20 << 16 | 3), streamid=1
)
LIGHT = fcio.Config(adcs=2, eventsamples=30, tracemap=(0x70 << 16, 0x70 << 16 | 2), streamid=2)
CONFIGS = (GERMANIUM, LIGHT)
GPS = {1: 0, 2: 100}
KEYS = (1001600, 1001601, 1003200, 1003203, 2011200, 2011202)
SPEC: Mapping[str, Any] = {
    "OrcaHeaderDecoder": {"OrcaHeader": {"key_list": ["*"], "out_stream": ""}},
    "ORRunDecoderForRun": {"ORRunDecoderForRun": {"key_list": ["*"], "out_stream": "x"}},
    "ORFlashCamListenerConfigDecoder": {"config": {"key_list": ["*"], "out_stream": "x"}},
    ADC: {"ch{key:07d}/raw": {"key_list": list(KEYS), "out_stream": "x"}},
}


@pytest.fixture(autouse=True)
def small_files_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flashcam, "LEAST", 0)


@dataclass(frozen=True)
class Trace:
    """What stands in a packet."""

    config: fcio.Config
    channel: int
    numbers: Sequence[int]
    """Seven offsets, five numbers of the dead region, number and time of the event."""
    fpga: tuple[int, int]
    samples: Any
    kind: int = 11
    board: int | None = None
    head: int = 3
    length: int = 17
    crate: int | None = None

    def packet(self, decoder: str = ADC) -> bytes:
        """The bytes."""
        shift = 10 if decoder == ADC else 9
        board, entry = divmod(self.config.tracemap[self.channel], 1 << 16)  # type: ignore[index]
        cards = list(dict.fromkeys(each >> 16 for each in self.config.tracemap or ()))
        crate = CONFIGS.index(self.config) if self.crate is None else self.crate
        third = crate << 27 | cards.index(board) << 22
        third |= (board if self.board is None else self.board) << 10 | entry << shift | self.channel
        second = self.head << 28 | self.length << 22 | len(self.samples) << 6 | self.kind
        content = struct.pack("<2I", second, third) + bytes(4 * (self.head - 3)) + struct.pack("<16i", *self.numbers)
        content += bytes(4 * (self.length - 17)) + struct.pack("<2H", *self.fpga)
        content += np.asarray(self.samples, dtype="<u2").tobytes()
        content += bytes(-len(content) % 4)
        return struct.pack("<I", TRACE | 1 + len(content) // 4) + content


def traces(count: int = 60) -> list[Trace]:
    """Traces of two listeners in turns, of all channels."""
    random, found = np.random.default_rng(3), []
    for number in range(count):
        config = CONFIGS[number % 3 // 2]
        offsets = (1_700_000_000 + number, 17 + number, 1_699_999_990, 3, 4 + number, 1_699_999_999, 6)
        dead = (number, 1000, number + number % 2, 2000 + 41 * number, fcio.CLOCK_HZ - 1)
        time = (number, number // 2, 12_345 * number, fcio.CLOCK_HZ - 1)
        fpga = tuple(random.integers(0, 65_536, 2).tolist())
        samples = random.integers(0, 65_536, config.eventsamples)
        channel = int(random.integers(0, config.adcs))
        found.append(Trace(config, channel, (*offsets, *dead, *time), fpga, samples))  # type: ignore[arg-type]
    return found


def head(decoder: str, samples: int = 0) -> bytes:
    """The header; `samples` more than there are."""
    configs = [replace(each, eventsamples=each.eventsamples + samples) for each in CONFIGS]
    text = orca.header(configs, RUN)
    kinds = {"Trace": (TRACE, decoder), "Config": (CONFIG, "ORFlashCamListenerConfigDecoder"), "Other": (OTHER, "ORX")}
    text["dataDescription"]["ORFlashCamListenerModel"] = {
        name: {"dataId": kind, "decoder": of, "length": -1, "variable": True} for name, (kind, of) in kinds.items()
    }
    data = plistlib.dumps(text, fmt=plistlib.FMT_XML)
    words = 2 + -(-len(data) // 4)
    return struct.pack("<2I", words, len(data)) + data + bytes(4 * (words - 2) - len(data))


def config_of(config: fcio.Config, gps: int, traces: Sequence[int] | None = None) -> bytes:
    """The packet that configures a listener."""
    values = (1, config.adcs, 0, config.eventsamples, 16, 128, 8, 1, 1, 0, gps)
    known = config.tracemap if traces is None else traces
    content = struct.pack(f"<I{len(values)}i{len(known or ())}I", config.streamid or 0, *values, *(known or ()))
    return struct.pack("<I", CONFIG | 1 + len(content) // 4) + content


def written(
    path: Path,
    packets: Sequence[bytes] | None = None,
    *,
    decoder: str = ADC,
    samples: int = 0,
    configs: Sequence[bytes] | None = None,
) -> Path:
    """A file."""
    known = [config_of(each, GPS[each.streamid or 0]) for each in CONFIGS] if configs is None else configs
    events = [each.packet(decoder) for each in traces()] if packets is None else packets
    begin, end = (struct.pack("<4I", orca.RUN | 4, flag, 3, time) for flag, time in ((1, 100), (0, 200)))
    path.write_bytes(head(decoder, samples) + begin + b"".join([*known, *events]) + end)
    return path


@pytest.mark.parametrize("size", [1, 5, 100])
@pytest.mark.parametrize("decoder", [ADC, STANDARD])
@pytest.mark.parametrize("samples", [0, 7, -7])
def test_every_column_of_every_trace_agrees(tmp_path: Path, size: int, decoder: str, samples: int) -> None:
    """Also where the header of the file says another number of samples."""
    path = written(tmp_path / "a.orca", decoder=decoder, samples=samples)
    spec = {**{name: group for name, group in SPEC.items() if name != ADC}, decoder: SPEC[ADC]}
    found = agree(path, spec, size, stays=True)
    rows = {name: len(values) for name, values in found.items() if name.endswith("/waveform")}
    assert len(rows) == 6
    assert sum(rows.values()) == 60
    assert {values.shape[1] for name, values in found.items() if name.endswith("/waveform")} == {50, 30}
    assert {name.rpartition("/")[2] for name in found if name.startswith("ch")} == orca_cards.COLUMNS
    of_light = found["ch2011200/raw/timestamp"] - found["ch2011200/raw/runtime"]
    assert set(of_light.round(3)) == {1_699_999_990.0}
    sent = {each.numbers[12]: each for each in traces() if each.config is GERMANIUM and each.channel == 3}
    for row, number in enumerate(found["ch1003203/raw/eventnumber"].tolist()):
        np.testing.assert_array_equal(found["ch1003203/raw/waveform"][row], sent[number].samples)
    assert len(sent) == rows["ch1003203/raw/waveform"]


def test_a_real_file_agrees(shared_data: Path) -> None:
    path = shared_data / "orca/L200-comm-20220519-phy-geds.orca"
    if not path.is_file():
        pytest.skip(f"there is no {path.name} in the data for tests")
    keys = open_daq(path).keys[ADC]
    spec = {**SPEC, ADC: {"ch{key:07d}/raw": {"key_list": list(keys), "out_stream": "x"}}}
    found = agree(path, spec, size=10, stays=True)
    assert {values.shape[1] for name, values in found.items() if name.endswith("/waveform")} == {6402}
    assert sum(len(values) for name, values in found.items() if name.endswith("/waveform")) == 67


def changed(number: int, **others: Any) -> list[bytes]:
    """The usual packets, one of them changed."""
    return [
        (replace(each, **others) if at == number else each).packet() for at, each in enumerate(traces())
    ]  # fmt: skip


def with_numbers(number: int, at: int, value: int) -> list[bytes]:
    numbers = list(traces()[number].numbers)
    numbers[at] = value
    return changed(number, numbers=numbers)


ODD: Mapping[str, Callable[[], list[bytes]]] = {
    "another board": lambda: changed(30, board=0x30),
    "another channel": lambda: changed(30, channel=(traces()[30].channel + 1) % 4, board=0x20),
    "shorter": lambda: changed(30, samples=traces()[30].samples[:20]),
    "longer": lambda: changed(30, samples=[*traces()[30].samples, 1, 2, 3]),
    "a very large tick": lambda: with_numbers(30, 15, 2**31 - 1),
    "ticks far apart": lambda: with_numbers(30, 10, -(2**31)),
}


@pytest.mark.parametrize("block", [300, 1 << 20])
@pytest.mark.parametrize("what", ODD)
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # legend-daq2lh5 calculates so
def test_after_an_odd_packet_the_library_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str, block: int
) -> None:
    monkeypatch.setattr(flashcam_blocks, "BLOCK", block)
    agree(written(tmp_path / "a.orca", ODD[what]()), SPEC, stays=False)


def between(packets: Sequence[bytes], *others: bytes) -> list[bytes]:
    """Other packets between the usual ones."""
    return [each for at, packet in enumerate(packets) for each in ((*others, packet) if at % 17 == 9 else (packet,))]


USUAL: Mapping[str, Callable[[], list[bytes]]] = {
    "longer headers": lambda: [replace(each, head=5, length=20).packet() for each in traces()],
    "boards as old ORCA shifted them": lambda: [
        replace(each, board=(each.config.tracemap or ())[each.channel] >> 16 << 4 & 0xFFF).packet() for each in traces()
    ],
    "no maximum of ticks": lambda: with_numbers(30, 15, -1),
    "negative times": lambda: with_numbers(30, 13, -5),
    "packets that nobody wants": lambda: between([t.packet() for t in traces()], struct.pack("<3I", OTHER | 3, 1, 2)),
    "a run in between": lambda: between([t.packet() for t in traces()], struct.pack("<4I", orca.RUN | 4, 8, 3, 150)),
    "a configuration again": lambda: between([t.packet() for t in traces()], config_of(GERMANIUM, 50)),
}


@pytest.mark.parametrize("block", [300, 1 << 20])
@pytest.mark.parametrize("what", USUAL)
@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value) encountered:RuntimeWarning")
def test_what_is_possible_agrees(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str, block: int) -> None:
    monkeypatch.setattr(flashcam_blocks, "BLOCK", block)
    monkeypatch.setattr(orca_blocks, "EVENTS", 5)
    agree(written(tmp_path / "a.orca", USUAL[what]()), SPEC, stays=True)


@pytest.mark.parametrize(
    ("configs", "said", "stays"),
    [
        ([], "didn't decode the FC config record", True),
        ([config_of(GERMANIUM, 5, (1, 2, 3, 4)), config_of(LIGHT, 5)], "doesn't match FC key", False),
        ([config_of(GERMANIUM, 5), config_of(LIGHT, 5)], "> gps drift allowance 5", True),
    ],
    ids=["none", "another", "drifting"],
)
def test_configurations_that_are_missing_or_wrong(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, configs: Sequence[bytes], said: str, *, stays: bool
) -> None:
    path = written(tmp_path / "a.orca", configs=configs)
    agree(path, SPEC, stays=stays)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        columns(Streamer, path, SPEC, 7, stays)
    assert said in caplog.text


def test_only_some_channels_are_wanted(tmp_path: Path) -> None:
    path = written(tmp_path / "a.orca")
    for keys in (KEYS[1:3], KEYS[4:]):
        spec = {**SPEC, ADC: {"ch{key:07d}/raw": {"key_list": list(keys), "out_stream": "x"}}}
        found = agree(path, spec, stays=True)
        assert {name.partition("/")[0] for name in found if name.startswith("ch")} == {f"ch{key}" for key in keys}


@pytest.mark.parametrize(("keys", "stays"), [(KEYS[:4], True), (KEYS, False)])
def test_several_channels_in_one_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keys: Sequence[int], *, stays: bool
) -> None:
    """Two listeners in one table are left to the library, which puts them there in turns."""
    short = replace(LIGHT, eventsamples=50)
    monkeypatch.setitem(globals(), "LIGHT", short)
    monkeypatch.setitem(globals(), "CONFIGS", (GERMANIUM, short))
    path = written(tmp_path / "a.orca")
    spec = {**SPEC, ADC: {"all": {"key_list": list(keys), "out_stream": "x"}}}
    agree(path, spec, size=20, stays=stays)


def agree_or_fail(path: Path) -> None:
    """Both ways of reading give the same, or end with the same error."""
    try:
        columns(OrcaStreamer, path, SPEC, 7)
    except Exception as error:  # noqa: BLE001 - whatever the library says of it
        with pytest.raises(type(error), match=re.escape(str(error))):
            columns(Streamer, path, SPEC, 7)
    else:
        agree(path, SPEC)


def test_a_listener_that_has_no_configuration_is_the_same_error(tmp_path: Path) -> None:
    path = written(tmp_path / "a.orca", configs=[config_of(LIGHT, 5)])
    with pytest.raises(KeyError, match="1"):
        columns(Streamer, path, SPEC, 7)
    agree_or_fail(path)


@pytest.mark.parametrize("cut", [4, 8, 16, 20, 60, 150])
def test_files_that_break_off_agree(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path / "a.orca")
    path.write_bytes(path.read_bytes()[:-cut])
    agree_or_fail(path)


def test_all_loops_are_compiled_at_installation(tmp_path: Path) -> None:
    """For the types that they are called with: reading a file adds none."""
    path = written(tmp_path / "a.orca")
    compile_ahead()
    loops = (orca_traces.look, orca_traces.put)
    assert [len(loop.signatures) for loop in loops] == [1, 1]
    columns(Streamer, path, SPEC, 7, stays=True)
    assert [len(loop.signatures) for loop in loops] == [1, 1]
