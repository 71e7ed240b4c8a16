"""The energy calibration of real LEGEND-200 data: 38,343 events of one detector in one run, above 800 keV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from dataflow.physics import curves
from dataflow.physics.lines import QBB
from dataflow.steps.par_hit_ecal.build import calibrate
from dataflow.steps.par_hit_ecal.report import entry
from dataflow.steps.par_hit_ecal.result import DetectorCalibration
from dataflow.steps.par_hit_ecal.settings import Settings
from dataflow.steps.par_hit_ecal.source import source_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dataflow.steps.par_hit_ecal.settings import Nuclide

PLACE = "lh5/prod-ref-l200/generated/tier/dsp/cal/p03/r000/l200-p03-r000-cal-20230311T235840Z-tier_dsp.lh5"
SETTINGS = Settings(energy_params=("cuspEmax", "trapEmax", "cuspEftp"), monitoring_parameters=("baseline", "bl_std"))
COUNTS = {860.564: 400, 1592.511: 185, 1620.5: 189, 2103.511: 510, 2614.511: 4190}
"""Counts above background: events within 4 keV (6 at 2103, 8 at 2614 keV) less those of the same width on both sides,
counted under the straight line through the densest places at 860.6 and 2614.5 keV, by cuspEmax and trapEmax."""
HALF_HEIGHT = 2.51
"""Width of the 2614.5 keV peak at half of its height in keV, read off a histogram with bins of 0.25 keV."""


@pytest.fixture(scope="module")
def columns(shared_data: Path) -> dict[str, Any]:
    """All columns of the real file."""
    with h5py.File(shared_data / PLACE) as file:
        table = file["ch1104000/dsp"]
        return {name: table[name][:] for name in table if table[name].ndim == 1}


@pytest.fixture(scope="module")
def found(columns: dict[str, Any], sources: Mapping[str, Nuclide]) -> DetectorCalibration:
    return calibrate(columns, np.ones(38_343, dtype=bool), SETTINGS, source_of(SETTINGS, sources), {})


def test_lines_stand_where_they_belong_and_have_the_counts_that_are_there(found: DetectorCalibration) -> None:
    for result in found.results:
        lines = {fit.line.key: fit for fit in result.fits}
        assert lines.keys() == COUNTS.keys()
        for key, fit in lines.items():
            place = curves.apply(result.curve, np.array([fit.position / result.scale]))[0]
            allowed = 4 * np.hypot(fit.position_error, fit.line.uncertainty)
            assert place == pytest.approx(fit.line.energy, abs=min(allowed, 0.25))
            assert fit.counts == pytest.approx(COUNTS[key], abs=1.5 * np.sqrt(COUNTS[key] + 300))
        assert abs(curves.apply(result.curve, np.array([lines[2614.511].position / result.scale]))[0] - 2614.511) < 0.1


def test_the_resolution_is_that_of_the_peaks(found: DetectorCalibration) -> None:
    """Squares of the widths are straight over energy: 1.70 keV at 861 and 2.51 keV at 2615 keV make 2.28 at Qbb."""
    for result in found.results:
        assert result.fits[-1].fwhm * result.slope == pytest.approx(HALF_HEIGHT, abs=0.06)
        assert result.resolution is not None
        width, error = curves.width_at(result.resolution, QBB)
        assert width == pytest.approx(2.28, abs=0.06)
        assert 0.01 < error < 0.06


def test_what_the_data_do_not_allow_is_said(found: DetectorCalibration) -> None:
    assert found.failed == {"cuspEftp_ctc": "none of 38343 events has an amplitude above 0"}
    assert "cuspEftp_ctc is not calibrated: none of 38343 events has an amplitude above 0" in found.warnings
    left_out = {none.line.key: none.reason for none in found.results[0].left_out}
    assert left_out == {238.632: "0 events", 583.191: "0 events", 727.33: "0 events"}


def test_the_parameter_file_has_what_dashboards_look_up(found: DetectorCalibration) -> None:
    made = entry(found, SETTINGS, {})
    ecal = made["results"]["ecal"]["cuspEmax_ctc_cal"]
    operation = made["pars"]["operations"]["cuspEmax_ctc_cal"]
    peak = ecal["pk_fits"][2614.511]
    assert operation["expression"] == "a + b * cuspEmax_ctc"
    a, b = operation["parameters"].values()
    # mu and position in the unit of the estimator: the calibration applied to them gives the energy
    assert a + b * peak["position"] == pytest.approx(2614.511, abs=0.1)
    assert a + b * peak["parameters"]["mu"] == pytest.approx(2614.511, abs=1.0)
    assert peak["validity"] is True
    assert 0 <= peak["p_value"] <= 1
    assert peak["function"] in ("hpge_peak", "gauss_on_step")
    assert ecal["eres_linear"]["Qbb_fwhm_in_kev"] == pytest.approx(2.28, abs=0.06)
    assert ecal["eres_linear"]["module"] == "pygama.pargen.energy_cal"
    assert 4100 < ecal["pass_fep"] < ecal["total_fep"] < 4400
    monitored = made["results"]["ecal"]["monitoring_parameters"]
    assert monitored["bl_std"] == {"mode": pytest.approx(12.57, abs=0.02), "stdev": pytest.approx(0.646, abs=0.02)}


def test_a_calibration_may_be_copied_and_operations_added(found: DetectorCalibration) -> None:
    copied = {"copy_param": "cuspEmax_ctc_cal", "old_input_param": "cuspEmax_ctc", "new_input_param": "cuspEmax"}
    block = {"is_large": {"expression": "cuspEmax > a", "parameters": {"a": 5}}}
    config = {"energy_params": ["cuspEmax"], "copy_calibration": {"plain_cal": copied}, "extra_blocks": [block]}
    operations = entry(found, Settings.read(config), {})["pars"]["operations"]
    assert operations["plain_cal"]["expression"] == "a + b * cuspEmax"
    assert operations["plain_cal"]["parameters"] == operations["cuspEmax_ctc_cal"]["parameters"]
    assert operations["is_large"] == block["is_large"]
