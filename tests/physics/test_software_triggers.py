"""Records of software triggers in FlashCam streams have columns of their own, and tables of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import lh5
import numpy as np
import pytest
import yaml

from dataflow.checks.lh5check import check_file
from dataflow.jobs.errors import BadInput
from gebox.files import fcio, fsp, orca

if TYPE_CHECKING:
    from tests.physics.conftest import SmallCycle

Maker = Callable[..., "SmallCycle"]

KEY = "ts1-p01-r000-phy-20231114T221320Z"
RAWIDS = (1104000, 1104001, 1052800)
TRACEMAP = (1040 << 16, 1040 << 16 | 1, 528 << 16)
SAMPLES, EVENTS = 200, 6
ENERGIES = np.array([[0, 0], [250, 0], [90, 30], [500, 101], [0, 100], [65535, 7]])
LIGHT = np.array([0, 20, 30, 500, 25, 100])
"""Counts of the FPGA's energies by event and detector; heights of the light by event, at sample 60."""
TRIGGER = fsp.Trigger(3, (0, 1), (2,), ("V1", "V2", "S1"))
RECORDS = {"orca": "ORFCIOEvent/swtid_1/event", "fcio": "FSPEvent/swtid_1/event"}


def traces() -> np.ndarray:
    waves = np.full((EVENTS, 3, 2 + SAMPLES), 10_000)
    waves[:, :2, 1] = ENERGIES
    waves[:, 2, 1] = 0
    waves[:, 2, 2 + 60 :] += LIGHT[:, np.newaxis]
    return waves.astype("u2")


def write(path: Path, form: str) -> Path:
    config = fcio.Config(adcs=3, eventsamples=SAMPLES, tracemap=TRACEMAP, streamid=1)
    with path.open("wb") as file:
        run = orca.Run(1, 1_700_000_000)
        writer = (
            orca.Writer(file, [config], run, {1: TRIGGER}) if form == "orca" else fcio.Writer(file, config, TRIGGER)
        )
        for number, waves in enumerate(traces()):
            writer.event(fcio.Event((number, number, 0, fcio.CLOCK_HZ - 1, *[0] * 6), (1_700_000_000, *[0] * 9)), waves)
    return path


@pytest.fixture(params=RECORDS)
def triggered(request: pytest.FixtureRequest, tmp_path: Path, cycle_of: Maker) -> tuple[SmallCycle, str]:
    channels = {
        f"X{rawid}": {"rawid": rawid, "system": system}
        for rawid, system in zip(RAWIDS, ("geds", "geds", "spms"), strict=True)
    }
    return cycle_of(write(tmp_path / f"swt.{request.param}", request.param), KEY, channels), request.param


def test_what_it_saw_is_in_a_table_of_its_own(triggered: tuple[SmallCycle, str]) -> None:
    cycle, form = triggered
    cycle.run("tier_raw")
    raw = str(cycle.output("tier_raw"))
    seen = lh5.read(RECORDS[form], raw)
    assert "waveform" not in seen
    assert seen["obs_hwm_hw_multiplicity"].nda.tolist() == [0, 1, 2, 2, 1, 2]
    assert seen["obs_hwm_sw_multiplicity"].nda.tolist() == [0, 1, 0, 2, 0, 1]
    assert seen["obs_hwm_max_value"].nda.tolist() == [0, 250, 90, 500, 100, 65535]
    assert seen["obs_hwm_min_value"].nda.tolist() == [0, 250, 30, 101, 100, 7]
    assert seen["obs_wps_sum_value"].nda.tolist() == pytest.approx([0, 0, 0.6, 10, 0.5, 2])
    assert seen["obs_wps_max_peak_offset"].nda.tolist() == [0, 0, 50, 50, 50, 50]
    assert seen["is_hwm_multiplicity"].nda.tolist() == [False, True, False, True, False, True]
    assert seen["is_wps_sum"].nda.tolist() == [False, False, False, True, False, False]
    assert seen["is_written"].nda.all()
    assert [len(each) for each in seen["obs_ct_trace_idx"]] == [0] * EVENTS
    assert check_file(cycle.output("tier_raw"), "raw").problems == []


@pytest.mark.parametrize("configured", [False, True])
def test_waveforms_are_as_without_it(triggered: tuple[SmallCycle, str], configured: bool) -> None:
    """Also where the settings ask for all keys of a decoder: the trigger's name is not a number."""
    cycle, form = triggered
    if configured:
        decoder = {"orca": "ORFCIOEventDecoder", "fcio": "FCEventDecoder"}[form]
        spec = {decoder: {"ch{key:07d}/raw": {"key_list": ["*"]}}}
        if form == "orca":
            spec["ORFCIOConfigDecoder"] = {"config/{key}": {"key_list": ["*"]}}
        (cycle.folder / "inputs/dataprod/config/all.yaml").write_text(yaml.safe_dump(spec))
        cycle.configure(f"tier_raw_{form}", inputs={"out_spec": {"gen_config": "$_/all.yaml"}})
    cycle.run("tier_raw")
    for number, rawid in enumerate(RAWIDS):
        table = lh5.read(f"ch{rawid}/raw", str(cycle.output("tier_raw")))
        np.testing.assert_array_equal(table["waveform"].values.nda, traces()[:, number, 2:])
        np.testing.assert_array_equal(table["daqenergy"].nda, traces()[:, number, 1])
        assert table["timestamp"].nda.tolist() == [1_700_000_000 + event for event in range(EVENTS)]


def test_a_file_that_breaks_off_in_it_is_refused(tmp_path: Path, cycle_of: Maker) -> None:
    whole = write(tmp_path / "whole.fcio", "fcio").read_bytes()
    last = whole.rindex(b"\xf7\xff\xff\xff")  # the tag -9: of the last event of the trigger
    cut = tmp_path / "cut.fcio"
    cut.write_bytes(whole[: last + 30])
    cycle = cycle_of(cut, KEY, {"X1": {"rawid": RAWIDS[0]}})
    with pytest.raises(BadInput, match=f"truncated at byte {last + 8} of {last + 30}, after 12 whole records"):
        cycle.run("tier_raw")
