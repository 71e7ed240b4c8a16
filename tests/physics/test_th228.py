"""The main job on real data: one detector with a 228Th source, a thousand events."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import h5py
import lh5
import numpy as np
import pytest
from tests.reasons import reasons, texts, unexplained

from .conftest import SmallCycle

if TYPE_CHECKING:
    from pathlib import Path

LINES = {238.632: 115, 583.191: 50, 727.330: 12, 2614.511: 31}
"""Energy in keV, and counts above background that the file has."""


@pytest.fixture(scope="module")
def fits(th228_cycle: SmallCycle) -> dict[float, Any]:
    results = th228_cycle.pars("par_hit")["V00001A"]["results"]["ecal"]
    return dict(results["cuspEmax_ctc_cal"]["pk_fits"])


@pytest.mark.parametrize("energy", LINES)
def test_a_line_comes_out_within_a_kev(fits: dict[float, Any], energy: float) -> None:
    assert fits[energy]["position_in_kev"] == pytest.approx(energy, abs=1.0)


@pytest.mark.parametrize(("energy", "counts"), LINES.items())
def test_the_counts_of_a_line_agree_with_what_is_there(fits: dict[float, Any], energy: float, counts: int) -> None:
    assert abs(fits[energy]["n_sig"] - counts) < 2 * np.sqrt(counts)


def test_the_lines_are_as_narrow_as_those_of_a_germanium_detector(fits: dict[float, Any]) -> None:
    assert all(0.7 < fit["fwhm_in_kev"] < 4.5 for fit in fits.values())


def test_hit_has_the_lines_where_they_belong(th228_cycle: SmallCycle) -> None:
    energies = lh5.read("ch0000000/hit/cuspEmax_ctc_cal", str(th228_cycle.output("tier_hit"))).nda
    assert len(energies) == 1000
    for line, counts in LINES.items():
        inside = np.abs(energies - line) < 4
        assert inside.sum() > 0.7 * counts
        assert np.median(energies[inside]) == pytest.approx(line, abs=1.0)


def test_events_carry_the_energies_of_hit(th228_cycle: SmallCycle) -> None:
    events = lh5.read("evt", str(th228_cycle.output("tier_evt"))).view_as("ak")
    energies = lh5.read("ch0000000/hit/cuspEmax_ctc_cal", str(th228_cycle.output("tier_hit"))).nda
    assert len(events) == 1000
    above = energies > 25
    assert (np.asarray(events.geds.multiplicity) == above).all()
    assert np.concatenate([np.asarray(row) for row in events.geds.energy]) == pytest.approx(energies[above])
    assert set(np.asarray(events.trigger.period)) == {1}
    assert events.trigger.cycle[0] == b"20180925T093000Z"


def test_the_decay_constant_is_that_of_the_tails(th228_cycle: SmallCycle) -> None:
    found = th228_cycle.pars("par_dsp")["V00001A"]["pz"]
    assert float(found["single"]["tau1"].removesuffix("*ns")) == pytest.approx(83_300, rel=0.01)


def test_its_preamplifier_has_two_of_them(th228_cycle: SmallCycle) -> None:
    """The superpulse bends by three per mille from one exponential; two leave less than 0.1."""
    found = th228_cycle.pars("par_dsp")["V00001A"]["pz"]
    assert float(found["tau1"].removesuffix("*ns")) == pytest.approx(84_540, rel=0.005)
    assert float(found["tau2"].removesuffix("*ns")) == pytest.approx(2_900, rel=0.15)
    assert found["frac"] == pytest.approx(0.011, rel=0.15)
    assert found["n_events"] > 100


def test_after_the_pole_zero_correction_tails_are_flat(th228_cycle: SmallCycle) -> None:
    path = str(th228_cycle.output("tier_dsp"))
    slope, height = (lh5.read(f"ch0000000/dsp/{name}", path).nda for name in ("pz_slope", "trapTmax"))
    large = height > 5000
    assert abs(np.median(slope[large] / height[large])) < 1e-5  # 1.1e-3 before the correction


def test_a_second_processing_gives_the_same_bytes(th228_cycle: SmallCycle) -> None:
    for step in ("tier_raw", "tier_tcm", "tier_dsp", "tier_hit"):
        before = th228_cycle.output(step).read_bytes()
        th228_cycle.run(step)
        assert th228_cycle.output(step).read_bytes() == before, step


def test_figures_are_drawn_for_the_detector(th228_cycle: SmallCycle) -> None:
    from pypdf import PdfReader

    for step, part in (("plt_dsp", "par_dsp_pz"), ("plt_hit", "par_hit_ecal")):
        pages = PdfReader(th228_cycle.output(step, part)).pages
        assert len(pages) == 1
        assert "V00001A" in pages[0].extract_text()


def test_only_what_is_an_energy_has_the_unit_of_one(th228_cycle: SmallCycle) -> None:
    with h5py.File(th228_cycle.output("tier_evt")) as file:
        assert file["evt/geds/energy"].attrs["units"] == "keV"
        assert file["evt/geds/energy_sum"].attrs["units"] == "keV"
        assert "units" not in file["evt/geds/multiplicity"].attrs
        assert "units" not in file["evt/geds/rawid"].attrs
        assert "units" not in file["evt/coincident/puls"].attrs


def test_a_thousand_events_do_not_allow_ae_and_nothing_else_fails_for_it(th228_cycle: SmallCycle) -> None:
    content = th228_cycle.pars("par_hit")["V00001A"]
    assert content["results"]["aoe"] == {}
    assert "A/E" in content["results"]["aoe_failed"]
    assert f"A/E is not calibrated: {content['results']['aoe_failed']}" == content["warnings"]["par_hit_aoe"]
    assert "status" not in content
    with h5py.File(th228_cycle.output("tier_hit")) as file:
        names = set(file["ch0000000/hit"])
        assert "degraded" not in file["ch0000000/hit"].attrs
    assert "AoE_Uncorr" in names
    assert not names & {"AoE_Classifier", "AoE_Low_Cut", "AoE_Double_Sided_Cut"}


@pytest.mark.parametrize("step", ["par_dsp", "par_hit"])
def test_what_a_thousand_events_do_not_allow_has_a_reason_in_the_file_and_on_a_page(
    th228_cycle: SmallCycle, step: str
) -> None:
    (entry,) = th228_cycle.pars(step).values()
    assert unexplained(entry) == []
    said = texts(th228_cycle.output(step.replace("par_", "plt_", 1), "data"), "V00001A")
    assert reasons(entry)
    assert [each for each in reasons(entry) if " ".join(each.split()) not in said] == []


def test_where_the_energy_of_ae_is_not_calibrated_but_others_are_ae_fails_alone(
    th228_cycle: SmallCycle, tmp_path: Path
) -> None:
    shutil.copytree(th228_cycle.folder, tmp_path / "cycle")
    cycle = SmallCycle(tmp_path / "cycle", th228_cycle.key)
    (cycle.folder / "inputs/dataprod/config/ecal.yaml").write_text("energy_params: [trapEmax]\n")
    cycle.configure("pars_hit_ecal", inputs={"ecal_config": "$_/ecal.yaml"})
    cycle.run("par_hit_ecal", "par_hit_aoe", "par_hit")
    content = cycle.pars("par_hit")["V00001A"]
    assert "status" not in content
    assert list(content["results"]["ecal"]) == ["trapEmax_ctc_cal", "monitoring_parameters"]
    assert content["results"]["aoe_failed"] == "V00001A has no calibrated energy cuspEmax_ctc_cal"


def test_filters_and_trapping_correction_follow_from_a_dozen_of_counts(th228_cycle: SmallCycle) -> None:
    entry = th228_cycle.pars("par_dsp")["V00001A"]
    assert entry["evtsel"]["energy_param"] == "trapTmax", "this file's daqenergy is none"
    assert entry["eopt"]["n_events"] == {238.632: 166, 583.187: 74, 2614.511: 36}
    found = entry["eopt"]["ctc"]["trapEmax"]
    assert 2.5 < found["a"] / found["a_err"] < 10
    assert entry["ctc_params"]["trapEmax_ctc"]["parameters"]["a"] == found["a"]
    after, error = found["lines"][2614.511]["fwhm_in_kev"]
    before, _ = found["lines"][2614.511]["fwhm_uncorrected_in_kev"]
    assert before - after > 0.2
    assert 0.2 < error < 0.5
    operations = th228_cycle.pars("par_hit")["V00001A"]["pars"]["operations"]
    assert operations["trapEmax_ctc"]["parameters"]["a"] == found["a"], "hit has the corrected energy"
