"""Samples at the ends of the digitizer's range are counted, whatever its depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import lh5
import numpy as np
import pytest

from dataflow.base.errors import UserError
from dataflow.jobs.lh5files import annotate
from dataflow.physics.rawtables import adc_bits, highest_value
from gebox.experiment import build
from gebox.readout import events

from .traces import TABLE, digitised, flashcam_traces, processed, pulse, raw_file, whole, windowed

if TYPE_CHECKING:
    from tests.physics.conftest import SmallCycle

Maker = Callable[..., "SmallCycle"]
TAU = 400_000.0


def too_high(highest: int, samples: int = 6250) -> Any:
    """Pulses of which the first stays below the digitizer's end."""
    start = highest / 4
    heights = np.array([0.5, 0.76, 1.0, 1.5]) * highest
    return digitised(start + heights[:, None] * pulse(samples, 3000, TAU), highest)


@pytest.mark.parametrize(("bits", "highest"), [(16, 65535), (16, 65520), (14, 16383), (12, 4095)])
def test_samples_at_the_top_are_counted(tmp_path: Path, bits: int, highest: int) -> None:
    traces = too_high(highest)
    file = raw_file(tmp_path / "raw.lh5", whole(traces))
    annotate(file, adc_bits=str(bits))
    found = processed(file)
    expected = (traces == highest).sum(axis=1)
    assert expected[0] == 0
    assert (expected[1:] > 50).all()
    assert np.abs(found["n_sat_hi"] - expected).max() <= 0.02 * expected.max()
    assert (found["n_sat_hi"][expected == 0] == 0).all()
    assert (found["n_sat_lo"] == 0).all()


def test_samples_at_the_bottom_are_counted(tmp_path: Path) -> None:
    noise = np.random.default_rng(5).normal(0, 2, (2, 4096))
    traces = digitised(500 + noise - np.array([200.0, 800.0])[:, None] * pulse(4096, 1800, TAU))
    found = processed(raw_file(tmp_path / "raw.lh5", whole(traces)))
    np.testing.assert_array_equal(found["n_sat_lo"], (traces == 0).sum(axis=1))
    assert found["n_sat_lo"][1] > 100


def test_windows_and_sums_know_saturation(tmp_path: Path) -> None:
    traces = too_high(65535)
    found = processed(raw_file(tmp_path / "raw.lh5", windowed(traces)))
    assert (found["n_sat_hi"] > 0).tolist() == [False, True, True, True]


def test_two_real_traces_of_the_th228_file_are_saturated(th228_cycle: SmallCycle, shared_data: Path) -> None:
    """Their samples stop at 65520: FlashCam's 16 bits are sums of 12-bit samples."""
    traces = flashcam_traces(shared_data / "fcio/th228.fcio")[0]
    counted = (traces == 65520).sum(axis=1)
    dsp, hit = str(th228_cycle.output("tier_dsp")), str(th228_cycle.output("tier_hit"))
    found = lh5.read("ch0000000/dsp/n_sat_hi", dsp).nda
    assert sorted(counted[counted > 0].tolist()) == [187, 919]
    np.testing.assert_array_equal(found, counted)
    saturated = lh5.read("ch0000000/hit/is_saturated", hit).nda.astype(bool)
    valid = lh5.read("ch0000000/hit/is_valid_cal", hit).nda.astype(bool)
    np.testing.assert_array_equal(saturated, counted > 0)
    assert not (valid & saturated).any()
    with h5py.File(th228_cycle.output("tier_raw")) as file:
        assert file.attrs["adc_bits"] == "16"


def test_the_depth_comes_from_the_table_of_the_streams_configuration(tmp_path: Path) -> None:
    """LEGEND-200 since p13: a veto of 12 bits and germanium of 16 in one file."""
    path = tmp_path / "raw.lh5"
    with h5py.File(path, "w") as file:
        file["ORFCIOConfig_0/adcbits"] = np.array([12, 16], dtype="i4")
        file["ORFCIOConfig_0/streamid"] = np.array([65538, 65537], dtype="i4")
        for name, fcid in {"ch1": 1, "ch2": 2, "ch3": 7}.items():
            file[f"{name}/raw/fcid"] = np.array([fcid, fcid], dtype="u2")
        for number in (1, 2, 3, 4):
            file[f"ch{number}/raw/timestamp"] = np.zeros(2)
        assert [adc_bits(file, f"ch{number}/raw") for number in (1, 2, 3, 4)] == [16, 12, 16, 16]
        del file["ORFCIOConfig_0/streamid"], file["ORFCIOConfig_0/adcbits"]
        file["ORFCIOConfig_0/adcbits"] = np.array([14], dtype="i4")
        assert adc_bits(file, "ch4/raw") == 14
        del file["ORFCIOConfig_0"]
        for fcid, bits in {1: 16, 2: 12}.items():
            file[f"ORFCIOConfig/fcid_{fcid}/config/adcbits"] = np.array([bits], dtype="i4")
            file[f"ORFCIOConfig/fcid_{fcid}/config/streamid"] = np.array([65536 + fcid], dtype="i4")
        assert [adc_bits(file, f"ch{number}/raw") for number in (1, 2, 3)] == [16, 12, 16]


def test_what_counts_as_the_top() -> None:
    assert [highest_value(bits) for bits in (16, 14, 12, 10)] == [65520, 16380, 4095, 1023]


def test_the_channel_map_goes_before_the_file(tmp_path: Path) -> None:
    traces = too_high(16383)
    file = raw_file(tmp_path / "raw.lh5", whole(traces))
    annotate(file, adc_bits="16")
    assert (processed(file)["n_sat_hi"] == 0).all()
    assert (processed(file, adc_bits=14)["n_sat_hi"] > 0).tolist() == [False, True, True, True]
    by_hand = {"adc": {"lowest": 0, "highest": 16383}}
    assert (processed(file, pars=by_hand)["n_sat_hi"] > 0).tolist() == [False, True, True, True]
    assert TABLE in lh5.ls(str(file), TABLE)


def test_a_depth_that_is_none_is_refused(shared_data: Path, cycle_of: Maker) -> None:
    cycle = cycle_of(shared_data / "fcio/th228.fcio", "ts1-p01-r000-cal-20180925T093000Z", {"V1": {"rawid": 0}})
    path = cycle.folder / "inputs/hardware/configuration/channelmaps/config.yaml"
    path.write_text("V1: {name: V1, system: geds, daq: {rawid: 0, adc_bits: sixteen}}\n")
    with pytest.raises(UserError, match="adc_bits must be a whole number of 1 to 32, not 'sixteen'"):
        cycle.run("tier_raw")


def test_the_simulated_experiments_saturated_traces_are_all_counted(tmp_path: Path) -> None:
    """The truth of the demo says which traces were cut off by the digitizer."""
    experiment = build(preset="full", scale=0.01)
    first = replace(next(file for file in experiment.files if file.datatype == "phy"), events=250)
    tracemap = [address.rawid for address in experiment.layout.tracemap]
    places = [(tracemap.index(d.address.rawid), 14 if d.name == "C04001A" else 16) for d in experiment.layout.detectors]
    kept: dict[int, list[Any]] = {14: [], 16: []}
    for number, triggered in enumerate(events(experiment, first)):
        for place, bits in places:
            trace = triggered.rows[place, 4:]
            if is_cut(trace, bits) or number % 40 == 0:
                kept[bits].append(trace.copy())
    for bits, traces in kept.items():
        found = processed(raw_file(tmp_path / f"{bits}.lh5", whole(np.array(traces))), adc_bits=bits)
        cut = np.array([is_cut(trace, bits) for trace in traces])
        assert 0 < cut.sum() < len(cut)
        np.testing.assert_array_equal((found["n_sat_hi"] > 0) | (found["n_sat_lo"] > 0), cut)


def is_cut(trace: Any, bits: int) -> bool:
    return bool(trace.max() == 2**bits - 1 or trace.min() == 0)
