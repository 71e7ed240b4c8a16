"""What the settings of raw files may say: codecs with every compression, groups of systems, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions
import lh5
import numpy as np
import pytest
import yaml

from dataflow.base.errors import UserError
from dataflow.jobs.errors import BadInput
from dataflow.plan import open_cycle
from gebox.files import fcio

if TYPE_CHECKING:
    from tests.physics.conftest import SmallCycle

Maker = Callable[..., "SmallCycle"]

KEY = "ts1-p01-r000-cal-20231114T221320Z"
SAMPLES, EVENTS = 300, 12
RAWIDS = (1104000, 1104001, 1104002)
FILTER_IDS = {"zstd": "32015", "blosc": "32001", "lz4": "32004", "bitshuffle": "32008", "bzip2": "307"}
CODECS = ("", "RadwareSigcompress(codec_shift=-32768)", "ULEB128ZigZagDiff()")
PRESUM = {
    "function": "presum",
    "module": "dspeed.processors",
    "args": ["waveform", 0, "rate", "summed(shape=len(waveform)//4, period=waveform.period*4, offset=0, dtype='I')"],
    "unit": ["ADC", "ADC"],
}


def traces() -> np.ndarray:
    """Steps on noise, the full range in the last event: shape (events, channels, baseline + energy + samples)."""
    rng = np.random.default_rng(8)
    waves = rng.integers(9_900, 10_100, (EVENTS, len(RAWIDS), 2 + SAMPLES))
    waves[:, :, 150:] += rng.integers(0, 40_000, (EVENTS, len(RAWIDS), 1))
    waves[-1, :, 2:] = rng.integers(0, 65_536, (len(RAWIDS), SAMPLES))
    return waves.astype("u2")


def write(path: Path) -> Path:
    config = fcio.Config(
        adcs=len(RAWIDS), eventsamples=SAMPLES, tracemap=tuple(1040 << 16 | n for n in range(len(RAWIDS))), streamid=1
    )
    with path.open("wb") as file:
        writer = fcio.Writer(file, config)
        for number, waves in enumerate(traces()):
            event = fcio.Event((number, number, 0, fcio.CLOCK_HZ - 1, *[0] * 6), (1_700_000_000, *[0] * 9))
            writer.event(event, waves)
    return path


@pytest.fixture
def cycle(tmp_path: Path, cycle_of: Maker) -> SmallCycle:
    systems = dict(zip(RAWIDS, ("geds", "spms", "geds"), strict=True))
    channels = {f"X{rawid}": {"rawid": rawid, "system": system} for rawid, system in systems.items()}
    return cycle_of(write(tmp_path / "three.fcio"), KEY, channels)


def configure(cycle: SmallCycle, settings: Mapping[str, Any] | None = None, **specs: Any) -> None:
    folder = cycle.folder / "inputs/dataprod/config"
    for name, spec in specs.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(spec))
    inputs = {"out_spec": {name: f"$_/{name}.yaml" for name in specs}} if specs else {}
    cycle.configure("tier_raw_fcio", inputs=inputs, options={"settings": dict(settings or {})})


def group(**processing: Any) -> dict[str, Any]:
    entry = {"key_list": ["*"], "out_stream": "{filekey}"}
    return {"FCEventDecoder": {"ch{key:07d}/raw": entry | ({"proc_spec": processing} if processing else {})}}


def read(cycle: SmallCycle, name: str, rawid: int = RAWIDS[0]) -> Any:
    return lh5.read(f"ch{rawid}/raw/{name}", str(cycle.output("tier_raw")))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("compression", [*FILTER_IDS, "gzip", "lzf", None])
def test_every_codec_goes_with_every_compression(cycle: SmallCycle, codec: str, compression: str | None) -> None:
    processing = {"compression": {"waveform/values": codec}} if codec else {}
    configure(cycle, {"hdf5_settings": {"compression": compression, "shuffle": True}}, gen_config=group(**processing))
    cycle.run("tier_raw")
    for number, rawid in enumerate(RAWIDS):
        np.testing.assert_array_equal(read(cycle, "waveform/values", rawid).nda, traces()[:, number, 2:])
        np.testing.assert_array_equal(read(cycle, "baseline", rawid).nda, traces()[:, number, 0])
    with h5py.File(cycle.output("tier_raw")) as file:
        used = set(file["ch1104000/raw/baseline"]._filters) - {"shuffle"}
        assert used == {FILTER_IDS.get(str(compression), compression)} - {None}
        assert ("codec" in file["ch1104000/raw/waveform/values"].attrs) == bool(codec)


@pytest.mark.parametrize("compression", ["gzip", "zstd", "bzip2"])
def test_a_level_goes_with_a_codec(cycle: SmallCycle, compression: str) -> None:
    packed = group(compression={"waveform/values": CODECS[1]})
    configure(cycle, {"hdf5_settings": {"compression": compression, "compression_opts": 2}}, gen_config=packed)
    cycle.run("tier_raw")
    np.testing.assert_array_equal(read(cycle, "waveform/values").nda, traces()[:, 0, 2:])
    with h5py.File(cycle.output("tier_raw")) as file:
        used = file["ch1104000/raw/baseline"]._filters
        assert used[FILTER_IDS.get(compression, compression)] in (2, (2,))


def test_a_column_may_have_a_compression_of_its_own(cycle: SmallCycle) -> None:
    own = {"baseline": {"compression": "lzf"}, "daqenergy": {"compression": "bzip2"}}
    configure(cycle, gen_config=group(hdf5_settings=own))
    cycle.run("tier_raw")
    with h5py.File(cycle.output("tier_raw")) as file:
        table = file["ch1104000/raw"]
        assert set(table["baseline"]._filters) == {"shuffle", "lzf"}
        assert set(table["daqenergy"]._filters) == {"shuffle", "307"}
        assert set(table["timestamp"]._filters) == {FILTER_IDS["bitshuffle"]}


def test_traces_are_stored_by_bits_in_chunks_of_whole_traces_unless_other_settings_are_given(cycle: SmallCycle) -> None:
    configure(cycle)
    cycle.run("tier_raw")
    with h5py.File(cycle.output("tier_raw")) as file:
        values = file["ch1104000/raw/waveform/values"]
        assert set(values._filters) == {FILTER_IDS["bitshuffle"]}
        assert values._filters[FILTER_IDS["bitshuffle"]][-1] == 2  # LZ4
        assert values.chunks == (64, SAMPLES)
        assert "hdf5_settings" not in values.attrs
        np.testing.assert_array_equal(values[...], traces()[:, 0, 2:])
    configure(cycle, {"hdf5_settings": {"compression": "zstd"}})
    cycle.run("tier_raw")
    with h5py.File(cycle.output("tier_raw")) as file:
        assert FILTER_IDS["zstd"] in file["ch1104000/raw/waveform/values"]._filters


def test_sums_in_integers_have_their_values(cycle: SmallCycle) -> None:
    processing = {"outputs": ["rate", "summed"], "processors": {"rate, summed": PRESUM}}
    configure(cycle, gen_config=group(dsp_config=processing, window=["waveform", 100, -100, "windowed"]))
    cycle.run("tier_raw")
    for number, rawid in enumerate(RAWIDS):
        whole = traces()[:, number, 2:]
        np.testing.assert_array_equal(read(cycle, "windowed/values", rawid).nda, whole[:, 100:-100])
        assert read(cycle, "summed/values", rawid).nda.dtype == np.uint32
        sums = whole.astype("i8").reshape(EVENTS, -1, 4).sum(axis=2)
        np.testing.assert_array_equal(read(cycle, "summed/values", rawid).nda, sums)
        assert (read(cycle, "rate", rawid).nda == 4).all()


def test_a_codec_that_would_lose_something_is_refused(cycle: SmallCycle) -> None:
    configure(cycle, gen_config=group(compression={"waveform/values": "RadwareSigcompress(codec_shift=0)"}))
    with pytest.raises(UserError, match=r"ch1104000/raw/waveform reach from .* which RadwareSigcompress.* cannot hold"):
        cycle.run("tier_raw")


def test_packed_files_are_the_same_each_time(cycle: SmallCycle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever memory held before."""
    configure(cycle, gen_config=group(compression={"waveform/values": CODECS[1]}))
    found = []
    empty = np.empty
    for value in (0, 255):
        with monkeypatch.context() as patch:
            patch.setattr(np, "empty", lambda *a, v=value, **k: _filled(empty(*a, **k), v))
            cycle.run("tier_raw")
        with h5py.File(cycle.output("tier_raw")) as file:
            found.append(file["ch1104000/raw/waveform/values/encoded_data/flattened_data"][:])
    np.testing.assert_array_equal(*found)


def _filled(array: np.ndarray, value: int) -> np.ndarray:
    if array.dtype.kind in "iu" and array.flags.owndata:
        array.view("u1").fill(value) if array.ndim else None
    return array


def test_two_systems_with_the_same_template_keep_all_channels(cycle: SmallCycle) -> None:
    configure(cycle, geds_config=group(), spms_config=group())
    cycle.run("tier_raw")
    for number, rawid in enumerate(RAWIDS):
        np.testing.assert_array_equal(read(cycle, "waveform/values", rawid).nda, traces()[:, number, 2:])


def test_two_systems_may_be_processed_differently(cycle: SmallCycle) -> None:
    windowed = group(window=["waveform", 0, 50, "waveform_windowed"], drop=["waveform"])
    configure(cycle, geds_config=windowed, spms_config=group())
    cycle.run("tier_raw")
    np.testing.assert_array_equal(read(cycle, "waveform/values", RAWIDS[1]).nda, traces()[:, 1, 2:])
    for number in (0, 2):
        found = read(cycle, "waveform_windowed/values", RAWIDS[number]).nda
        np.testing.assert_array_equal(found, traces()[:, number, 2:52])


@pytest.mark.parametrize("form", ["filekey:/ch{key:07d}, out_name: raw", "filekey:/{name}, out_name: raw"])
def test_groups_of_the_file_may_be_named_by_the_stream(cycle: SmallCycle, form: str) -> None:
    inside = form.partition(":")[2].partition(",")[0]
    entry = {"key_list": ["*"], "out_stream": "{filekey}:" + inside, "out_name": "raw"}
    configure(cycle, gen_config={"FCEventDecoder": {"ch{key:07d}": entry}})
    cycle.run("tier_raw")
    np.testing.assert_array_equal(read(cycle, "waveform/values", RAWIDS[1]).nda, traces()[:, 1, 2:])


@pytest.mark.parametrize("name", ["geds_config", "gen_config"])
def test_several_channels_in_one_table_are_refused(cycle: SmallCycle, name: str) -> None:
    configure(cycle, **{name: {"FCEventDecoder": {"geds/raw": {"key_list": ["*"]}}}})
    number = 2 if name == "geds_config" else 3
    with pytest.raises(UserError, match=f"puts the {number} channels 1104000.*into one table 'geds/raw'") as caught:
        cycle.run("tier_raw")
    assert "{key}" in str(caught.value.hint)
    assert not cycle.output("tier_raw").exists()


def test_a_table_format_for_one_detector_is_refused_for_several(cycle: SmallCycle) -> None:
    cycle.set(table_format={"raw": "geds/raw"})
    said = "table_format.raw is 'geds/raw', one table for 3 channels of the map"
    with pytest.raises(UserError, match=said) as caught:
        open_cycle(cycle.config).job("tier_raw", KEY)
    assert "ch{ch:07d}/raw" in str(caught.value.hint)


def test_a_raw_file_with_several_channels_in_one_table_is_refused(cycle: SmallCycle, tmp_path: Path) -> None:
    """As others may have made it."""
    from daq2lh5 import build_raw

    from dataflow.physics.rawtables import refuse_mixed

    made = tmp_path / "mixed.lh5"
    source = next((cycle.folder / "generated/tier/daq").rglob("*.fcio"))
    spec = {"FCEventDecoder": {"geds/raw": {"key_list": ["*"], "out_stream": str(made)}}}
    build_raw(str(source), in_stream_type="FlashCam", out_spec=spec)
    with pytest.raises(BadInput, match="geds/raw of .* holds rows of 3 channels"):
        refuse_mixed(made, "geds/raw")
    cycle.run("tier_raw")
    refuse_mixed(cycle.output("tier_raw"), "ch1104001/raw")


def test_a_channel_in_two_groups_is_refused(cycle: SmallCycle) -> None:
    one, other = ({"key_list": [1104000]}, {"key_list": [[1104000, 1104000]]})
    configure(cycle, gen_config={"FCEventDecoder": {"a/raw": one, "b/raw": other}})
    with pytest.raises(UserError, match="has the channel 1104000 in 'a/raw' and in 'b/raw'"):
        cycle.run("tier_raw")


def test_a_processing_that_makes_nothing_is_refused(cycle: SmallCycle) -> None:
    """legend-daq2lh5 only notes it in a log, and the columns are missing."""
    wrong = {"outputs": ["rate"], "processors": {"rate, summed": PRESUM | {"args": ["wavefrom", 0, "rate", "summed"]}}}
    configure(cycle, gen_config=group(dsp_config=wrong))
    with pytest.raises(UserError, match="the proc_spec of ch1104000/raw makes no rate"):
        cycle.run("tier_raw")


def test_another_file_as_stream_is_refused(cycle: SmallCycle, tmp_path: Path) -> None:
    elsewhere = {"key_list": ["*"], "out_stream": f"{tmp_path}/other.lh5"}
    configure(cycle, gen_config={"FCEventDecoder": {"ch{key}/raw": elsewhere}})
    with pytest.raises(UserError, match="is written into another file"):
        cycle.run("tier_raw")
    assert not (tmp_path / "other.lh5").exists()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"hdf5_settings": {"compression": "zip"}}, "there is no compression 'zip'"),
        ({"bufer_size": 100}, "has no entry 'bufer_size'"),
    ],
)
def test_settings_that_there_are_not_are_refused(cycle: SmallCycle, settings: dict[str, Any], match: str) -> None:
    configure(cycle, settings)
    with pytest.raises(UserError, match=match):
        cycle.run("tier_raw")


def test_rows_end_where_the_settings_say(cycle: SmallCycle) -> None:
    configure(cycle, {"n_max": 17})
    cycle.run("tier_raw")
    with h5py.File(cycle.output("tier_raw")) as file:
        assert sum(len(file[f"{table}/raw/timestamp"]) for table in file if table.startswith("ch")) == 17


def test_the_file_may_lie_in_a_folder_of_any_name(tmp_path: Path, cycle_of: Maker) -> None:
    cycle = cycle_of(write(tmp_path / "three.fcio"), KEY, {"X": {"rawid": RAWIDS[1]}}, name="é 測定")
    (daq,) = (cycle.folder / "generated/tier/daq").rglob("*.fcio")
    (daq.parent / "é $HOME [ab]").mkdir()
    daq.rename(daq.parent / "é $HOME [ab]" / daq.name)
    cycle.run("tier_raw")
    np.testing.assert_array_equal(read(cycle, "waveform/values", RAWIDS[1]).nda, traces()[:, 1, 2:])


def in_parts(path: str, table: str) -> Any:
    """The summed traces of a table, as those read them that go through a file in parts."""
    parts = lh5.LH5Iterator(path, table, buffer_len=5)
    return np.concatenate([np.array(part["summed"].values.nda[: len(part)]) for part in parts])


def test_traces_with_a_unit_are_read_in_parts(cycle: SmallCycle) -> None:
    """As dspeed and the collaboration's programs read raw files."""
    chain = {"outputs": ["rate", "summed"], "processors": {"rate, summed": PRESUM}}
    configure(cycle, gen_config=group(dsp_config=chain))
    cycle.run("tier_raw")
    path, table = str(cycle.output("tier_raw")), f"ch{RAWIDS[0]}/raw"
    expected = traces()[:, 0, 2:].reshape(EVENTS, -1, 4).sum(axis=2)
    np.testing.assert_array_equal(in_parts(path, table), expected)
    with h5py.File(path, "a") as file:
        assert file[f"{table}/summed/values"].attrs["units"] == "ADC"
        file[f"{table}/summed"].attrs["units"] = "ADC"
    with pytest.raises(lh5.io.exceptions.LH5DecodeError, match="different attributes"):
        in_parts(path, table)  # when this goes well, ``unit_of_values`` of tier_raw is needed no more
