"""Events of lines: against the truth of pulses made here, and the traces of the chain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lh5
import numpy as np
import pytest
import yaml
from tests.figures import figures_of

from dataflow.base.errors import UserError
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.runner import run
from dataflow.metadata.stepconfig import shipped_folder
from dataflow.physics.chains import run_chain
from dataflow.physics.lines import Source
from dataflow.plan import open_cycle
from dataflow.steps.par_dsp_evtsel.lines import selected_lines
from dataflow.steps.par_dsp_evtsel.result import lines_of, reason_of
from dataflow.steps.par_dsp_evtsel.select import candidates, evenly, select
from dataflow.steps.par_dsp_evtsel.settings import SelectionSettings
from dataflow.steps.par_hit_ecal.settings import Sources

from .pulses import CAL, CHANNELS, COUNTS, TAU, Truth, fill, make_cycle, traces, truth

STEPS = ("par_tcm_pulser", "par_dsp_evtsel")
TABLE = Sources.read(yaml.safe_load((shipped_folder("pars_hit_ecal") / "sources.yaml").read_text())).nuclides


def made(folder: Path) -> tuple[dict[str, Any], Path]:
    """Run the steps; returns the parameters, and the file of events."""
    cycle = open_cycle(folder / "config.json")
    for step in STEPS:
        run(cycle.job(step, CAL))
    job = cycle.job("par_dsp_evtsel", CAL)
    assert figures_of(cycle, "par_dsp_evtsel", CAL).read_bytes().startswith(b"%PDF")
    return dict(yaml.safe_load(job.outputs["par"].read_text())), job.outputs["peaks"]


@pytest.fixture(scope="module")
def events() -> dict[str, tuple[Truth, Any]]:
    many, few = truth(), truth(3, counts={583.187: 8}, flat=10)
    return {
        "V01A": (many, traces(many, trapping=0.0, noise=12.0)),
        "V02B": (few, traces(few, trapping=0.0, noise=12.0)),
    }


@pytest.fixture(scope="module")
def cycle(events: dict[str, tuple[Truth, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_cycle(tmp_path_factory.mktemp("evtsel"))
    fill(folder, events)
    return folder


@pytest.fixture(scope="module")
def found(cycle: Path) -> tuple[dict[str, Any], Path]:
    return made(cycle)


def test_events_are_those_of_the_lines_without_the_pulser(
    found: tuple[dict[str, Any], Path], events: dict[str, tuple[Truth, Any]]
) -> None:
    pars, path = found
    table, (of, _) = lh5.read("V01A/peaks", str(path)), events["V01A"]
    rows, peak = table["row"].nda, table["peak"].nda
    assert not of.pulser[rows].any()
    for line in lines_of(pars["V01A"]):
        mine = rows[peak == line.key]
        near = np.abs(of.energy - line.energy) < 4
        assert set(np.flatnonzero(near & ~of.pulser)) <= set(mine)
        assert (of.energy[mine] > line.energy - line.below - 2).all()
        assert (of.energy[mine] < line.energy + line.above + 2).all()
        entry = pars["V01A"]["evtsel"]["lines"][line.key]
        assert entry["n_events"] == len(mine)
        assert entry["n_events"] <= entry["n_candidates"] <= COUNTS.get(line.energy, 0) + 60
    assert np.median(table["trapTmax_cal"].nda - of.energy[rows]) == pytest.approx(0, abs=0.15)


def test_traces_and_times_are_those_of_the_chain(found: tuple[dict[str, Any], Path], cycle: Path) -> None:
    table = lh5.read("V01A/peaks", str(found[1]))
    raw = open_cycle(cycle / "config.json").job("tier_raw", CAL).outputs["tier"]
    chain = yaml.safe_load((shipped_folder("tier_dsp") / "processing_chain-geds.yaml").read_text())
    rows, places = np.unique(table["row"].nda, return_index=True)
    names = ["wf_blsub", "trapTmax", "tp_0_est", "dt_eff"]
    of_chain = run_chain(raw, "ch0000001/raw", chain, {"pz": {"tau1": f"{TAU}*ns"}}, rows=rows.tolist(), outputs=names)
    np.testing.assert_array_equal(table["wf_blsub"].values.nda[places], of_chain["wf_blsub"].values.nda)
    assert table["wf_blsub"].dt.nda[0] == of_chain["wf_blsub"].dt.nda[0] == 96.0
    for name in names[1:]:
        np.testing.assert_array_equal(table[name].nda[places], of_chain[name].nda)
    assert table["tp_0_est"].attrs["units"] == "ns"


def test_a_detector_with_few_events_has_none_and_the_reason_and_has_not_failed(
    found: tuple[dict[str, Any], Path],
) -> None:
    pars, path = found
    assert set(pars["V02B"]) == {"evtsel"}
    assert reason_of(pars["V02B"]).startswith("only one line stands out of 18 events")
    assert lh5.ls(str(path)) == ["V01A"]


def test_without_a_useful_daqenergy_the_chain_finds_the_same_events(
    events: dict[str, tuple[Truth, Any]], found: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    folder = make_cycle(tmp_path)
    fill(folder, {"V01A": events["V01A"]}, daqenergy=False)
    pars, path = made(folder)
    assert found[0]["V01A"]["evtsel"]["energy_param"] == "daqenergy"
    assert pars["V01A"]["evtsel"]["energy_param"] == "trapTmax"
    one, two = (lh5.read("V01A/peaks", str(each)) for each in (found[1], path))
    same = np.isin(two["row"].nda, one["row"].nda)
    assert same.mean() > 0.98 and len(two["row"].nda) == pytest.approx(len(one["row"].nda), rel=0.03)


def test_it_can_be_switched_off_and_a_detector_without_decay_constant_fails(
    events: dict[str, tuple[Truth, Any]], tmp_path: Path
) -> None:
    folder = make_cycle(tmp_path, pars_dsp_peak_selection={"peak_config": {"run_selection": False}})
    fill(folder, {"V01A": events["V02B"]})
    pars, path = made(folder)
    assert reason_of(pars["V01A"]) == "peak_config.run_selection is false: no events are selected"
    assert pars["V02B"] == {"evtsel": pars["V01A"]["evtsel"]}
    assert lh5.ls(str(path)) == []
    (folder / "inputs/dataprod/config/config.yaml").write_text("{}")
    pars, _ = made(folder)
    assert pars["V02B"]["status"]["step"] == "par_dsp_evtsel"
    assert "there is no decay constant" in pars["V02B"]["status"]["reason"]


def test_events_are_spread_over_the_run() -> None:
    assert evenly(np.arange(100), 5).tolist() == [0, 25, 50, 74, 99]
    assert evenly(np.arange(3), 5).tolist() == [0, 1, 2]


def test_a_scale_that_is_off_is_put_right_by_the_best_line() -> None:
    source = selected_lines(SelectionSettings(), TABLE).source
    lines = selected_lines(SelectionSettings(peaks=(583.191, 2614.5)), TABLE).lines
    of = truth(4)
    usable = ~of.pulser
    rough = np.random.default_rng(1).normal(of.energy * 7.3, 9.0)
    found = candidates(rough, usable, lines, source, 1000)
    assert usable[found.rows].all()
    amplitudes, off = of.energy[found.rows] / 0.2, found.energies * 1.004
    chosen = select(amplitudes, off, np.ones(len(off), dtype=bool), lines)
    assert chosen.scale == pytest.approx(0.2, rel=2e-4)
    assert set(chosen.peak) == {583.191, 2614.511}
    with pytest.raises(WorkFailed, match="no event of a line passes the cuts of quality"):
        select(amplitudes, off, np.zeros(len(off), dtype=bool), lines)


@pytest.mark.parametrize(("below", "above"), [(60.0, 15.0), (15.0, 60.0)])
def test_each_side_of_a_window_has_its_own_width(below: float, above: float) -> None:
    """The published flow looks for candidates with the lower width on both sides."""
    settings = SelectionSettings(peaks=(2614.5,), kev_widths=((below, above),))
    selection = selected_lines(settings, TABLE)
    of = truth(4, flat=6000)
    rough = np.random.default_rng(1).normal(of.energy * 7.3, 9.0)
    found = candidates(rough, ~of.pulser, selection.lines, selection.source, 1000)
    margin = 0.002 * 2614.511
    low, high = 2614.511 - 1.1 * below - margin, 2614.511 + 1.1 * above + margin
    inside = ~of.pulser & (of.energy > low + 4) & (of.energy < high - 4)
    assert set(np.flatnonzero(inside)) <= set(found.rows)
    assert of.energy[found.rows].min() == pytest.approx(low, abs=4)
    assert of.energy[found.rows].max() == pytest.approx(high, abs=4)
    good = np.ones(len(found.rows), dtype=bool)
    chosen = of.energy[found.rows][select(of.energy[found.rows] / 0.2, found.energies, good, selection.lines).place]
    assert chosen.min() == pytest.approx(2614.511 - below, abs=3)
    assert chosen.max() == pytest.approx(2614.511 + above, abs=3)


def test_no_line_without_a_source() -> None:
    nothing = np.random.default_rng(1).uniform(100, 20_000, 3000)
    selection = selected_lines(SelectionSettings(), TABLE)
    assert isinstance(selection.source, Source)
    with pytest.raises(WorkFailed, match="do not stand out of 3000 events|identifies nothing"):
        candidates(nothing, np.ones(3000, dtype=bool), selection.lines, selection.source, 100)


def test_lines_and_windows_are_those_of_the_settings() -> None:
    lines = selected_lines(
        SelectionSettings(peaks=(583.0, 2614.5), kev_widths=((20.0, 15.0), (40.0, 35.0))), TABLE
    ).lines
    assert [(line.key, line.below, line.above) for line in lines] == [(583.191, 20, 15), (2614.511, 40, 35)]
    default = selected_lines(SelectionSettings(), TABLE).lines
    assert [line.key for line in default] == [238.632, 583.191, 727.33, 860.564, 1620.5, 2614.511]
    cobalt = selected_lines(SelectionSettings(source="Co60"), TABLE)
    assert [line.energy for line in cobalt.lines] == [1173.228, 1332.492]
    assert cobalt.source.reference_energy == 1332.492
    with pytest.raises(UserError, match="peak_config.peaks: the source has no line at 1332.5 keV"):
        selected_lines(SelectionSettings(peaks=(1332.5,)), TABLE)
    with pytest.raises(UserError, match="there is no source 'Th229'"):
        selected_lines(SelectionSettings(source="Th229"), TABLE)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"n_event": 3}, "peak_config has no entry 'n_event'"),
        ({"energy_parameter": "cuspEmax"}, "energy_parameter must be one of 'trapTmax'"),
        ({"peaks": [583.2], "kev_widths": [[1.0, 2.0], [3.0, 4.0]]}, "must be as many kev_widths as peaks"),
    ],
)
def test_settings_are_checked(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SelectionSettings.read(config, "peak_config")


def test_the_published_configuration_is_taken() -> None:
    published = {
        "run_selection": True, "peaks": [238.632, 583.191, 727.33, 860.564, 1620.5, 2614.553],
        "kev_widths": [[10, 10], [25, 40], [25, 40], [25, 40], [25, 40], [50, 50]], "n_events": 10000,
        "cut_parameters": {"bl_mean": 4}, "final_cut_field": "is_valid", "energy_parameter": "trapTmax",
        "energy_param": "daqenergy",
    }  # fmt: skip
    settings = SelectionSettings.read(published, "peak_config")
    lines = selected_lines(settings, TABLE).lines
    assert [line.key for line in lines] == [238.632, 583.191, 727.33, 860.564, 1620.5, 2614.511]
    assert lines[-1].below == 50
    assert CHANNELS["PULS01"] == ("puls", 9)
