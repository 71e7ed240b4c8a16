"""The same events in a FlashCam file and in an ORCA file give the same raw data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - reads compressed tables
import numpy as np
import pytest

from dataflow.jobs.runner import run
from dataflow.plan import open_cycle
from gebox.cli import main as gebox

KEY = "l200-p03-r000-cal-20240301T080000Z"


def raw_of(folder: Path, form: str, inputs: Path) -> Path:
    """The raw file of a simulated calibration file in one of the containers."""
    shutil.copytree(inputs, folder / "inputs")
    daq = folder / "generated/tier/daq"
    words = ["--metadata", str(inputs), "--daq", str(daq), "--truth", str(folder / "truth"), "--only", KEY[5:]]
    assert gebox(["simulate", *words, "--format", form]) == 0
    (folder / "config.json").write_text(json.dumps({"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}}))
    job = open_cycle(folder / "config.json").job("tier_raw", KEY)
    run(job)
    return job.outputs["tier"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("containers")
    assert gebox(["metadata", "--out", str(folder / "inputs"), "--scale", "0.02"]) == 0
    fcio, orca = (raw_of(folder / form, form, folder / "inputs") for form in ("fcio", "orca"))
    return fcio, orca


def test_every_column_is_the_same(files: tuple[Path, Path]) -> None:
    with h5py.File(files[0]) as fcio, h5py.File(files[1]) as orca:
        channels = [name for name in fcio if name.startswith("ch")]
        assert channels == [name for name in orca if name.startswith("ch")]
        assert len(channels) >= 6
        for channel in channels:
            one, other = fcio[f"{channel}/raw"], orca[f"{channel}/raw"]
            assert set(one) == set(other)
            for name in set(one) - {"packet_id", "waveform"}:  # packets are counted by container
                np.testing.assert_array_equal(one[name][:], other[name][:], err_msg=f"{channel} {name}")
            np.testing.assert_array_equal(one["waveform/values"][:], other["waveform/values"][:])
