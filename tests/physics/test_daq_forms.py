"""DAQ files of every form, packed or not, whole or broken off: the same values, or a refusal."""

from __future__ import annotations

import bz2
import gzip
import importlib
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions
import numpy as np
import pytest

from dataflow.base.errors import UserError
from dataflow.jobs.errors import BadInput
from dataflow.jobs.runner import main
from dataflow.plan import open_cycle
from dataflow.plan.troubles import troubles_of
from dataflow.steps.tier_raw.formats import flashcam
from dataflow.steps.tier_raw.formats.form import Form

if TYPE_CHECKING:
    from tests.physics.conftest import SmallCycle

Maker = Callable[..., "SmallCycle"]

TH228 = "ts1-p01-r000-cal-20180925T093000Z"
ORCA = "l200-p14-r004-cal-20250606T010224Z"
COMPASS = "ts1-p01-r000-cal-20200101T000000Z"
BEGIN = 1_577_836_800
"""2020-01-01, of which the CoMPASS and llamaDAQ times count here."""
PACKERS = {"gz": gzip.compress, "bz2": bz2.compress}


def th228(cycle_of: Maker, data: bytes, folder: Path, ending: str = "fcio", name: str = "cycle") -> SmallCycle:
    source = folder / f"{name}.{ending}"
    source.write_bytes(data)
    return cycle_of(source, TH228, {"V00001A": {"rawid": 0}}, name=name)


def columns(cycle: SmallCycle, table: str) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with h5py.File(cycle.output("tier_raw")) as file:
        file[table].visititems(
            lambda name, node: found.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None
        )
    return found


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray], rows: int | None = None) -> None:
    assert sorted(one) == sorted(other)
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name][:rows], err_msg=name)


def leftovers(cycle: SmallCycle) -> list[str]:
    folder = cycle.output("tier_raw").parent
    return [path.name for path in folder.iterdir() if path.is_file() and path != cycle.output("tier_raw")]


@pytest.mark.parametrize("packing", PACKERS)
def test_a_packed_flashcam_file_gives_the_same(
    shared_data: Path, cycle_of: Maker, tmp_path: Path, packing: str
) -> None:
    data = (shared_data / "fcio/th228.fcio").read_bytes()
    plain = th228(cycle_of, data, tmp_path, name="plain")
    packed = th228(cycle_of, PACKERS[packing](data), tmp_path, f"fcio.{packing}", "packed")
    for cycle in (plain, packed):
        cycle.run("tier_raw")
    assert_same(columns(packed, "ch0000000/raw"), columns(plain, "ch0000000/raw"))
    assert len(columns(packed, "ch0000000/raw")["timestamp"]) == 1000
    assert leftovers(packed) == []


@pytest.mark.parametrize("packing", PACKERS)
def test_a_packed_orca_file_gives_the_same(shared_data: Path, cycle_of: Maker, tmp_path: Path, packing: str) -> None:
    source = shared_data / f"orca/{ORCA}.orca"
    packed_source = tmp_path / f"packed.orca.{packing}"
    packed_source.write_bytes(PACKERS[packing](source.read_bytes()))
    cycles = [cycle_of(path, ORCA, {"V": {"rawid": 1107202}}, name=path.suffix) for path in (source, packed_source)]
    for cycle in cycles:
        cycle.run("tier_raw")
    found = [columns(cycle, "ch1107202/raw") for cycle in cycles]
    assert_same(*found)
    assert found[0]["waveform/values"].shape == (2, 6250)


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("part", [0.5, 0.999])
def test_a_packed_file_that_breaks_off_is_refused(
    shared_data: Path, cycle_of: Maker, tmp_path: Path, packing: str, part: float
) -> None:
    packed = PACKERS[packing]((shared_data / "fcio/th228.fcio").read_bytes())
    cycle = th228(cycle_of, packed[: int(len(packed) * part)], tmp_path, f"fcio.{packing}")
    with pytest.raises(BadInput, match="cannot be unpacked to its end"):
        cycle.run("tier_raw")
    assert leftovers(cycle) == []


def test_what_is_whole_inside_a_broken_packed_file_can_be_taken(
    shared_data: Path, cycle_of: Maker, tmp_path: Path
) -> None:
    data = (shared_data / "fcio/th228.fcio").read_bytes()
    packed = gzip.compress(data)
    cycle = th228(cycle_of, packed[: len(packed) // 2], tmp_path, "fcio.gz")
    cycle.set(settings={"tier_raw": {"salvage": True}})
    cycle.run("tier_raw")
    whole = th228(cycle_of, data, tmp_path, name="whole")
    whole.run("tier_raw")
    found = columns(cycle, "ch0000000/raw")
    assert 300 < len(found["timestamp"]) < 700
    assert_same(found, columns(whole, "ch0000000/raw"), len(found["timestamp"]))
    assert leftovers(cycle) == []


def ends(data: bytes) -> list[int]:
    """Where the records of a FlashCam file end, straight from the bytes."""
    found, place = [], 68
    while place < len(data):
        (value,) = struct.unpack_from("<i", data, place)
        if value < 0:
            found.append(place)
        place += 4 + max(value, 0)
    return [*found[1:], len(data)]


@pytest.mark.parametrize("extra", [0, 3, 4, 8, 500, -4, -40])
def test_all_whole_records_are_salvaged(shared_data: Path, cycle_of: Maker, tmp_path: Path, extra: int) -> None:
    """Three bytes of a next record, a piece of it, or a last record that lacks a frame or a piece of one."""
    data = (shared_data / "fcio/th228.fcio").read_bytes()
    end = ends(data)[400]
    expected = sum(struct.unpack_from("<i", data, at)[0] in (-3, -6) for at in ends(data)[:400]) - (extra < 0)
    cycle = th228(cycle_of, data[: end + extra], tmp_path)
    if extra:
        with pytest.raises(BadInput, match=f"truncated at byte .* of {end + extra}, after") as caught:
            cycle.run("tier_raw")
        assert "salvage: true" in str(caught.value.hint)
    cycle.set(settings={"tier_raw": {"salvage": True}})
    cycle.run("tier_raw")
    whole = th228(cycle_of, data, tmp_path, name="whole")
    whole.run("tier_raw")
    assert len(columns(cycle, "ch0000000/raw")["timestamp"]) == expected
    assert_same(columns(cycle, "ch0000000/raw"), columns(whole, "ch0000000/raw"), expected)
    with h5py.File(cycle.output("tier_raw")) as file:
        assert ("salvaged" in file.attrs) == bool(extra)
    assert leftovers(cycle) == []
    daq = next((cycle.folder / "generated/tier/daq").rglob("*.fcio"))
    assert daq.read_bytes() == data[: end + extra]


@pytest.mark.parametrize("lost", [3, 16, 100, 12_668 + 16])
def test_an_orca_file_is_salvaged(shared_data: Path, cycle_of: Maker, tmp_path: Path, lost: int) -> None:
    """Records of 12,668 bytes hold a trace each, the last of 16 the end of the run."""
    data = (shared_data / f"orca/{ORCA}.orca").read_bytes()
    source = tmp_path / "broken.orca"
    source.write_bytes(data[:-lost])
    rawids = (1105600, 1105604, 1107202, 1113600, 1115200, 1115205)
    cycle = cycle_of(source, ORCA, {f"V{rawid}": {"rawid": rawid} for rawid in rawids})
    cycle.set(settings={"tier_raw": {"salvage": True}})
    cycle.run("tier_raw")
    with h5py.File(cycle.output("tier_raw")) as file:
        rows = sum(len(file[f"ch{rawid}/raw/timestamp"]) for rawid in rawids if f"ch{rawid}" in file)
        assert rows == (7 if lost <= 16 else 6)
        assert ("salvaged" in file.attrs) == (lost not in (16, 12_684))


def test_a_salvaged_file_is_marked_in_its_record(
    shared_data: Path, cycle_of: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = (shared_data / "fcio/th228.fcio").read_bytes()
    cycle = th228(cycle_of, data[: ends(data)[30] + 3], tmp_path)
    cycle.set(settings={"tier_raw": {"salvage": True}})
    assert main(["tier_raw", "--config", str(cycle.config), "--key", TH228]) == 0
    folder = cycle.output("tier_raw").parent / ".lineage"
    (record,) = (path for path in folder.glob(f"{TH228}*.json") if not path.name.endswith(".notes.json"))
    said = f"truncated at byte {ends(data)[30]} of {ends(data)[30] + 3}, after 31 whole records"
    assert json.loads(record.read_text())["counts"] == {"salvaged": said}
    from prodenv.commands.status import show, state_of
    from prodenv.cycles.find import find_cycle

    (cycle.folder / "dataflow").symlink_to(Path(__file__).parents[2] / "dataflow")
    state = state_of(find_cycle(str(cycle.folder)), None, 1)
    assert state["salvaged"] == {TH228: said}
    show(state)
    sentence = f"only a part of {TH228} could be read: its DAQ file is {said}"
    assert capsys.readouterr().out.count(sentence) == 1
    made = open_cycle(cycle.config)
    (trouble,) = troubles_of(made, [("tier_tcm", made.scheme.key(TH228))])  # what a run ends with
    assert trouble.line() == f"warning: all detectors in tier_raw: {sentence} [ts1-p01-r000-cal: tier_raw]"


def test_a_file_without_a_whole_record_is_not_salvaged(shared_data: Path, cycle_of: Maker, tmp_path: Path) -> None:
    cycle = th228(cycle_of, (shared_data / "fcio/th228.fcio").read_bytes()[:90], tmp_path)
    cycle.set(settings={"tier_raw": {"salvage": True}})
    with pytest.raises(BadInput, match="corrupted at byte 68 of 90, after 0 whole records"):
        cycle.run("tier_raw")


def test_the_configuration_of_a_flashcam_file_can_be_kept(shared_data: Path, cycle_of: Maker) -> None:
    """legend-daq2lh5 writes it from memory that was never filled."""
    cycle = cycle_of(shared_data / "fcio/th228.fcio", TH228, {"V00001A": {"rawid": 0}})
    every = {"key_list": ["*"]}
    general = {"FCConfigDecoder": {"extra/{key}": every}, "FCEventDecoder": {"ch0000000/raw": every}}
    (cycle.folder / "inputs/dataprod/config/general.yaml").write_text(json.dumps(general))
    cycle.configure("tier_raw_fcio", inputs={"out_spec": {"gen_config": "$_/general.yaml"}})
    cycle.run("tier_raw")
    with h5py.File(cycle.output("tier_raw")) as file:
        (stream,) = file["extra"]
        found = {name: node[()].tolist() for name, node in file[f"extra/{stream}/config"].items() if "map" not in name}
    frames = struct.unpack_from("<20i", (shared_data / "fcio/th228.fcio").read_bytes(), 72)[1::2]
    cards = ("mastercards", "triggercards", "adccards", "gps")
    names = ("nadcs", "ntriggers", "nsamples", "blprecision", "sumlength", "adcbits", *cards)
    assert {name: found[name] for name in names} == {name: [v] for name, v in zip(names, frames, strict=True)}


# CoMPASS


@pytest.fixture
def compass(shared_data: Path, cycle_of: Maker) -> SmallCycle:
    channels = {f"V{channel}": {"rawid": channel} for channel in (0, 2)}
    cycle = cycle_of(shared_data / "compass/compass_test_data.BIN", COMPASS, channels)
    settings = cycle.folder / "inputs/dataprod/config/acquisition.xml"
    settings.write_bytes((shared_data / "compass/compass_test_data_settings.xml").read_bytes())
    cycle.configure("tier_raw_compass", options={"settings": {"compass_config_file": "$_/acquisition.xml"}})
    return cycle


def compass_records(data: bytes) -> list[dict[str, Any]]:
    """The records of a CoMPASS file with energies in ADC counts and of the short gate, straight from the bytes."""
    found, place = [], 2
    while place < len(data):
        board, channel, time, energy, short, flags, _, count = struct.unpack_from("<HHQHHIBI", data, place)
        wave = np.frombuffer(data, "<u2", count, place + 25)
        place += 25 + 2 * count
        found.append({"key": board * 512 + channel, "time": time, "energy": energy, "energy_short": short,
                      "flags": flags, "wave": wave})  # fmt: skip
    return found


def test_a_compass_file_is_read(shared_data: Path, compass: SmallCycle) -> None:
    data = (shared_data / "compass/compass_test_data.BIN").read_bytes()
    expected = compass_records(data)
    keys = sorted({record["key"] for record in expected})
    assert (len(expected), len(keys)) == (102, 2)
    compass_of = compass.folder / "inputs/hardware/configuration/channelmaps/config.yaml"
    entries = {f"V{key}": {"name": f"V{key}", "system": "geds", "daq": {"rawid": key}} for key in keys}
    compass_of.write_text(json.dumps(entries))
    status = {f"V{key}": {"processable": True, "usability": "on"} for key in keys}
    (compass.folder / "inputs/datasets/statuses/config.yaml").write_text(json.dumps(status))
    compass.run("tier_raw")
    for key in keys:
        rows = [record for record in expected if record["key"] == key]
        found = columns(compass, f"ch{key:07d}/raw")
        for name in ("energy", "energy_short", "flags"):
            np.testing.assert_array_equal(found[name], [row[name] for row in rows], err_msg=name)
        np.testing.assert_array_equal(found["waveform/values"], [row["wave"] for row in rows])
        np.testing.assert_allclose(found["timestamp"], [BEGIN + 1e-12 * row["time"] for row in rows], rtol=0, atol=1e-6)
        assert (found["waveform/dt"] == 2).all(), "a DT5730 has 500 MS/s"
        assert (found["energy_calibrated"] == 0).all()


def test_a_compass_file_needs_its_settings(compass: SmallCycle) -> None:
    compass.configure("tier_raw_compass")
    with pytest.raises(BadInput, match="is read by the settings of its acquisition") as caught:
        compass.run("tier_raw")
    assert "compass_config_file" in str(caught.value.hint)


def test_the_content_of_compass_settings_decides(compass: SmallCycle) -> None:
    before = open_cycle(compass.config).recipe("tier_raw", COMPASS)
    file = compass.folder / "inputs/dataprod/config/acquisition.xml"
    file.write_bytes(file.read_bytes() + b"\n")
    assert open_cycle(compass.config).recipe("tier_raw", COMPASS) != before


@pytest.mark.parametrize(("lost", "salvaged"), [(1, 101), (2024, 101), (2025 + 7, 100)])
def test_a_compass_file_that_breaks_off(compass: SmallCycle, lost: int, salvaged: int) -> None:
    daq = next((compass.folder / "generated/tier/daq").rglob("*.BIN"))
    data = daq.read_bytes()
    daq.write_bytes(data[:-lost])
    with pytest.raises(BadInput, match="truncated at byte"):
        compass.run("tier_raw")
    assert len(compass_records(data)) == 102
    compass.set(settings={"tier_raw": {"salvage": True}})
    compass.run("tier_raw")
    with h5py.File(compass.output("tier_raw")) as file:
        said = file.attrs["salvaged"]
    assert f"after {salvaged} whole records" in said


# llamaDAQ

LLAMA_CHANNELS = (0x12, 0x31)
SAMPLES, AVERAGED = 40, 20


def llama_file() -> tuple[bytes, dict[int, list[tuple[int, np.ndarray, np.ndarray]]]]:
    """A llamaDAQ file of two channels, one with averaged samples, and what is in it: ticks, samples, averages."""
    rng = np.random.default_rng(11)
    data = struct.pack("<I6xHI", 0x4972414C, 88, len(LLAMA_CHANNELS))
    averaged = {LLAMA_CHANNELS[0]: 0, LLAMA_CHANNELS[1]: AVERAGED}
    for channel in LLAMA_CHANNELS:
        mode = 3 if averaged[channel] else 0
        words = 3 + SAMPLES // 2 + (1 + AVERAGED // 2 if averaged[channel] else 0)
        data += struct.pack("<4I2d14I", channel >> 4, channel & 0xF, 3, 0, 125.0, 1.0, 0, 0, 10, 5, mode, SAMPLES,
                            averaged[channel], 0, words, 3, 0, 0, 0, 0)  # fmt: skip
    expected: dict[int, list[tuple[int, np.ndarray, np.ndarray]]] = {channel: [] for channel in LLAMA_CHANNELS}
    for number in range(9):
        channel, ticks = LLAMA_CHANNELS[number % 2], (1 << 33) + 1_000_003 * number
        wave, means = (rng.integers(0, 65_536, n, dtype="u2") for n in (SAMPLES, averaged[channel]))
        expected[channel].append((ticks, wave, means))
        data += struct.pack("<2I", (ticks >> 32) << 16 | channel << 4, ticks & 0xFFFFFFFF)
        kind = 0xA0000000 if averaged[channel] else 0xE0000000
        data += struct.pack("<I", kind | SAMPLES // 2)
        data += struct.pack("<I", 0xE0000000 | AVERAGED // 2) if averaged[channel] else b""
        data += wave.tobytes() + means.tobytes()
    return data, expected


def test_a_llama_file_is_read(cycle_of: Maker, tmp_path: Path) -> None:
    data, expected = llama_file()
    source = tmp_path / "small.llama"
    source.write_bytes(data)
    cycle = cycle_of(source, COMPASS, {f"V{channel}": {"rawid": channel} for channel in LLAMA_CHANNELS})
    cycle.run("tier_raw")
    for channel, rows in expected.items():
        found = columns(cycle, f"ch{channel:07d}/raw")
        np.testing.assert_array_equal(found["waveform_windowed/values"], [wave for _, wave, _ in rows])
        assert (found["waveform_windowed/dt"] == 8).all()
        times = [BEGIN + ticks * 8e-9 for ticks, _, _ in rows]
        np.testing.assert_allclose(found["timestamp"], times, rtol=0, atol=1e-6)
        np.testing.assert_allclose(found["unixtime"], times, rtol=0, atol=1e-6)
        if channel == LLAMA_CHANNELS[1]:
            np.testing.assert_array_equal(found["waveform_presummed/values"], [means for _, _, means in rows])


@pytest.mark.parametrize(("lost", "match"), [(3, "truncated at byte"), (None, "not a llamaDAQ file")])
def test_a_broken_llama_file_is_refused(cycle_of: Maker, tmp_path: Path, lost: int | None, match: str) -> None:
    data, _ = llama_file()
    source = tmp_path / "small.llama"
    source.write_bytes(data[:-lost] if lost else b"?" + data[1:])
    cycle = cycle_of(source, COMPASS, {f"V{channel}": {"rawid": channel} for channel in LLAMA_CHANNELS})
    with pytest.raises(BadInput, match=match):
        cycle.run("tier_raw")


# forms of other packages


def foreign(monkeypatch: pytest.MonkeyPatch, folder: Path, target: str) -> None:
    """Install a package that declares files ``.mine``."""
    info = folder / "site/mine-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[dataprod.daq_formats]\nmine = {target}\n")
    monkeypatch.syspath_prepend(str(folder / "site"))
    importlib.invalidate_caches()


def test_a_form_of_another_package_is_read(
    shared_data: Path, cycle_of: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = type(sys)("mine_daq")
    module.FORM = Form("FlashCam", flashcam.records, flashcam.content)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mine_daq", module)
    foreign(monkeypatch, tmp_path, "mine_daq:FORM")
    data = (shared_data / "fcio/th228.fcio").read_bytes()
    cycle = th228(cycle_of, data, tmp_path, "mine")
    cycle.configure("tier_raw_mine", options={"settings": {"n_max": 100}})
    cycle.run("tier_raw")
    assert len(columns(cycle, "ch0000000/raw")["timestamp"]) == 100


def test_a_form_that_cannot_be_loaded_is_refused(
    shared_data: Path, cycle_of: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign(monkeypatch, tmp_path, "no_such_module_there:FORM")
    cycle = th228(cycle_of, (shared_data / "fcio/th228.fcio").read_bytes(), tmp_path, "mine")
    with pytest.raises(UserError, match="the decoder no_such_module_there:FORM of mine files cannot be loaded"):
        cycle.run("tier_raw")
