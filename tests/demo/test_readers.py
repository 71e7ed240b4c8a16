"""legend-daq2lh5 reads what we simulate, and gets the samples and times that were written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from daq2lh5 import build_raw

from gebox.experiment import Experiment
from gebox.files import fcio, orca
from gebox.simulate import simulate
from gebox.truth import TABLE, file_path


def raw(path: Path, out: Path, kind: str) -> h5py.File:
    """The file as daq2lh5 converts it."""
    decoder = "FCEventDecoder" if kind == "FlashCam" else "ORFCIOEventDecoder"
    numbers = "[0-9]*"  # not the software trigger, whose name is none
    spec = {
        decoder: {"ch{key:07d}/raw": {"key_list": [numbers], "out_stream": f"{out}", "out_name": "ch{key:07d}/raw"}}
    }
    build_raw(str(path), in_stream_type=kind, out_spec=spec, overwrite=True, buffer_size=512)
    return h5py.File(out)


def columns(group: h5py.Group, above: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """All columns of a table, by name."""
    for name, node in group.items():
        if isinstance(node, h5py.Group):
            yield from columns(node, f"{above}{name}/")
        else:
            yield f"{above}{name}", node[()]


def written(path: Path) -> dict[int, list[np.ndarray]]:
    """Traces by raw id, straight from the bytes."""
    rows: dict[int, list[np.ndarray]] = {}
    for tag, frames in fcio.records(path):
        if tag == fcio.CONFIG:
            tracemap = np.frombuffer(frames[10], "<u4")
            rawids = [1_000_000 + int(entry >> 16) * 100 + int(entry & 0xFFFF) for entry in tracemap]
        elif tag == fcio.SPARSE_EVENT:
            for channel, row in zip(np.frombuffer(frames[6], "<u2"), frames[7:], strict=True):
                rows.setdefault(rawids[channel], []).append(np.frombuffer(row, "<u2"))
        elif tag == fcio.EVENT:
            traces = np.frombuffer(frames[4], "<u2").reshape(len(rawids), -1)
            for rawid, row in zip(rawids, traces, strict=True):
                rows.setdefault(rawid, []).append(row)
    return rows


@pytest.mark.parametrize("datatype", ["cal", "phy"])
def test_every_sample_comes_back(simulated: Path, tmp_path: Path, datatype: str) -> None:
    path = sorted((simulated / "daq" / datatype).rglob("*.fcio"))[0]
    expected = written(path)
    with raw(path, tmp_path / "raw.lh5", "FlashCam") as file:
        assert sorted(file) == [f"ch{rawid:07d}" for rawid in sorted(expected)]
        for rawid, rows in expected.items():
            table = file[f"ch{rawid:07d}/raw"]
            np.testing.assert_array_equal(table["waveform/values"][:], [row[2:] for row in rows])
            np.testing.assert_array_equal(table["baseline"][:], [row[0] for row in rows])
            np.testing.assert_array_equal(table["daqenergy"][:], [row[1] for row in rows])


def test_times_are_those_of_the_truth(small: Experiment, simulated: Path, tmp_path: Path) -> None:
    first = next(file for file in small.files if file.datatype == "phy")
    with (
        raw(simulated / "daq" / f"{first.stem}.fcio", tmp_path / "raw.lh5", "FlashCam") as file,
        h5py.File(file_path(simulated / "truth", first)) as truth,
    ):
        rawid = small.layout.detectors[0].address.rawid
        times = file[f"ch{rawid:07d}/raw/timestamp"][:]
        np.testing.assert_allclose(times, truth[TABLE]["timestamp"][:], rtol=0, atol=1e-6)
        assert times[0] >= first.start
        assert times[-1] < first.start + first.duration + 1


@pytest.mark.parametrize("datatype", ["cal", "phy"])
def test_orca_files_hold_the_same_samples_and_times(
    small: Experiment, simulated: Path, tmp_path: Path, datatype: str
) -> None:
    first = next(file for file in small.files if file.datatype == datatype)
    simulate(small, tmp_path / "daq", tmp_path / "truth", only=first.key, form="orca")
    plain, packed = simulated / "daq" / f"{first.stem}.fcio", tmp_path / "daq" / f"{first.stem}.orca"
    with raw(plain, tmp_path / "a.lh5", "FlashCam") as one, raw(packed, tmp_path / "b.lh5", "ORCA") as two:
        assert sorted(one) == sorted(two)
        for channel in one:
            tables = [dict(columns(file[f"{channel}/raw"])) for file in (one, two)]
            assert sorted(tables[0]) == sorted(tables[1])
            assert {"waveform/values", "timestamp", "baseline", "daqenergy", "eventnumber"} < set(tables[0])
            for column in set(tables[0]) - {"packet_id"}:  # begin and end of the run are packets too
                np.testing.assert_array_equal(tables[0][column], tables[1][column], err_msg=column)


def test_orca_files_have_extended_records(small: Experiment, tmp_path: Path) -> None:
    """As LEGEND-200 writes since 2024: no length in the first word, though it would fit."""
    first = next(file for file in small.files if file.datatype == "cal")
    simulate(small, tmp_path / "daq", tmp_path / "truth", only=first.key, form="orca")
    words = np.frombuffer((tmp_path / "daq" / f"{first.stem}.orca").read_bytes(), "<u4")
    place, kinds = int(words[0]), {}
    while place < len(words):
        kind, length = int(words[place]) & 0xFFFC0000, int(words[place]) & 0x3FFFF
        kinds.setdefault(kind, set()).add(length)
        place += length or int(words[place + 1])
    assert place == len(words)
    assert kinds == {orca.RUN: {4}, orca.CONFIG: {0}, orca.EVENT: {0}, orca.STATUS: {0}}


def test_an_orca_file_carries_several_streams(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    configs = [
        fcio.Config(adcs=2, eventsamples=64, tracemap=(1040 << 16, 1040 << 16 | 1), streamid=1),
        fcio.Config(adcs=1, eventsamples=32, tracemap=(528 << 16,), streamid=2),
    ]
    header = fcio.Event((0, 1, 0, fcio.CLOCK_HZ - 1, 0, 0, 0, 0, 0, 0), (1_700_000_000, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    first = rng.integers(0, 65536, (2, 66), dtype=np.uint16)
    second = rng.integers(0, 65536, (1, 36), dtype=np.uint16)
    path = tmp_path / "two.orca"
    with path.open("wb") as file:
        writer = orca.Writer(file, configs, orca.Run(7, 1_700_000_000))
        writer.event(header, first, stream=1)
        writer.sparse_event(header, [0], second, stream=2)
        writer.finish(1_700_000_010)
    with raw(path, tmp_path / "raw.lh5", "ORCA") as file:
        np.testing.assert_array_equal(file["ch1104001/raw/waveform/values"][0], first[1, 2:])
        np.testing.assert_array_equal(file["ch2052800/raw/waveform/values"][0], second[0, 4:])


def test_the_software_trigger_sees_what_was_written(small: Experiment, tmp_path: Path) -> None:
    """Its records are read back by the library, and agree with the traces and the truth beside them."""
    first = next(file for file in small.files if file.datatype == "phy")
    simulate(small, tmp_path / "daq", tmp_path / "truth", only=first.key, form="orca")
    keys = {"ORFCIOEventDecoder": "event", "ORFCIOConfigDecoder": "config", "ORFCIOStatusDecoder": "status"}
    spec: dict[str, dict[str, object]] = {
        decoder: {f"swt/{name}": {"key_list": [f"swtid_1/{name}"], "out_stream": str(tmp_path / "raw.lh5")}}
        for decoder, name in keys.items()
    }
    spec["ORFCIOConfigDecoder"]["config"] = {"key_list": ["fcid_1/config"], "out_stream": str(tmp_path / "raw.lh5")}
    rawids = [address.rawid for address in small.layout.tracemap]
    spec["ORFCIOEventDecoder"]["ch{key}"] = {"key_list": rawids, "out_stream": str(tmp_path / "raw.lh5")}
    path = tmp_path / "daq" / f"{first.stem}.orca"
    build_raw(str(path), in_stream_type="ORCA", out_spec=spec, overwrite=True, buffer_size=512)
    with h5py.File(tmp_path / "raw.lh5") as file, h5py.File(file_path(tmp_path / "truth", first)) as truth:
        events, number = file["swt/event"], len(truth[TABLE]["timestamp"])
        fired = np.array([file[f"ch{detector.address.rawid}/daqenergy"][:] for detector in small.layout.detectors])
        np.testing.assert_array_equal(events["obs_hwm_hw_multiplicity"][:], (fired > 0).sum(axis=0))
        np.testing.assert_array_equal(events["obs_hwm_max_value"][:], fired.max(axis=0))
        np.testing.assert_array_equal(events["obs_hwm_sw_multiplicity"][:], (fired > 100).sum(axis=0))
        np.testing.assert_array_equal(events["is_hwm_multiplicity"][:], (fired > 100).any(axis=0))
        assert events["is_written"][:].all() and not events["is_extended"][:].any()
        lengths = np.diff(truth[TABLE]["photoelectrons/cumulative_length"][:], prepend=0)
        detected = np.array(
            [part.sum() for part in np.split(truth[TABLE]["photoelectrons/flattened_data"][:], lengths.cumsum())[:-1]]
        )
        light = events["obs_wps_sum_value"][:]
        assert np.median(light[detected > 40]) > 7.0 > np.median(light[detected == 0])
        np.testing.assert_array_equal(events["is_wps_sum"][:], light >= 7.0)
        assert file["swt/status/n_read_events"][-1] == number
        assert file["swt/status/dt_n_read_events"][:].sum() == number
        assert file["swt/status/runtime"][-1] == first.duration
        config = file["swt/config"]
        assert config["dsp_hwm_fpga_energy_threshold_adc/flattened_data"][:].tolist() == [100] * 4
        assert config["dsp_wps_gains/flattened_data"][:].tolist() == [50.0] * 2
        assert config["dsp_wps_tracemap_label"][0][:2].tolist() == [b"S001", b"S002"]
        assert (config["trg_wps_sum_threshold"][0], config["buffer_window_nsec"][0]) == (7.0, 1_000_000_000)
