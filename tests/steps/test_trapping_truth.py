"""Trapping correction and filters on the simulated experiment, beside what it knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from dataflow.jobs.runner import run
from dataflow.plan import open_cycle
from gebox.experiment import build
from gebox.experiment.constants import UNTRAPPED
from gebox.metadata.tree import write_tree
from gebox.signals.charge import crystal
from gebox.simulate import simulate
from gebox.truth import TABLE, Kind

LINE = 2614.511
FWHM = np.sqrt(8 * np.log(2))
ESTIMATORS = ("cuspEmax", "zacEmax", "trapEmax")


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """Parameters and truth of a calibration run of four detectors, and the folder of the truth."""
    folder = tmp_path_factory.mktemp("trapping")
    experiment = build(seed=4, scale=0.5)
    write_tree(experiment, folder / "inputs")
    simulate(experiment, folder / "generated/tier/daq", folder / "truth", only="p03-r000-cal")
    config = folder / "config.json"
    config.write_text(json.dumps({"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}}))
    keys = [file.key for file in experiment.files if "p03-r000-cal" in file.key]
    for step in (
        "tier_raw",
        "tier_tcm",
        "par_tcm_pulser",
        "par_dsp_pz",
        "par_dsp_evtsel",
        "par_dsp_nopt",
        "par_dsp_eopt",
    ):
        for key in keys if step.startswith("tier") else keys[:1]:
            run(open_cycle(config).job(step, key))
    pars = open_cycle(config).job("par_dsp_eopt", keys[0]).outputs["par"]
    (truth,) = (folder / "truth").glob("*-truth.yaml")
    return yaml.safe_load(pars.read_text()), yaml.safe_load(truth.read_text())["detectors"], folder / "truth"


def charges(folder: Path, rawid: int) -> tuple[Any, Any]:
    """Collected charge in keV and drift time in ns of the full-energy events of the line."""
    found = []
    for path in sorted(folder.rglob("*-truth.lh5")):
        with h5py.File(path) as file:
            names = ("rawid", "kind", "energy", "charge", "drift_time")
            values = {name: file[f"{TABLE}/hit_{name}/flattened_data"][:] for name in names}
        mine = (values["rawid"] == rawid) & np.isin(values["kind"], (Kind.SINGLE, Kind.MULTI))
        mine &= np.abs(values["energy"] - LINE) < 0.01
        found.append((values["charge"][mine], values["drift_time"][mine]))
    return tuple(np.concatenate(each).astype(float) for each in zip(*found, strict=True))


def test_the_correction_takes_away_what_trapping_adds(run_of: tuple[dict[str, Any], dict[str, Any], Path]) -> None:
    pars, truth, folder = run_of
    assert UNTRAPPED in pars
    for name, true in truth.items():
        charge, drift = charges(folder, true["rawid"])
        kept = charge / (1 - true["trapping"] * 1e-3 * (drift - drift.mean()))
        expected = FWHM**2 * (np.var(charge) - np.var(kept))
        for estimator in ESTIMATORS:
            found = pars[name]["eopt"]["ctc"][estimator]
            after, before = (found["lines"][LINE][each][0] for each in ("fwhm_in_kev", "fwhm_uncorrected_in_kev"))
            # what a slope that is off by its error, and the chance correlation of few events, change in the width
            spread = FWHM * LINE * np.std(drift) * found["a_err"]
            error = np.hypot(2 * np.sqrt(max(expected, 0)) * spread, spread**2)
            assert before**2 - after**2 == pytest.approx(expected, abs=3 * error + 0.15), (name, estimator)


def test_it_is_zero_where_nothing_is_trapped_and_clear_where_it_is(
    run_of: tuple[dict[str, Any], dict[str, Any], Path],
) -> None:
    pars, truth, _ = run_of
    significances = {}
    for name, true in truth.items():
        for estimator in ESTIMATORS:
            found = pars[name]["eopt"]["ctc"][estimator]
            expected = true["trapping"] * 1e-3  # per ns of drift time; that of dsp is shorter or longer by a fifth
            assert found["a"] == pytest.approx(expected, abs=3 * found["a_err"] + 0.25 * expected), (name, estimator)
            significances[name] = found["a"] / found["a_err"]
    assert abs(significances[UNTRAPPED]) < 3
    assert sum(value > 3 for value in significances.values()) >= 2


def test_the_width_at_the_end_point_is_what_noise_and_fano_allow(
    run_of: tuple[dict[str, Any], dict[str, Any], Path],
) -> None:
    pars, truth, _ = run_of
    ratios = []
    for name, true in truth.items():
        for estimator in ESTIMATORS:
            found = pars[name]["eopt"]["ctc"][estimator]
            width, error = found["Qbb_fwhm_in_kev"], found["Qbb_fwhm_err_in_kev"]
            allowed = true["resolution"]["fwhm_2039"]
            assert width == pytest.approx(allowed, abs=3 * error + 0.05 * allowed), (name, estimator)
            ratios.append(width / allowed)
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)


def test_one_detector_traps_nothing_and_the_others_do() -> None:
    experiment = build(seed=4)
    for detector in experiment.layout.detectors:
        constants = experiment.constants(detector, experiment.files[0])
        assert (crystal(detector, constants).trapping == 0) == (detector.name == UNTRAPPED)
