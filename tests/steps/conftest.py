"""A simulated calibration in which every class of distortion is frequent, processed to dsp, with its truth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions that raw files use
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from dataflow.jobs.runner import run
from dataflow.plan import open_cycle
from gebox.experiment import build
from gebox.metadata.tree import write_tree
from gebox.signals import defects
from gebox.simulate import write_file
from gebox.truth import TABLE, file_path

Columns = Mapping[str, NDArray[Any]]

FREQUENT = dict.fromkeys(defects.SHARES, 0.04)
"""Shares of the distortions: a few in a thousand are too few for a test."""
BEFORE_DSP = (
    *("tier_raw", "tier_tcm", "par_tcm_pulser", "par_dsp_pz", "par_dsp_evtsel", "par_dsp_nopt", "par_dsp_eopt"),
    *("par_dsp_dplms", "par_dsp"),
)
EVENTS, NOISE_EVENTS = 2400, 100


@dataclass(frozen=True)
class Simulated:
    """A cycle with a run of the simulated experiment.

    Attributes
    ----------
    folder
        The cycle.
    key
        Of the calibration file.
    rawids
        By detector.
    """

    folder: Path
    key: str
    rawids: Mapping[str, int]

    def run(self, *steps: str) -> None:
        """Run jobs for the calibration."""
        for step in steps:
            run(open_cycle(self.folder / "config.json").job(step, self.key), 1)

    def pars(self, step: str) -> dict[str, Any]:
        """The parameter file of a step."""
        path = open_cycle(self.folder / "config.json").job(step, self.key).outputs["par"]
        return dict(yaml.safe_load(path.read_text()))

    def columns(self, detector: str) -> Columns:
        """The columns of dsp, shape (events,) each."""
        (path,) = (self.folder / "generated/tier/dsp/cal").rglob("*.lh5")
        with h5py.File(path) as file:
            table = file[f"ch{self.rawids[detector]:07d}/dsp"]
            return {name: node[:] for name, node in table.items() if isinstance(node, h5py.Dataset)}

    def truth(self, detector: str) -> Columns:
        """The truth of each row of dsp: columns ``hit_…``, NaN where the detector saw nothing; shape (events,)."""
        (raw,) = (self.folder / "generated/tier/raw/cal").rglob("*.lh5")
        (truth,) = (self.folder / "truth/cal").rglob("*-truth.lh5")
        rawid = self.rawids[detector]
        with h5py.File(raw) as file, h5py.File(truth) as known:
            numbers = file[f"ch{rawid:07d}/raw/eventnumber"][:]
            table = known[TABLE]
            ends = table["hit_rawid/cumulative_length"][:].astype(int)
            events = np.repeat(table["eventnumber"][:], np.diff(ends, prepend=0))
            mine = table["hit_rawid/flattened_data"][:] == rawid
            place = {event: index for index, event in zip(np.flatnonzero(mine), events[mine], strict=True)}
            where = np.array([place.get(number, -1) for number in numbers])
            names = [name for name in table if name.startswith("hit_")]
            return {name: _at(table[f"{name}/flattened_data"][:], where) for name in names}


def _at(values: NDArray[Any], where: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(where >= 0, values[where], np.nan).astype(np.float64)


@pytest.fixture(scope="session")
def distorted(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """Calibration and noise of a run of eight detectors, a fifth of the pulses distorted, processed to dsp."""
    folder = tmp_path_factory.mktemp("distorted")
    experiment = build(seed=3, preset="full")
    write_tree(experiment, folder / "inputs")
    (folder / "config.json").write_text(json.dumps({"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}}))
    files = {kind: next(file for file in experiment.files if file.datatype == kind) for kind in ("cal", "fft")}
    files = {"cal": replace(files["cal"], events=EVENTS), "fft": replace(files["fft"], events=NOISE_EVENTS)}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(defects, "SHARES", FREQUENT)
        for file in files.values():
            write_file(experiment, folder / "generated/tier/daq", folder / "truth", file)
            assert file_path(folder / "truth", file).is_file()
    rawids = {detector.name: detector.address.rawid for detector in experiment.layout.detectors if detector.processable}
    made = Simulated(folder, files["cal"].key, rawids)
    for step in ("tier_raw", "tier_tcm"):
        run(open_cycle(folder / "config.json").job(step, files["fft"].key), 1)
    made.run(*BEFORE_DSP, "tier_dsp")
    for step in ("par_dsp_spms", "tier_dsp"):
        run(open_cycle(folder / "config.json").job(step, files["fft"].key), 1)
    return made


@pytest.fixture(scope="session")
def qualified(distorted: Simulated) -> dict[str, Any]:
    distorted.run("par_hit_qc")
    return distorted.pars("par_hit_qc")
