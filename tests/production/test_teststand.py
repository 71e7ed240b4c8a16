"""A test stand: one detector a file, measurement names with underscores, targets without experiment."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.production.conftest import Environment

pytestmark = pytest.mark.production

DAQ = "B00000B/c1/{measurement}/char_data-B00000B-{measurement}-run0001-{time}.fcio"
FILES = {"th_HS2_top_psa": "180925T093000", "co_HS5_top_dlt": "180925T113000"}


@pytest.fixture(scope="module")
def cycle(environment: Environment, places: Path, shared_data: Path) -> Path:
    """A cycle with the real 228Th file as calibration measurement and again as another measurement."""
    folder = places / "stand"
    words = ("--scheme", "teststand", "--setup", "char_data")
    environment.run("dataprod-init-cycle", folder.relative_to(environment.root), *words)
    environment.install(folder)
    for measurement, time in FILES.items():
        place = folder / "generated/tier/daq" / DAQ.format(measurement=measurement, time=time)
        place.parent.mkdir(parents=True)
        shutil.copy(shared_data / "fcio/th228.fcio", place)
    return folder


def test_a_measurement_is_calibrated_by_the_calibration_measurement(environment: Environment, cycle: Path) -> None:
    environment.run("snakemake", "--configfile", cycle / "config.json", "-j", 2, "all-B00000B-co_HS5_top_dlt-tier3.gen")
    (hit,) = (cycle / "generated/tier/hit").rglob("*co_HS5_top_dlt*.lh5")
    with h5py.File(hit) as file:
        energies = file["hit/cuspEmax_ctc_cal"][:]
    assert len(energies) == 1000
    for line in (238.632, 583.187, 2614.511):
        near = energies[np.abs(energies - line) < 4]
        assert len(near) > 20
        assert np.median(near) == pytest.approx(line, abs=1)
    pars = list((cycle / "generated/par/hit").rglob("*-par_hit.yaml"))
    assert [path.name.split("-")[2] for path in pars] == ["th_HS2_top_psa"]


def test_tier_names_of_old_are_understood(environment: Environment, cycle: Path) -> None:
    done = environment.run("snakemake", "-j", 1, "all-B00000B-co_HS5_top_dlt-tier2.gen", cwd=cycle)
    assert "Nothing to be done" in done.stdout + done.stderr


def test_an_unknown_measurement_is_refused_with_the_choices(environment: Environment, cycle: Path) -> None:
    done = environment.run("snakemake", "-j", 1, "all-B00000B-am_HS1_top_dlt-tier3.gen", cwd=cycle, code=None)
    assert done.returncode != 0
    assert "co_HS5_top_dlt" in done.stdout + done.stderr
