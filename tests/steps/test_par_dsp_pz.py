"""Decay constants: of simulated tails with one and with two, and of those that another pulse or nothing spoils."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.runner import run
from dataflow.physics import chains
from dataflow.plan import open_cycle
from dataflow.steps.par_dsp_nopt.build import nanoseconds
from dataflow.steps.par_dsp_pz.build import _rows, decay_constants
from dataflow.steps.par_dsp_pz.calibrate import calibrate
from dataflow.steps.par_dsp_pz.result import DecayConstants
from dataflow.steps.par_dsp_pz.settings import PzSettings
from dataflow.steps.par_dsp_pz.twopoles import binned, fitted, superpulse

PERIOD, SAMPLES, START = 96.0, 682, 250
LONG, SHORT, PART = 330_000.0, 12_000.0, 0.02
SETTINGS = PzSettings()


def pulses(count: int, part: float = PART, *, noise: float = 4.0, short: float = SHORT, seed: int = 5) -> Any:
    """Traces with pulses of 2,000 to 12,000 ADC at slightly different times, their heights and times in samples."""
    rng = np.random.default_rng(seed)
    heights, starts = rng.uniform(2_000, 12_000, count), START + rng.uniform(-4, 4, count)
    times = (np.arange(SAMPLES) - starts[:, None]) * PERIOD
    later = np.maximum(times, 0)
    shape = (1 - part) * np.exp(-later / LONG) + part * np.exp(-later / short)
    traces = np.clip(times / 300 + 0.5, 0, 1) * heights[:, None] * shape
    return traces + rng.normal(0, noise, traces.shape) + 1_000, heights


def columns(traces: Any, heights: Any) -> dict[str, Any]:
    """What the chain finds of traces; the slope of the last 35 % of the logarithm."""
    tail = np.log(np.maximum(traces[:, round(0.65 * SAMPLES) :] - 1_000, 1.0))
    slope = np.polyfit(np.arange(tail.shape[1]), tail.T, 1)[0]
    rng = np.random.default_rng(1)
    return {
        "tail_slope": slope, "trapTmax": heights, "n_sat_hi": np.zeros(len(heights)),
        "bl_std": rng.normal(4, 0.3, len(heights)), "bl_slope": rng.normal(0, 0.01, len(heights)),
        "bl_mean": np.full(len(heights), 1_000.0), "wf_presum": traces.astype(np.float32),
    }  # fmt: skip


def found(traces: Any, heights: Any, **changes: Any) -> DecayConstants:
    settings = SETTINGS.model_copy(update=changes)
    return calibrate(columns(traces, heights), (PERIOD, PERIOD), settings)


def test_two_decay_constants_and_their_parts_are_found_within_their_errors() -> None:
    two = found(*pulses(400)).two
    assert two is not None
    assert two.tau1.value == pytest.approx(LONG, abs=max(3.5 * two.tau1.error, 0.01 * LONG))
    assert two.tau2.value == pytest.approx(SHORT, abs=3.5 * two.tau2.error)
    assert two.fraction.value == pytest.approx(PART, abs=3.5 * two.fraction.error)
    assert two.tau1.error < 0.01 * LONG
    assert two.tau2.error < 0.05 * SHORT
    np.testing.assert_allclose(two.superpulse, (LONG, SHORT, PART), rtol=0.05)


def test_one_decay_constant_stays_one() -> None:
    result = found(*pulses(300, 0.0))
    assert result.two is None
    assert result.single.value == pytest.approx(LONG, rel=0.002)
    assert set(result.entry()["pz"]) == {"tau1", "tau1_err", "n_events"}


def test_errors_of_two_are_the_scatter_over_many_sets_of_tails() -> None:
    sets = [found(*pulses(100, seed=seed)).two for seed in range(16)]
    for name in ("tau1", "tau2", "fraction"):
        values = [getattr(two, name) for two in sets if two is not None]
        assert len(values) == 16
        ratio = np.std([each.value for each in values], ddof=1) / np.mean([each.error for each in values])
        assert 0.5 < ratio < 1.8, name


def test_without_noise_the_fit_is_exact() -> None:
    traces, _ = pulses(5, noise=0.0)
    tails = binned(traces, np.full(5, 1_000.0), PERIOD, 2_000.0)
    poles = fitted(tails, (300_000.0, 20_000.0))
    np.testing.assert_allclose(poles.tau1, LONG, rtol=1e-4)
    np.testing.assert_allclose(poles.tau2, SHORT, rtol=1e-3)
    np.testing.assert_allclose(poles.fraction, PART, rtol=0.01)
    assert superpulse(tails).heights.mean() == pytest.approx(1.0, abs=1e-3)


def test_a_second_pulse_on_every_tenth_tail_changes_nothing() -> None:
    traces, heights = pulses(400)
    traces[::10, 450:] += 500 * np.exp(-np.arange(SAMPLES - 450) * PERIOD / LONG)
    two = found(traces, heights).two
    assert two is not None
    assert two.tau2.value == pytest.approx(SHORT, rel=0.05)
    assert two.tau1.value == pytest.approx(LONG, rel=0.01)


def test_one_is_what_is_found_where_one_is_asked_for() -> None:
    assert found(*pulses(100), mode="single").two is None


def test_two_that_are_asked_for_and_are_not_there_are_a_failure() -> None:
    with pytest.raises(WorkFailed, match="there are no two decay constants"):
        found(*pulses(100, 0.0), mode="double")


def test_too_few_tails_give_nothing() -> None:
    with pytest.raises(WorkFailed, match=r"1\d clean tails are too few for a decay constant, 20 are needed"):
        found(*pulses(19), mode="single")


def test_the_entry_is_what_the_processing_chain_and_the_published_flow_read() -> None:
    pz = found(*pulses(400)).entry()["pz"]
    assert {name: str(pz[name])[-3:] for name in ("tau1", "tau2", "tau1_err", "tau2_err")} == dict.fromkeys(
        ("tau1", "tau2", "tau1_err", "tau2_err"), "*ns"
    )
    assert float(pz["tau1"][:-3]) > float(pz["tau2"][:-3])
    assert pz["frac"] == pytest.approx(PART, rel=0.1)
    assert 0 < pz["frac_err"] < 0.1 * PART


PULSER = 3
"""Its class in the truth."""
CAL, PZC = "l200-p03-r000-cal-20240301T080000Z", "l200-p03-r000-pzc-20240301T130000Z"


@pytest.fixture(scope="module")
def with_pzc(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run of the simulated experiment with 2,400 events for the decay constants and few others, and its truth."""
    from gebox.experiment import build
    from gebox.metadata.tree import write_tree
    from gebox.simulate import simulate

    folder = tmp_path_factory.mktemp("pzc")
    write_tree(build(seed=3, scale=0.02, preset="full"), folder / "inputs")
    for scale, only in ((0.02, CAL), (0.5, PZC)):
        simulate(build(seed=3, scale=scale, preset="full"), folder / "generated/tier/daq", folder / "truth", only=only)
    (folder / "config.json").write_text(json.dumps({"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}}))
    for key, step in itertools.product((CAL, PZC), ("tier_raw", "tier_tcm")):
        run(open_cycle(folder / "config.json").job(step, key))
    run(open_cycle(folder / "config.json").job("par_tcm_pulser", CAL))
    return folder, yaml.safe_load((folder / "truth/l200-p03-r000-truth.yaml").read_text())["detectors"]


def test_pzc_data_give_the_true_decay_constants_of_all_detectors(with_pzc: tuple[Path, dict[str, Any]]) -> None:
    folder, true = with_pzc
    job = open_cycle(folder / "config.json").job("par_dsp_pz", CAL)
    run(job)
    pars = yaml.safe_load(job.outputs["par"].read_text())
    assert set(pars) == {name for name, entry in true.items() if entry["processable"]}
    for name, entry in pars.items():
        pz = entry["pz"]
        assert pz["datatype"] == "pzc"
        assert nanoseconds(pz["tau1"]) == pytest.approx(true[name]["tau"], rel=0.01), name
        assert ("tau2" in pz) == (true[name]["tau_fraction"] > 0), name
    two = pars["P03002A"]["pz"]
    assert nanoseconds(two["tau2"]) == pytest.approx(12_000, rel=0.05)
    assert two["frac"] == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("role", ["raw", "pzc"])
def test_events_of_the_pulser_are_no_tails_of_a_detector(with_pzc: tuple[Path, dict[str, Any]], role: str) -> None:
    """In the published flow they are, wherever a list of pole-zero files is given, and it always is."""
    import lh5

    folder, _ = with_pzc
    job = open_cycle(folder / "config.json").job("par_dsp_pz", CAL)
    (path,), (truth,) = job.inputs[role], folder.rglob(f"{CAL if role == 'raw' else PZC}-truth.lh5")
    sources = lh5.read("truth/source", str(truth)).nda
    pulser = lh5.read("truth/eventnumber", str(truth)).nda[sources == PULSER]
    found = 0
    for channel in job.channels:
        _, usable = _rows(job, role)[channel.name]
        if len(usable):
            number = lh5.read(f"{job.table('raw', channel)}/eventnumber", str(path)).nda
            assert not usable[np.isin(number, pulser)].any()
            assert usable.mean() > 0.5
            found += np.count_nonzero(np.isin(number, pulser))
    assert found > 0


def test_a_detector_without_enough_pzc_tails_takes_those_of_the_calibration(
    with_pzc: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = with_pzc
    job = open_cycle(folder / "config.json").job("par_dsp_pz", CAL)
    (channel,) = (each for each in job.channels if each.name == "V01001A")
    raw = _rows(job, "raw")
    none = {name: (counts, np.zeros_like(mask)) for name, (counts, mask) in _rows(job, "pzc").items()}
    found = decay_constants(job, channel, {"pzc": none, "raw": raw}, PzSettings(least=2))
    assert found.source == "cal"
    assert found.warnings[0] == "the pzc data of this run give no decay constant: V01001A has no events in this run"


@pytest.mark.parametrize(
    ("rows", "how"),
    [
        ([3, 4, 6, 7], ({"i_start": 3, "n_entries": 5}, [0, 1, 3, 4])),
        ([2, 3, 4], ({"i_start": 2, "n_entries": 3}, None)),
        ([0, 50, 99], ({"entry_list": [0, 50, 99]}, None)),
        ([4, 3, 5], ({"entry_list": [4, 3, 5]}, None)),
        ([], ({"entry_list": []}, None)),
    ],
)
def test_rows_that_lie_close_together_are_read_as_a_range(rows: list[int], how: Any) -> None:
    chosen, kept = chains._reading(rows, len(rows))
    assert (chosen, None if kept is None else list(kept)) == how
