"""Detectors whose status lacks a pulse-shape classifier have none, and everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.steps.conftest import Simulated

WITHOUT = "C04001A"
"""The semi-coaxial detector of the simulated experiment."""


@pytest.fixture(scope="module")
def parameters(distorted: Simulated, qualified: dict[str, Any]) -> dict[str, Any]:
    """All parameters of hit."""
    assert WITHOUT in qualified
    distorted.run("par_hit_ecal", "par_hit_aoe", "par_hit_lq", "par_hit")
    return distorted.pars("par_hit")


def test_a_detector_whose_status_lacks_a_classifier_has_none(parameters: dict[str, Any]) -> None:
    results = parameters[WITHOUT]["results"]
    assert (results["aoe"], results["lq"]) == ({}, {})
    assert results["aoe_left_out"] == "its status says psd.status.low_aoe: missing"
    assert results["lq_left_out"] == "its status says psd.status.lq: missing"
    assert "aoe_failed" not in results and "lq_failed" not in results
    warned = " ".join(parameters[WITHOUT].get("warnings", {}).values())
    assert "A/E" not in warned and "late charge" not in warned


def test_other_detectors_are_tried(parameters: dict[str, Any]) -> None:
    """With three hundred events each there is no double-escape peak, which is said; energies and flags are there."""
    for name, found in parameters.items():
        if name == WITHOUT or "status" in found:
            continue
        assert "aoe_left_out" not in found["results"] and "lq_left_out" not in found["results"]
        assert found["results"]["lq_failed"].startswith("no double-escape peak at 1592.5 keV")
        assert found["results"]["aoe_failed"]
        assert "is_valid_cal" in found["pars"]["operations"], name


def test_what_is_not_asked_for_takes_nothing_from_the_steps_before() -> None:
    """The published ``run_aoe: false`` and ``run_lq: false`` lose the results of quality cuts and energies."""
    from dataflow.keys.channel import Channel
    from dataflow.steps.merge.build import _of_detector
    from dataflow.steps.par_hit_aoe.report import AOE
    from dataflow.steps.par_hit_lq.report import LATE_CHARGE

    results = {"qc": {"is_valid_0vbb": {"sf_cal": 97.0}}, "ecal": {"cuspEmax_ctc_cal": {"Qbb_fwhm_in_kev": 2.5}}}
    before = {"pars": {"operations": {"cuspEmax_ctc_cal": {"expression": "cuspEmax*a"}}}, "results": results}
    entries: dict[str, Any] = {"par_hit_ecal": before}
    for step, one in (("par_hit_aoe", AOE), ("par_hit_lq", LATE_CHARGE)):
        entries[step] = one.calibrated(Channel("V01A", "geds", 1), before, _never, run=False).entry
    merged = _of_detector(entries)
    assert merged == {"pars": before["pars"], "results": results | {"aoe": {}, "lq": {}}}


def _never() -> Any:
    raise AssertionError("a step that is switched off calibrates nothing")
