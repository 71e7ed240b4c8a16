"""``dataprod compare``: what differs is found, what does not is not, and the significant stands on top."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dataflow.plan.records import record_file
from prodenv.physics_changes import Value, values_of

from ..plan.conftest import Tree
from .conftest import CHANNELS, KEYS, Box, hit_par, place

CAL = KEYS[0]


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
    assert text.index("significant changes") < text.index("Qbb_fwhm_in_kev") < text.index("other changes")


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


def test_changes_are_drawn(box: Box) -> None:
    _, second = pair(box)
    pars(second, V02160A=hit_par(fwhm=2.5))
    box.ok("compare", "cycles/a", "cycles/b", "--figures", str(box.env.root / "figures"))
    drawn = sorted(path.name for path in (box.env.root / "figures").iterdir())
    assert "results.ecal.e_cal.eres_linear.Qbb_fwhm_in_kev.png" in drawn


def test_figures_in_a_file_are_refused_before_anything_is_computed(box: Box) -> None:
    first, _ = pair(box)
    file = first.write("file", "mine")
    (first.root / "config.json").write_text("{")
    for folder in (file, file / "below"):
        done = box.dataprod("compare", "cycles/a", "cycles/b", "--figures", folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"error: {file} is no folder, so no figures can be drawn in {folder}\nhint: ")
    assert file.read_text() == "mine"


@pytest.mark.parametrize("number", ["nan", "-1", "inf", "three"])
def test_a_significance_that_is_none_is_refused(number: str, box: Box) -> None:
    done = box.dataprod("compare", "cycles/a", "cycles/b", f"--significance={number}")
    assert done.returncode == 2
    assert f"argument --significance: {number!r} is no significance; give a number such as 3" in done.stderr


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
    text = box.ok("compare", "cycles/a", "cycles/b")
    assert "rate of events" in text[: text.index("other changes")]


def test_files_without_counts_have_no_rates(box: Box) -> None:
    first, second = pair(box)
    counted(first, KEYS[1], events=500, **{"from": 1000.0, "to": 1050.0})
    counted(second, KEYS[1], events=0)
    assert [each for each in compared(box)["physics"] if each["tier"] == "evt"] == []
