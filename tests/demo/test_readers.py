"""legend-daq2lh5 reads what we simulate, and gets the samples and times that were written."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from daq2lh5 import build_raw

from gebox.experiment import Experiment
from gebox.files import fcio
from gebox.truth import TABLE, file_path


def raw(path: Path, out: Path, kind: str) -> h5py.File:
    """The file as daq2lh5 converts it."""
    decoder = "FCEventDecoder" if kind == "FlashCam" else "ORFlashCamADCWaveformDecoder"
    spec = {decoder: {"ch{key:07d}/raw": {"key_list": ["*"], "out_stream": f"{out}", "out_name": "ch{key:07d}/raw"}}}
    build_raw(str(path), in_stream_type=kind, out_spec=spec, overwrite=True, buffer_size=512)
    return h5py.File(out)


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
