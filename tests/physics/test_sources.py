"""Calibrations with sources other than 228Th, from simulated DAQ files to energies, beside the truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dataflow.jobs.runner import run
from dataflow.plan import open_cycle
from gebox.experiment import build
from gebox.metadata import write_tree
from gebox.simulate import simulate

STEPS = (
    "par_tcm_pulser",
    "par_dsp_pz",
    "par_dsp_evtsel",
    "par_dsp_nopt",
    "par_dsp_eopt",
    "par_dsp_dplms",
    "par_dsp",
    "tier_dsp",
    "par_hit_qc",
    "par_hit_ecal",
)
DETECTORS = {"V01001A", "V01002B", "B02001A", "P03001A"}


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Simulates a run with a source and calibrates it; returns the parameters by detector."""
    made: dict[str, dict[str, Any]] = {}

    def par(source: str, scale: float) -> dict[str, Any]:
        if source not in made:
            made[source] = _calibrated(tmp_path_factory.mktemp(source), source, scale)
        return made[source]

    return par


def _calibrated(folder: Path, source: str, scale: float) -> dict[str, Any]:
    experiment = build(seed=11, scale=scale, source=source)
    write_tree(experiment, folder / "inputs")
    simulate(experiment, folder / "generated/tier/daq", folder / "truth", only="p03-r000-cal")
    config = folder / "config.json"
    config.write_text(json.dumps({"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}}))
    keys = [file.key for file in experiment.files if "p03-r000-cal" in file.key]
    cycle = open_cycle(config)
    for step in ("tier_raw", "tier_tcm"):
        for key in keys:
            run(cycle.job(step, key))
    for step in STEPS:
        for key in keys if step.startswith("tier") else keys[:1]:
            run(open_cycle(config).job(step, key))
    path = open_cycle(config).job("par_hit_ecal", keys[0]).outputs["par"]
    return dict(yaml.safe_load(path.read_text()))


def _lines(pars: dict[str, Any], detector: str) -> dict[float, Any]:
    found = pars[detector].get("results", {}).get("ecal", {}).get("trapEmax_ctc_cal")
    assert found, pars[detector].get("status")
    return dict(found["pk_fits"])


def test_a_stand_with_60co_calibrates(calibrated: Callable[..., dict[str, Any]]) -> None:
    pars = calibrated("Co60", 0.1)
    assert pars.keys() == DETECTORS
    for detector in DETECTORS:
        lines = _lines(pars, detector)
        for energy in (1173.228, 1332.492):
            assert lines[energy]["position_in_kev"] == pytest.approx(energy, abs=0.3)
            assert 1.0 < lines[energy]["fwhm_in_kev"] < 3.0
        width = pars[detector]["results"]["ecal"]["trapEmax_ctc_cal"]["eres_linear"]
        assert width["interp_energy_in_kev"] == 1332.492


def test_a_stand_with_241am_calibrates_where_the_user_says_which_gains_to_expect(
    calibrated: Callable[..., dict[str, Any]],
) -> None:
    pars = calibrated("Am241", 0.06)
    truth = {d.name: d for d in build(seed=11, source="Am241").layout.detectors}
    experiment = build(seed=11, scale=0.06, source="Am241")
    for detector in DETECTORS:
        true = experiment.constants(truth[detector], experiment.files[0])
        lines = _lines(pars, detector)
        assert lines[59.5409]["position_in_kev"] == pytest.approx(59.5409, abs=0.1)
        # with an offset that one line cannot tell, the gain is off by the offset
        gain = pars[detector]["pars"]["operations"]["trapEmax_ctc_cal"]["parameters"]["b"]
        assert gain == pytest.approx(true.gain, rel=0.02)


def test_a_stand_with_133ba_calibrates(calibrated: Callable[..., dict[str, Any]]) -> None:
    pars = calibrated("Ba133", 0.08)
    for detector in DETECTORS:
        lines = _lines(pars, detector)
        for energy in (80.9979, 302.8508, 356.0129):
            assert lines[energy]["position_in_kev"] == pytest.approx(energy, abs=0.3)
