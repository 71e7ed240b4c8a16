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
