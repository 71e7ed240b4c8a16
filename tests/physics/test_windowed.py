"""LEGEND-200's raw form: a window at full rate and the whole trace summed over eight samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import lh5
import numpy as np
import pytest
import yaml

from dataflow.jobs.errors import BadInput
from dataflow.physics.chains import fitted, run_chain
from dataflow.physics.rawtables import adc_bits, column_names, digitizer

from .traces import (
    SUMMED,
    TABLE,
    chain,
    digitised,
    germanium_traces,
    processed,
    pulse,
    raw_file,
    whole,
    windowed,
)

if TYPE_CHECKING:
    from tests.physics.conftest import SmallCycle

Maker = Callable[..., "SmallCycle"]

P14 = "l200-p14-r004-cal-20250606T010224Z"
ENERGIES = ("trapTmax", "trapEmax", "trapEftp", "cuspEmax", "cuspEftp", "zacEmax", "zacEftp")
TIMES = ("tp_0_est", "tp_01", "tp_10", "tp_50", "tp_90", "tp_99")
TAU = 400_000.0


def simulated(noise: float = 0.5, tail: float = 0.0) -> Any:
    random = np.random.default_rng(21)
    heights = random.uniform(1000, 20_000, 60)
    shapes = np.array([pulse(6250, 3050, TAU, rise) for rise in random.uniform(300, 1200, 60)])
    earlier = tail * np.exp(-np.arange(6250) * 16 / TAU)
    return digitised(14_000 + earlier + heights[:, None] * shapes + random.normal(0, noise, shapes.shape)), heights


@pytest.mark.parametrize("tail", [0.0, 2000.0])
def test_energies_agree_with_those_of_whole_traces(tmp_path: Path, tail: float) -> None:
    traces, heights = simulated(tail=tail)
    one = processed(raw_file(tmp_path / "whole.lh5", whole(traces)))
    other = processed(raw_file(tmp_path / "windowed.lh5", windowed(traces)))
    assert set(one) == set(other)
    for name in ENERGIES:
        np.testing.assert_allclose(one[name], heights, rtol=2e-3, err_msg=name)
        np.testing.assert_allclose(other[name], one[name], rtol=1e-4, err_msg=name)
    for name in TIMES:
        near = 100 if name == "tp_0_est" else 33  # crosses the noise, which averages of 6 and 8 samples differ in
        np.testing.assert_allclose(other[name], one[name], atol=near, err_msg=name)
    for name in ("drift_time", "dt_eff"):
        np.testing.assert_allclose(other[name], one[name], atol=100, err_msg=name)
    np.testing.assert_allclose(other["A_max"], one["A_max"], rtol=1e-3)
    np.testing.assert_allclose(other["lq80"], one["lq80"], atol=20)


def test_energies_of_real_traces_agree(tmp_path: Path, shared_data: Path) -> None:
    """Filters are rounded to 128 instead of 96 ns: at the noise of these traces that is 1e-4 for half of them."""
    for traces in germanium_traces(shared_data).values():
        one = processed(raw_file(tmp_path / "whole.lh5", whole(traces)))
        other = processed(raw_file(tmp_path / "windowed.lh5", windowed(traces)))
        large = (one["trapEmax"] > 1000) & (one["n_sat_hi"] == 0) & (one["tail_height"] == 0)
        large &= other["tail_height"] == 0
        large &= one["tp_0_est"] < 60_000  # a second pulse, behind the window, was larger than the first
        assert large.sum() >= 3
        for name in ("trapTmax", "trapEmax", "cuspEmax", "zacEmax"):
            difference = np.abs(other[name][large] - one[name][large])
            assert np.median(difference / one[name][large]) < 1.2e-4, name
            assert difference.max() < 1.5, name
        np.testing.assert_allclose(other["tp_aoe_max"][large], one["tp_aoe_max"][large], atol=16)


def test_sums_that_were_divided_already_are_not_divided_again(tmp_path: Path) -> None:
    traces, _ = simulated()
    summed, averaged = (raw_file(tmp_path / f"{norm}.lh5", windowed(traces, norm)) for norm in (1.0, float(SUMMED)))
    assert digitizer(summed, TABLE)["presum"] == {"norm": 8.0}
    assert digitizer(summed, TABLE)["window"] == {"first": 2625.0}
    assert digitizer(averaged, TABLE)["presum"] == {"norm": 1.0}
    one, other = processed(summed), processed(averaged)
    np.testing.assert_allclose(one["trapEmax"], other["trapEmax"], rtol=1e-6)


def test_the_decay_constant_comes_from_the_sums(tmp_path: Path) -> None:
    traces, _ = simulated(noise=3.0)
    found = processed(raw_file(tmp_path / "windowed.lh5", windowed(traces)), outputs=["tail_slope"])["tail_slope"]
    assert -16 * SUMMED / np.median(found) == pytest.approx(TAU, rel=0.005)


def test_the_collaborations_file_runs_without_configuration(shared_data: Path, cycle_of: Maker) -> None:
    """Its own energies are not in the collection: the height of the trace is, and the step that a plain mean finds."""
    stored = shared_data / f"lh5/prod-ref-l200/generated/tier/raw/cal/p14/r004/{P14}-tier_raw.lh5"
    names = [name for name in lh5.ls(str(stored)) if name.startswith("ch")]
    channels = {f"V{number:05d}A": {"rawid": int(name[2:])} for number, name in enumerate(names)}
    cycle = cycle_of(stored, P14, channels, "raw")
    cycle.set(paths={"tier": "$_/generated/tier"}, allow_none_par=True)
    cycle.run("tier_tcm", "par_dsp_pz", "par_dsp", "tier_dsp")
    for name in names:
        raw = lh5.read(f"{name}/raw/waveform_presummed/values", str(stored)).nda / 8
        window = lh5.read(f"{name}/raw/waveform_windowed/values", str(stored)).nda
        found = lh5.read(f"{name}/dsp", str(cycle.output("tier_dsp")))
        np.testing.assert_allclose(found["wf_max"].nda, raw.max(axis=1), rtol=1e-6)
        step = raw[:, 400:440].mean(axis=1) - raw[:, :330].mean(axis=1)
        np.testing.assert_allclose(found["trapEmax"].nda, step, rtol=0.02, atol=25)
        large = step > 200
        half = (window.max(axis=1) + window[:, :200].mean(axis=1)) / 2
        first = np.argmax(window > half[:, None], axis=1) * 16 + 2625 * 16
        np.testing.assert_allclose(found["tp_50"].nda[large], first[large], atol=150)


def test_a_decay_constant_of_a_windowed_run(tmp_path: Path, shared_data: Path, cycle_of: Maker) -> None:
    traces, _ = simulated(noise=3.0)
    key = "l200-p14-r004-cal-20250606T010224Z"
    made = raw_file(tmp_path / "raw.lh5", windowed(traces))
    cycle = cycle_of(made, key, {"V00001A": {"rawid": 1}}, "raw")
    cycle.set(paths={"tier": "$_/generated/tier"}, table_format={"raw": "ch{ch}/raw"})
    cycle.run("tier_tcm", "par_dsp_pz", "par_dsp", "tier_dsp")
    entry = cycle.pars("par_dsp")["V00001A"]["pz"]
    assert float(entry["tau1"].removesuffix("*ns")) == pytest.approx(TAU, rel=0.005)
    assert entry["n_events"] >= 20


def test_a_chain_is_chosen_by_the_columns() -> None:
    shipped = chain("geds")
    both = {"waveform", "waveform_windowed", "waveform_presummed"}
    for columns in ({"waveform"}, both):
        assert fitted(shipped, sorted(columns))["processors"] == shipped["processors"]
    other = fitted(shipped, ["waveform_presummed", "waveform_windowed"])["processors"]
    assert "ps_rate, wf_presum" not in other and "wf_presum" in other
    own = {"outputs": ["x"], "processors": {"x": "waveform_windowed + 1"}}
    assert fitted(own, ["waveform_presummed", "waveform_windowed"]) == own


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    traces, _ = simulated()
    columns = windowed(traces[:2])
    file = raw_file(tmp_path / "raw.lh5", {"waveform_windowed": columns["waveform_windowed"]})
    assert column_names(file, TABLE) == ("baseline", "daqenergy", "timestamp", "waveform_windowed")
    with pytest.raises(BadInput) as caught:
        run_chain(file, TABLE, chain("geds"), {})
    assert "has no column waveform, which the processing chain needs" in str(caught.value)
    assert "(it has: baseline, daqenergy, timestamp, waveform_windowed)" in str(caught.value)
    with pytest.raises(BadInput, match=r"has no column waveform, .*waveform_windowed"):
        run_chain(file, TABLE, chain("spms"), {})
    missing = yaml.safe_load("{outputs: [daqenergy, energie], processors: {}}")
    with pytest.raises(BadInput, match="has no column energie, "):
        run_chain(file, TABLE, missing, {})


@pytest.mark.parametrize("system", ["auxs", "bsln", "muon", "pmts", "puls"])
def test_other_systems_take_the_sums(tmp_path: Path, system: str) -> None:
    traces, _ = simulated()
    one = processed(raw_file(tmp_path / "whole.lh5", whole(traces)), system)
    other = processed(raw_file(tmp_path / "windowed.lh5", windowed(traces)), system)
    assert set(one) == set(other)
    np.testing.assert_allclose(other["trapTmax"], one["trapTmax"], rtol=5e-4)
    np.testing.assert_allclose(other["bl_mean"], one["bl_mean"], rtol=1e-5)
    np.testing.assert_allclose(other["wf_max"], one["wf_max"], rtol=1e-3)


def test_the_collaborations_windows_give_what_the_whole_traces_of_its_daq_file_give(
    shared_data: Path, cycle_of: Maker
) -> None:
    """Seven real pulses, noise of 11 ADC a sample; filters are rounded to 128 instead of 96 ns."""
    stored = shared_data / f"lh5/prod-ref-l200/generated/tier/raw/cal/p14/r004/{P14}-tier_raw.lh5"
    tables = [name for name in lh5.ls(str(stored)) if name.startswith("ch")]
    channels = {f"V{number:05d}A": {"rawid": int(name[2:])} for number, name in enumerate(tables)}
    cycle = cycle_of(shared_data / f"orca/{P14}.orca", P14, channels)
    cycle.run("tier_raw")
    wide = cycle.output("tier_raw")
    compared = 0
    for name in tables:
        one, other = (run_chain(file, f"{name}/raw", chain("geds"), {}) for file in (wide, stored))
        for column in ENERGIES:
            np.testing.assert_allclose(other[column].nda, one[column].nda, rtol=1e-4, atol=0.4, err_msg=column)
        for column in ("tp_50", "tp_80", "tp_90"):
            np.testing.assert_array_equal(other[column].nda, one[column].nda, err_msg=column)
        np.testing.assert_allclose(other["A_max"].nda, one["A_max"].nda, rtol=1e-4)
        np.testing.assert_allclose(other["dt_eff"].nda, one["dt_eff"].nda, atol=5)
        assert (one["n_sat_hi"].nda == 0).all()
        compared += len(one["timestamp"])
    assert compared == 7
    with h5py.File(wide) as file:
        assert {adc_bits(file, f"{name}/raw") for name in tables} == {16}
