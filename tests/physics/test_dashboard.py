"""What is written, read as the collaboration's dashboard reads it: names, units, and curves by pygama's functions."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import h5py
import lh5
import numexpr
import numpy as np
import pygama.math.distributions as distributions
import pytest
import yaml
from tests.dashboard import absent

from dataflow.checks.lh5check import check_file
from dataflow.jobs.runner import run
from dataflow.plan import open_cycle

if TYPE_CHECKING:
    from pathlib import Path

    from tests.physics.conftest import SmallCycle

NAME, ENERGY = "V00001A", "cuspEmax_ctc_cal"


@pytest.fixture(scope="module")
def hit(th228_cycle: SmallCycle) -> dict[str, Any]:
    return dict(th228_cycle.pars("par_hit")[NAME])


@pytest.fixture(scope="module")
def plots(th228_cycle: SmallCycle) -> Path:
    return th228_cycle.output("plt_hit", "data")


def below(path: Path, *names: object) -> Any:
    """A group or dataset by names, with points as p: groups as dictionaries."""
    with h5py.File(path) as file:
        return _python(file["/".join(str(name).replace(".", "p") for name in names)])


def _python(node: Any) -> Any:
    if isinstance(node, h5py.Group):
        return {name: _python(child) for name, child in node.items()}
    value = node[()]
    return value.decode() if isinstance(value, bytes) else value


def calibrated(operation: dict[str, Any], values: Any) -> Any:
    """A calibration as the dashboard applies it: the name in the expression that is not a parameter is the variable."""
    return numexpr.evaluate(operation["expression"], {"cuspEmax_ctc": values, **operation["parameters"]})


def test_the_runs_are_found_in_the_validity_list(th228_cycle: SmallCycle) -> None:
    key = th228_cycle.key
    cycle = open_cycle(th228_cycle.config)
    job = cycle.job("validity_hit", key)
    run(job)
    (entry,) = yaml.safe_load(job.outputs["par"].read_text())
    parts = entry["apply"][0].rpartition("/")[2].split("-")
    assert len(parts) == 6
    assert entry["valid_from"] == parts[4] == key.split("-")[4]


def test_lines_stand_under_the_energies_that_are_looked_up(hit: dict[str, Any]) -> None:
    fits = hit["results"]["ecal"][ENERGY]["pk_fits"]
    assert {2614.511, 583.191} <= set(fits)
    for fit in fits.values():
        assert fit["validity"] is True
        assert np.isfinite(list(fit["parameters"].values())).all()
        assert 0 <= fit["p_value"] <= 1
        assert fit["fwhm_err_in_kev"] > 0
        assert fit["uncertainties"]["mu"] > 0


def test_positions_are_in_the_unit_of_the_estimator(hit: dict[str, Any]) -> None:
    operation = hit["pars"]["operations"][ENERGY]
    for energy, fit in hit["results"]["ecal"][ENERGY]["pk_fits"].items():
        assert calibrated(operation, fit["parameters"]["mu"]) == pytest.approx(energy, abs=1.0)
        assert calibrated(operation, fit["position"]) == pytest.approx(fit["position_in_kev"], abs=1e-6)
        error = calibrated(operation, fit["position"] + fit["position_uncertainty"]) - fit["position_in_kev"]
        assert error == pytest.approx(fit["position_err_in_kev"], rel=1e-3)


def test_a_fit_that_is_drawn_from_the_file_goes_through_the_counts(hit: dict[str, Any], plots: Path) -> None:
    """The distribution by its name, with its parameters by theirs, on the stored histogram of the line."""
    fits = hit["results"]["ecal"][ENERGY]["pk_fits"]
    for energy, fit in fits.items():
        histogram = below(plots, NAME, "ecal", ENERGY, "peak_hists", energy)
        edges, counts = histogram["edges"], histogram["counts"]
        function = getattr(distributions, fit["function"])
        parameters = [fit["parameters"][name] for name in function.required_args()]
        centres = 0.5 * (edges[1:] + edges[:-1])
        model = function.get_pdf(centres, *parameters) * (edges[1] - edges[0])
        assert edges[[0, -1]] == pytest.approx(fit["range"])
        assert abs(counts.sum() - model.sum()) < 3 * np.sqrt(counts.sum()) + 0.1 * counts.sum(), energy
        peak = np.abs(centres - fit["position"]) < 1.5 * fit["parameters"]["sigma"]
        assert abs(counts[peak].sum() - model[peak].sum()) < 3 * np.sqrt(model[peak].sum()), energy


def test_the_resolution_is_that_of_the_named_function(hit: dict[str, Any]) -> None:
    for name in ("eres_linear", "eres_quadratic"):
        curve = hit["results"]["ecal"][ENERGY][name]
        function = getattr(importlib.import_module(curve["module"]), curve["function"])
        width = function.func(np.array([2039.061]), **curve["parameters"])[0]
        assert width == pytest.approx(curve["Qbb_fwhm_in_kev"], rel=1e-6)
        assert curve["Qbb_fwhm_err_in_kev"] > 0


def test_counts_and_monitored_columns_are_there(hit: dict[str, Any]) -> None:
    ecal = hit["results"]["ecal"]
    assert ecal[ENERGY]["total_fep"] >= ecal[ENERGY]["pass_fep"] > 20
    assert ecal["monitoring_parameters"]["bl_std"]["mode"] > 0
    assert ecal["monitoring_parameters"]["baseline"]["stdev"] > 0


def test_the_decay_constant_is_a_text_of_which_the_last_three_letters_are_the_unit(th228_cycle: SmallCycle) -> None:
    text = th228_cycle.pars("par_dsp")[NAME]["pz"]["tau1"]
    assert text[-3:] == "*ns"
    assert 80_000 < float(text[:-3]) < 90_000


def test_spectra_hold_every_event_once(th228_cycle: SmallCycle, hit: dict[str, Any], plots: Path) -> None:
    spectrum = below(plots, NAME, "ecal", ENERGY, "spectrum")
    amplitudes = lh5.read("ch0000000/dsp/cuspEmax", str(th228_cycle.output("tier_dsp"))).nda.astype(float)
    energies = calibrated(hit["pars"]["operations"][ENERGY], amplitudes)
    width = spectrum["bins"][1] - spectrum["bins"][0]
    inside = (energies >= spectrum["bins"][0] - width / 2) & (energies < spectrum["bins"][-1] + width / 2)
    assert sum(spectrum[name].sum() for name in ("counts", "cut_counts", "pulser_counts")) == inside.sum()
    survival = below(plots, NAME, "ecal", ENERGY, "survival_frac")
    assert len(survival["bins"]) == len(survival["sf"])
    assert 90 < np.nanmean(survival["sf"]) <= 100


def test_the_events_that_are_drawn_as_kept_are_those_that_were_calibrated(hit: dict[str, Any], plots: Path) -> None:
    spectrum, found = below(plots, NAME, "ecal", ENERGY, "spectrum"), hit["results"]["ecal"][ENERGY]
    fractions = hit["results"]["qc"]["is_valid_cal"]
    assert fractions["sf_cal"] < 100, "the quality cuts remove something"
    for line, (low, high) in {"fep": (2604, 2624), "sep": (2095, 2115), "dep": (1587, 1597)}.items():
        near = (spectrum["bins"] > low) & (spectrum["bins"] < high)
        assert spectrum["counts"][near].sum() == found[f"pass_{line}"], line
        assert (spectrum["counts"] + spectrum["cut_counts"])[near].sum() == found[f"total_{line}"], line


def test_lines_and_baseline_in_time_are_there_for_the_detector_and_for_all(plots: Path) -> None:
    own, shared = below(plots, NAME, "ecal"), below(plots, "common", NAME)
    assert own[ENERGY]["2614_stability"]["energy"] == pytest.approx(2614.5, abs=4)
    assert {"time", "energy", "spread"} == set(shared[ENERGY]["2614_stability"])
    np.testing.assert_array_equal(own[ENERGY]["spectrum"]["counts"], shared[ENERGY]["spectrum"]["counts"])
    edges = own["baseline_timemap_data"]["time_edges"]
    assert own["baseline_timemap_data"]["counts"].sum() > 900
    assert (np.diff(edges) > 0).all()
    assert shared["baseline_spectrum"]["bl_array"].sum() > 900
    with h5py.File(plots) as file:
        assert set(file) == {NAME, "common"}


def test_the_decay_constants_are_drawn_from_their_file(th228_cycle: SmallCycle) -> None:
    path = th228_cycle.output("plt_dsp", "data")
    assert path.name.endswith("-plt_dsp.lh5")
    slopes, waveforms = (below(path, NAME, "pz", name) for name in ("slope_data", "waveforms_data"))
    assert slopes["edges"][0] < slopes["mode"] < slopes["edges"][-1]
    assert waveforms["waveforms"].shape == (3, len(waveforms["samples"]))
    difference = waveforms["waveforms"][0] - waveforms["waveforms"][2]
    assert np.abs(difference).max() < 1e-3


def test_nothing_that_the_dashboard_takes_of_energies_and_signals_is_absent(th228_cycle: SmallCycle) -> None:
    with (
        h5py.File(th228_cycle.output("plt_hit", "data")) as hit,
        h5py.File(th228_cycle.output("plt_dsp", "data")) as dsp,
    ):
        assert absent("ecal", hit[f"{NAME}/ecal/{ENERGY}"]) == []
        assert absent("pz", dsp[f"{NAME}/pz"]) == []
        for name in ("trap", "cusp", "zac"):
            assert absent("optimisation", dsp[f"{NAME}/{name}_optimisation"]) == []
            data = dsp[f"{NAME}/{name}_optimisation/data"]
            assert data["samples_x"].shape == (len(data["grid"]), 1)
            assert data["y_min"][()] == data["samples_y"][:].min()


def test_every_figure_can_be_drawn_again(plots: Path) -> None:
    """The calibration curve's residuals, with labels and errors, without a word of them in the step."""
    drawn = below(plots, NAME, "drawn", "par_hit_ecal")
    (axes,) = [each for each in drawn.values() if isinstance(each, dict) and "calibrated − true" in each["ylabel"]]
    (points,) = [each for each in axes.values() if isinstance(each, dict) and each.get("label") == "lines"]
    assert axes["xlabel"] == "energy [keV]"
    assert {238.632, 583.187, 2614.511} <= set(np.round(points["x"], 3))
    assert (points["y_error"] > 0).all()


def test_the_data_of_figures_are_whole_lh5(plots: Path) -> None:
    assert check_file(plots, "plt").problems == []
    read = lh5.read(f"{NAME}/ecal/{ENERGY}/spectrum", str(plots))
    assert read["counts"].nda.sum() > 500
