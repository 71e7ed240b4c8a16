"""``dataprod compare``: what differs is found, what does not is not, and the significant stands on top."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from dataflow.metadata.quantities import Value, is_intermediate, numbers_of, positions, quantities, unit_of, values_of
from dataflow.provenance.records import record_file
from prodenv.comparison.report import with_error, words_of

from ..plan.conftest import Tree
from .conftest import CHANNELS, KEYS, Box, hit_par, place, sipms

CAL, PHY = KEYS[:2]


def pair(box: Box) -> tuple[Tree, Tree]:
    return box.cycle("cycles/a"), box.cycle("cycles/b")


def compared(box: Box, *words: str) -> Any:
    return box.json("compare", "cycles/a", "cycles/b", *words)


def pars(tree: Tree, **entries: Any) -> None:
    text = json.dumps({name: hit_par() for name in CHANNELS} | entries)
    place(tree, "par", "hit", CAL, ".yaml").write_text(text)


def test_the_same_is_the_same(box: Box) -> None:
    pair(box)
    found = compared(box)
    for section in ("configuration", "software", "workflow", "metadata", "data", "status"):
        assert found[section] == []
    assert [change for change in found["physics"] if change["change"]] == []
    assert "no change of 3 σ" in box.ok("compare", "cycles/a", "cycles/b")


def test_a_cycle_that_was_made_elsewhere_is_the_same(box: Box) -> None:
    first, second = pair(box)
    for tree in (first, second):
        tree.config["paths"] = {"tier_hit": str(tree.root / "generated/tier/hit")}
        tree.save()
    assert compared(box)["configuration"] == []


def test_configuration_metadata_and_data_are_compared_entry_by_entry(box: Box) -> None:
    _, second = pair(box)
    second.config |= {"failing_channels": "fail", "settings": {"tier_dsp": {"buffer_len": 100}}}
    second.save()
    second.metadata(statuses="V02160A: {processable: false}\n")
    second.write("inputs/new.yaml", "{}")
    place(second, "tier", "hit", CAL).unlink()
    found = compared(box)
    as_pairs = {each["name"]: (each["a"], each["b"]) for each in found["configuration"]}
    assert as_pairs == {"failing_channels": ("record", "fail"), "settings.tier_dsp.buffer_len": (None, 100)}
    metadata = {each["name"]: (each["a"], each["b"]) for each in found["metadata"]}
    assert metadata["new.yaml"] == (None, "there")
    assert metadata["datasets/statuses/always.yaml: V02160A.processable"] == (True, False)
    assert found["data"] == [{"name": "l200-p03-r000-cal hit", "a": 1, "b": None}]


def test_software_is_compared_by_the_locks(box: Box) -> None:
    for tree, version in zip(pair(box), ("1.0", "2.0"), strict=True):
        lock = {"packages": [{"name": "dspeed", "version": version}], "checkouts": [], "python": {"version": "3.11"}}
        tree.write("software/python/software-lock.json", json.dumps(lock))
    assert compared(box)["software"] == [{"name": "dspeed", "a": "1.0", "b": "2.0"}]


def test_a_changed_resolution_is_the_first_of_the_significant_changes(box: Box) -> None:
    _, second = pair(box)
    pars(second, V02160A=hit_par(fwhm=2.5), V02160B=hit_par(slope=0.16003))
    found = compared(box)["physics"]
    assert (found[0]["detector"], found[0]["quantity"]) == ("V02160A", "results.ecal.e_cal.eres_linear.Qbb_fwhm_in_kev")
    assert found[0]["significance"] == pytest.approx(0.3 / (0.02 * 2**0.5))
    shift = next(each for each in found if each["detector"] == "V02160B" and "2039" in each["quantity"])
    assert shift["change"] == pytest.approx((2039.061 + 0.2) / 0.16 * 0.00003)
    text = box.ok("compare", "cycles/a", "cycles/b")
    row = next(line.split() for line in text.splitlines() if line.split()[:1] == ["V02160A"])
    assert row == ["V02160A", "2.200(20)", "2.500(20)*", "+0.00(19)"]
    assert text.index("FWHM") < text.index("other significant changes") < text.index("configuration")


def test_insignificant_numbers_are_shown_only_on_request(box: Box) -> None:
    _, second = pair(box)
    pars(second, V02160A=hit_par(fwhm=2.201))
    quantity = "results.ecal.e_cal.pk_fits.2614.511.fwhm_in_kev"
    assert quantity not in {each["quantity"] for each in compared(box)["physics"]}
    assert quantity in {each["quantity"] for each in compared(box, "--all")["physics"]}


def test_a_detector_that_failed_in_one_is_named_with_the_reason(box: Box) -> None:
    _, second = pair(box)
    pars(second, V02160A={"status": {"state": "failed", "reason": "no peak"}})
    assert compared(box)["status"] == [
        {"tier": "hit", "run": "l200-p03-r000-cal", "detector": "V02160A", "a": "ok", "b": "failed: no peak"}
    ]
    assert "failed: no peak" in box.ok("compare", "cycles/a", "cycles/b")


def test_what_sipms_have_from_their_own_data_is_compared(box: Box) -> None:
    first, second = pair(box)
    sipms(first, PHY, gain=20.0)
    sipms(second, PHY, gain=22.0, noise=4.01)
    found = [each for each in compared(box, "--all")["physics"] if each["detector"] == "S001" and each["change"]]
    rows = {(each["tier"], each["run"], each["quantity"]): each["significance"] for each in found}
    assert rows == {
        ("par_hit_spms", "l200-p03-r000-phy", "results.spms.gain"): pytest.approx(2 / (0.1 * 2**0.5)),
        ("par_dsp_spms", "l200-p03-r000-phy", "baseline_curr_fwhm"): pytest.approx(0.01 / (0.02 * 2**0.5)),
    }
    assert "results.spms.gain" in {each["quantity"] for each in compared(box)["physics"] if each["significant"]}
    sipms(first, PHY, gain=22.0, noise=4.01)
    override(
        second, "hit", "20230312T000000Z", {"S001": {"results": {"spms": {"gain": 25.0}}}} | {"V02160A": slope(0.15)}
    )
    by_hand = [each for each in compared(box, "--all")["physics"] if each["tier"] == "par_hit_spms" and each["change"]]
    assert [(each["detector"], each["a"]["value"], each["b"]["value"]) for each in by_hand] == [("S001", 22.0, 25.0)]


def test_changes_are_drawn(box: Box) -> None:
    _, second = pair(box)
    pars(second, V02160A=hit_par(fwhm=2.5))
    box.ok("compare", "cycles/a", "cycles/b", "--figures", str(box.env.root / "figures"))
    drawn = sorted(path.name for path in (box.env.root / "figures").iterdir())
    assert "results.ecal.e_cal.eres_linear.Qbb_fwhm_in_kev.png" in drawn


AT_QBB = "e_cal: calibration at 2039 keV"


def override(tree: Tree, tier: str, valid_from: str, entry: dict[str, Any]) -> None:
    """Parameters set by hand from a time on."""
    tree.write(f"inputs/dataprod/overrides/{tier}/mine.yaml", json.dumps(entry))
    tree.validity(f"dataprod/overrides/{tier}", {"valid_from": valid_from, "apply": ["mine.yaml"]})


def slope(value: float) -> dict[str, Any]:
    return {"pars": {"operations": {"e_cal": {"parameters": {"b": value}}}}}


def shifts(found: Any) -> dict[tuple[str, str], float]:
    """Where 2039 keV in A is in B, by run and detector, where it is elsewhere."""
    rows = [each for each in found["physics"] if each["quantity"] == AT_QBB and each["change"]]
    return {(each["run"], each["detector"]): each["b"]["value"] for each in rows}


def test_an_override_is_part_of_the_calibration_from_its_run_on(box: Box) -> None:
    _, second = pair(box)
    override(second, "hit", "20230317T211819Z", {"V02160A": slope(0.15)})
    found = compared(box)
    at = -0.2 + (2039.061 + 0.2) / 0.16 * 0.15
    assert shifts(found) == {("l200-p03-r001-cal", "V02160A"): pytest.approx(at)}
    (row,) = (each for each in found["physics"] if each["quantity"] == AT_QBB and each["change"])
    assert row == found["physics"][0]
    assert (row["a"]["error"] > 0, row["b"]["error"], row["significant"]) == (True, None, True)
    parameter = "pars.operations.e_cal.parameters.b"
    (by_hand,) = (each for each in found["physics"] if each["quantity"] == parameter)
    assert (by_hand["a"]["value"], by_hand["b"]["value"], by_hand["significance"]) == (0.16, 0.15, None)
    text = box.ok("compare", "cycles/a", "cycles/b")
    assert text.index("e_cal at 2039 keV") < text.index("-127.45") < text.index("other significant changes")
    row = next(line.split() for line in text.splitlines() if "parameters b" in line)
    assert row == ["V02160A", "e_cal", "parameters", "b", "0.16", "0.15", "by", "hand"]


def test_an_override_that_no_job_could_merge_is_refused(box: Box) -> None:
    _, second = pair(box)
    override(second, "hit", "20230317T211819Z", {"V02160A": 5})
    done = box.dataprod("compare", "cycles/a", "cycles/b")
    assert done.returncode == 2 and "the override of V02160A must be a mapping, not a" in done.stderr


def test_the_same_override_in_both_is_no_change(box: Box) -> None:
    for tree in pair(box):
        override(tree, "hit", "20230317T211819Z", {"V02160A": slope(0.15)})
    assert [each for each in compared(box, "--all")["physics"] if each["change"]] == []


def test_an_override_that_begins_with_a_physics_run_is_named_there_and_once(box: Box) -> None:
    keys = (*KEYS, "l200-p03-r000-phy-20230313T043356Z", "l200-p03-r002-phy-20230318T043356Z")
    for name in ("cycles/a", "cycles/b"):
        tree = box.cycle(name, keys)
    override(tree, "hit", "20230312T043356Z", {"V02160B": slope(0.15)})
    runs = ["l200-p03-r000-phy", "l200-p03-r001-cal"]
    assert list(shifts(compared(box))) == [(run, "V02160B") for run in runs]
    phy = {each["quantity"] for each in compared(box, "--all")["physics"] if each["run"] == runs[0]}
    assert phy == {AT_QBB, "pars.operations.e_cal.parameters.b"}


def test_an_override_that_begins_within_a_run_is_named_with_the_time(box: Box) -> None:
    keys = (*KEYS, "l200-p03-r001-phy-20230318T043356Z", "l200-p03-r001-phy-20230318T053356Z")
    for name in ("cycles/a", "cycles/b"):
        tree = box.cycle(name, keys)
    override(tree, "hit", "20230318T050000Z", {"V02160B": slope(0.15)})
    assert list(shifts(compared(box))) == [("l200-p03-r001-phy from 20230318T053356Z", "V02160B")]


def test_parameters_of_another_run_are_compared_where_the_plan_takes_them(box: Box) -> None:
    first, second = pair(box)
    for tree in (first, second):
        place(tree, "par", "hit", KEYS[2], ".yaml").write_text(json.dumps({n: hit_par(slope=0.17) for n in CHANNELS}))
    assert shifts(compared(box)) == {}
    second.write(
        "inputs/datasets/run_override.yaml",
        json.dumps([{"valid_from": "20230317T211819Z", "category": "all", "mode": "reset", "apply": [KEYS[0]]}]),
    )
    assert list(shifts(compared(box))) == [("l200-p03-r001-cal", name) for name in CHANNELS]


def test_a_decay_constant_set_by_hand_does_not_have_the_error_of_the_other(box: Box) -> None:
    first, second = pair(box)
    entry = json.dumps({"V02160A": {"pz": {"tau1": "341000.0*ns", "tau1_err": "60.0*ns"}}})
    for tree in (first, second):
        place(tree, "par", "dsp", CAL, ".yaml").write_text(entry)
    override(second, "dsp", "20230301T000000Z", {"V02160A": {"pz": {"tau1": "341.6*us"}}})
    row, other = (each for each in compared(box)["physics"] if each["quantity"] == "pz.tau1" and each["change"])
    if row["significance"] is None:
        row, other = other, row
    assert (row["run"], other["run"]) == ("l200-p03-r000-cal", "l200-p03-r001-cal")
    assert row["a"] == {"value": 341000.0, "error": 60.0, "unit": "ns"}
    assert row["b"] == {"value": pytest.approx(341600.0), "error": None, "unit": "ns"}
    assert row["significance"] == pytest.approx(10.0)


def test_a_detector_that_failed_and_is_overridden_is_named(box: Box) -> None:
    first, second = pair(box)
    for tree in (first, second):
        pars(tree, V02160A={"status": {"state": "failed", "reason": "no peak"}})
    assert compared(box)["status"] == []
    override(second, "hit", "20230301T000000Z", {"V02160A": {"pars": hit_par()["pars"]}})
    (state,) = compared(box)["status"]
    assert (state["a"], state["b"]) == ("failed: no peak", "failed: no peak (with an override)")


def test_differences_without_errors_are_significant_beyond_rounding(box: Box) -> None:
    first, second = pair(box)
    for tree, value in ((first, 0.15), (second, 0.15 + 1e-15)):
        override(tree, "hit", "20230301T000000Z", {"V02160A": slope(value), "V02160B": slope(value)})
    assert [each for each in compared(box)["physics"] if each["significant"]] == []
    override(second, "hit", "20230301T000000Z", {"V02160A": slope(0.15001), "V02160B": slope(0.15)})
    found = {each["detector"]: each for each in compared(box)["physics"] if each["significant"]}
    assert {name: row["significance"] for name, row in found.items()} == {"V02160A": None}


def test_headlines_stand_on_top_and_no_number_is_told_twice(box: Box) -> None:
    trees = pair(box)
    for tree, count, fwhm in zip(trees, (1000.0, 5000.0), (2.2, 2.4), strict=True):
        entry = hit_par(fwhm=fwhm)
        entry["results"]["ecal"]["e_cal"]["pk_fits"]["2614.511"] |= {
            "n_sig": count, "n_sig_err": 10.0, "parameters": {"n_sig": count}, "uncertainties": {"n_sig": 10.0}
        }  # fmt: skip
        pars(tree, V02160A=entry)
    names = [each["quantity"] for each in compared(box)["physics"] if each["significant"]]
    assert names[0] == "results.ecal.e_cal.eres_linear.Qbb_fwhm_in_kev"
    assert [name for name in names if "n_sig" in name] == ["results.ecal.e_cal.pk_fits.2614.511.n_sig"]


def test_what_a_machine_that_labels_traces_is_worth_is_told_also_where_it_is_the_same(box: Box) -> None:
    for tree in pair(box):
        entry = hit_par()
        entry["results"]["svm"] = {
            "good_kept": 99.8, "good_kept_err": 0.2, "bad_rejected": 89.3, "bad_rejected_err": 1.3,
            "confusion": {"burst": {"normal": 53.0, "normal_err": 4.9}},
        }  # fmt: skip
        pars(tree, V02160A=entry)
    found = {each["quantity"]: each for each in compared(box)["physics"] if ".svm." in each["quantity"]}
    assert set(found) == {"results.svm.good_kept", "results.svm.bad_rejected"}
    kept = found["results.svm.good_kept"]
    assert (kept["a"]["value"], kept["a"]["error"], kept["change"]) == (99.8, 0.2, 0.0)


def test_cycles_of_which_only_parameters_are_there_are_compared(box: Box) -> None:
    for tree in pair(box):
        shutil.rmtree(tree.root / "generated/tier")
    pars(tree, V02160A=hit_par(slope=0.15))
    assert list(shifts(compared(box))) == [("l200-p03-r000-cal", "V02160A")]


def test_a_parabola_is_followed(box: Box) -> None:
    for tree, bend in zip(pair(box), (1e-7, 2e-7), strict=True):
        entry = hit_par()
        operation = {"expression": "a + b * e + c * e**2", "parameters": {"a": 0.0, "b": 0.16, "c": bend}}
        entry["pars"]["operations"]["e_cal"] = operation
        pars(tree, V02160A=entry)
    adc = (-0.16 + (0.16**2 + 4e-7 * 2039.061) ** 0.5) / 2e-7
    assert shifts(compared(box)) == {("l200-p03-r000-cal", "V02160A"): pytest.approx(0.16 * adc + 2e-7 * adc**2)}


def test_numbers_set_by_hand_are_quantities_too() -> None:
    made = {"x": 1.0, "y": 2.0, "y_err": 0.1, "z": {"w": 3}}
    used = made | {"x": 1.5, "z": {"w": 3}, "t": "2.0*us"}
    assert dict(numbers_of(used)) == {"x": Value(1.5), "y": Value(2.0), "z.w": Value(3.0), "t": Value(2.0, unit="us")}
    assert quantities(made, used) == {"x": Value(1.5), "y": Value(2.0, 0.1), "t": Value(2.0, unit="us")}


def test_figures_in_a_file_are_refused_before_anything_is_computed(box: Box) -> None:
    first, _ = pair(box)
    file = first.write("file", "mine")
    (first.root / "config.json").write_text("{")
    for folder in (file, file / "below"):
        done = box.dataprod("compare", "cycles/a", "cycles/b", "--figures", folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"error: {file} is not a folder, so no figures can be drawn in {folder}\nhint: ")
    assert file.read_text() == "mine"


@pytest.mark.parametrize("number", ["nan", "-1", "inf", "three"])
def test_a_significance_that_is_none_is_refused(number: str, box: Box) -> None:
    done = box.dataprod("compare", "cycles/a", "cycles/b", f"--significance={number}")
    assert done.returncode == 2
    assert f"argument --significance: {number!r} is not a significance; give a number such as 3" in done.stderr


def test_every_form_of_error_is_understood() -> None:
    entry = {
        "tau1": "100.5*us", "tau1_err": "0.5*us", "sf": 0.9, "sf_err": 0.01, "fwhm_in_kev": 2, "fwhm_err_in_kev": 0.1,
        "position": 1, "position_uncertainty": 0.2, "flag": True, "flag_err": 1, "nan": float("nan"), "nan_err": 1,
        "text": "a*b", "text_err": 1, "plain": 3, "curve": {"parameters": {"a": 1}, "uncertainties": {"a": 0.1}},
    }  # fmt: skip
    assert dict(values_of(entry)) == {
        "tau1": Value(100.5, 0.5, "us"), "sf": Value(0.9, 0.01), "fwhm_in_kev": Value(2, 0.1),
        "position": Value(1, 0.2), "curve.parameters.a": Value(1, 0.1),
    }  # fmt: skip


def counted(tree: Tree, key: str, tier: str = "evt", **counts: Any) -> None:
    """Write the record of a file of events with what was counted in it."""
    record = record_file(place(tree, "tier", tier, key), "0" * 32)
    record.parent.mkdir(exist_ok=True)
    record.write_text(json.dumps({"lineage": "0" * 32, "recipe": {}, "counts": counts}))


def test_rates_of_a_run_are_compared_by_the_records(box: Box) -> None:
    first, second = pair(box)
    for tree, detectors in ((first, {"V02160A": 100}), (second, {"V02160A": 400, "V02160B": 9})):
        counted(tree, KEYS[1], events=500, **{"from": 1000.0, "to": 1050.0}, detectors=detectors)
    counted(first, KEYS[2], events=7)
    found = {(each["detector"], each["quantity"]): each for each in compared(box)["physics"] if each["tier"] == "evt"}
    assert set(found) == {(name, "rate of events") for name in ("all", "V02160A", "V02160B")}
    change = found["V02160A", "rate of events"]
    assert (change["run"], change["a"]) == ("l200-p03-r000-phy", {"value": 2.0, "error": 0.2, "unit": "1/s"})
    assert change["b"]["value"] == 8.0
    assert change["significance"] == pytest.approx(6.0 / (0.2**2 + 0.4**2) ** 0.5)
    assert found["V02160B", "rate of events"]["a"] == {"value": 0.0, "error": 0.02, "unit": "1/s"}
    assert found["all", "rate of events"]["change"] == 0.0
    row = next(line.split() for line in box.ok("compare", "cycles/a", "cycles/b").splitlines() if "V02160A" in line)
    assert row == ["V02160A", "2.00(20)", "8.00(40)*"]


def test_files_without_counts_have_no_rates(box: Box) -> None:
    first, second = pair(box)
    counted(first, KEYS[1], events=500, **{"from": 1000.0, "to": 1050.0})
    counted(second, KEYS[1], events=0)
    assert [each for each in compared(box)["physics"] if each["tier"] == "evt"] == []


def narrow(box: Box, *words: str) -> str:
    """What a terminal of 80 columns shows."""
    done = box.env.run("dataprod", "compare", "cycles/a", "cycles/b", *words, environ={"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def test_a_detector_has_one_row_in_80_columns(box: Box) -> None:
    first, second = pair(box)
    for tree, fwhm, gain in ((first, 2.2, 0.16), (second, 2.6, 0.16005)):
        pars(tree, V02160A=hit_par(fwhm, gain))
        entry = json.dumps({"V02160A": {"pz": {"tau1": f"{fwhm * 1e5}*ns", "tau1_err": "60.0*ns"}}})
        place(tree, "par", "dsp", CAL, ".yaml").write_text(entry)
    override(second, "hit", "20230301T000000Z", {"V02160B": slope(0.15)})
    for text in (narrow(box), narrow(box, "--all")):
        assert max(map(len, text.splitlines())) <= 80
    text = narrow(box)
    table = text[text.index("e_cal at 2039 keV") : text.index("more detector" if "more detector" in text else "2.293")]
    assert [line.split() for line in table.splitlines() if "V02160A" in line] == [
        ["V02160A", "2.200(20)", "2.600(20)*", "+0.64(19)*", "+40.000(85)*"]
    ]
    assert "B − A [µs]" in table and "A [keV]" in table


def with_line(tree: Tree, mu: float, unit: str = "") -> None:
    """A foreign parameter file: the position of a line as ``mu`` alone."""
    entry = hit_par()
    fit = {"parameters": {"mu": mu}, "uncertainties": {"mu": 0.1}, "fwhm_in_kev": 2.5, "fwhm_err_in_kev": 0.03}
    entry["results"]["ecal"]["e_cal"]["pk_fits"] = {"2614.511": fit}
    pars(tree, V02160A=entry)


def test_a_position_in_adc_and_one_in_the_kev_of_a_guess_are_no_change(box: Box) -> None:
    first, second = pair(box)
    with_line(first, (2614.6 + 0.2) / 0.16)
    with_line(second, 2611.0)
    assert [each for each in compared(box)["physics"] if each["significant"]] == []
    assert "no change of 3 σ" in box.ok("compare", "cycles/a", "cycles/b")
    with_line(second, (2616.6 + 0.2) / 0.16)
    (row,) = (each for each in compared(box)["physics"] if each["significant"])
    assert row["quantity"] == "results.ecal.e_cal.pk_fits.2614.511.position_in_kev"
    assert (row["change"], row["a"]["unit"]) == (pytest.approx(2.0), "keV")
    assert row["a"]["error"] == pytest.approx(0.016)


def test_positions_are_read_in_each_meaning_that_files_give_them() -> None:
    def entry(fit: dict[str, Any], curve: dict[str, float] | None) -> dict[str, Any]:
        operation = {"e_cal": {"expression": "a + b * e", "parameters": curve}} if curve else {}
        return {"pars": {"operations": operation}, "results": {"ecal": {"e_cal": {"pk_fits": {2614.511: fit}}}}}

    name = "results.ecal.e_cal.pk_fits.2614.511.position_in_kev"
    curve = {"a": 0.0, "b": 0.5}
    in_adc = {"parameters": {"mu": 5230.0}, "uncertainties": {"mu": 0.4}}
    in_kev = {"parameters": {"mu": 2615.0}, "uncertainties": {"mu": 0.2}}
    newer = {"position": 5230.0, "position_uncertainty": 0.4} | in_kev
    assert positions(entry(in_adc, curve)) == positions(entry(newer, curve)) == {name: Value(2615.0, 0.2, "keV")}
    assert positions(entry(in_kev, None)) == {name: Value(2615.0, 0.2, "keV")}
    assert positions(entry(in_kev, curve)) == positions(entry(in_adc, None)) == {}
    assert positions(entry({"position_in_kev": 2614.0} | in_adc, curve)) == {}


def test_what_only_serves_to_compute_others_is_told_on_request(box: Box) -> None:
    trees = pair(box)
    for tree, mu in zip(trees, (16000.0, 17000.0), strict=True):
        entry = hit_par()
        fit = entry["results"]["ecal"]["e_cal"]["pk_fits"]["2614.511"]
        fit |= {
            "position_in_kev": 2614.5,
            "position_err_in_kev": 0.1,
            "parameters": {"mu": mu},
            "uncertainties": {"mu": 1.0},
        }
        pars(tree, V02160A=entry)
    quantity = "results.ecal.e_cal.pk_fits.2614.511.parameters.mu"
    assert is_intermediate(quantity)
    assert quantity not in {each["quantity"] for each in compared(box)["physics"]}
    assert quantity in {each["quantity"] for each in compared(box, "--all")["physics"]}


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (2.293, 0.080, "2.293(80)"), (0.0004, 0.15, "0.00(15)"), (-0.0004, 0.15, "0.00(15)"), (12.0, 12.3, "12(12)"),
        (2039.0, 1.5, "2039.0(1.5)"), (83.3178, 0.0232, "83.318(23)"), (5.0, None, "5"),
        (1e5, 2300.0, "100000 ± 2.3e+03"),
        (0.2, 0.0996, "0.20(10)"), (1.0, 0.0, "1"),
    ],
)  # fmt: skip
def test_errors_stand_in_the_last_digits(value: float, error: float | None, text: str) -> None:
    assert with_error(value, error) == text
    assert with_error(value, error, sign=True).startswith(("+", "-"))


def test_names_of_quantities_can_be_wrapped() -> None:
    assert words_of("results.ecal.e_cal.pk_fits.2614.511.fwhm_in_kev") == "ecal e_cal pk_fits 2614.511 fwhm_in_kev"
    assert words_of("pars.operations.e_cal.parameters.b") == "e_cal parameters b"
    assert unit_of("x.fwhm_in_kev", Value(1.0)) == "keV"
    assert unit_of("pz.tau1", Value(1.0, unit="ns")) == "ns"


def test_of_many_detectors_the_significant_ones_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    from prodenv.commands.compare import SHOWN, _print_run
    from prodenv.comparison.physics import Change
    from prodenv.comparison.physics import Value as Number
    from prodenv.comparison.report import tables

    quantity = "results.ecal.e_cal.eres_linear.Qbb_fwhm_in_kev"
    pairs = [(f"V{n:05d}A", 2.5 if n % 30 == 29 else 2.01) for n in range(90)]
    found = [
        Change("hit", "r", name, quantity, Number(2.0, 0.02, "keV"), Number(value, 0.02, "keV"))
        for name, value in pairs
    ]
    found += [
        Change("hit", "r", name, "e_cal: calibration at 2039 keV", *[Number(2039.0, 0.1, "keV")] * 2)
        for name, _ in pairs
    ]
    (table,) = tables(found, 3.0)
    _print_run(table, SHOWN)
    text = capsys.readouterr().out
    rows = [line.split() for line in text.splitlines() if line.split()[:1] and line.split()[0].startswith("V")]
    assert [row[0] for row in rows[:4]] == ["V00029A", "V00059A", "V00089A", "V00000A"]
    assert rows[0][1:] == ["2.000(20)", "2.500(20)*"]
    assert (len(rows), f"{90 - SHOWN} more: --all" in text) == (SHOWN, True)
