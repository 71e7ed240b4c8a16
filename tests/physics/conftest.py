"""Small cycles around one DAQ or raw file, whose jobs run in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from dataflow.jobs.runner import main, run
from dataflow.metadata.stepconfig import shipped_folder
from dataflow.physics.lines import Source
from dataflow.plan import open_cycle
from dataflow.registry.steps import BY_NAME, parts_of
from dataflow.steps.par_hit_ecal.settings import Nuclide, Settings, Sources
from dataflow.steps.par_hit_ecal.source import source_of

START = "20180101T000000Z"
Channels = Mapping[str, Mapping[str, Any]]
"""By detector: rawid, and system (geds if it is left out)."""
TO_EVENTS = (
    *("tier_raw", "tier_tcm", "par_tcm_pulser", "par_dsp_pz", "par_dsp_evtsel", "par_dsp_nopt", "par_dsp_eopt"),
    *("par_dsp_dplms", "par_dsp", "tier_dsp"),
    *("par_hit_qc", "par_hit_ecal", "par_hit_aoe", "par_hit_lq", "par_hit", "tier_hit", "tier_evt"),
)
"""The steps from a calibration's DAQ file to its events."""
FIGURES = ("plt_dsp", "plt_hit")
"""The steps that make its figures."""


class SmallCycle:
    """A cycle with one file in it.

    Parameters
    ----------
    folder
        Where it is.
    key
        The file's key.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        self.config = folder / "config.json"

    def run(self, *steps: str, threads: int = 1) -> None:
        """Run the jobs of some steps, one after the other, as Snakemake would; a merge takes its parts with it."""
        for step in steps:
            for each in (*self._parts(step, self.key), step):
                run(open_cycle(self.config).job(each, self.key), threads)

    def recorded(self, *jobs: tuple[str, str]) -> None:
        """Run jobs (step and key) as Snakemake does, with their records; each must go well."""
        for step, key in jobs:
            for each in (*self._parts(step, key), step):
                assert main([each, "--config", str(self.config), "--key", key]) == 0, (each, key)

    def _parts(self, step: str, key: str) -> list[str]:
        """The parts of a parameter file that are not there yet, and what a step takes from its own files."""
        tier = BY_NAME[step].tier if BY_NAME[step].is_merge else ""
        cycle = open_cycle(self.config)
        parts = [part.name for part in parts_of(tier) if not part.only_with] if tier else []
        own = next((each.source for each in BY_NAME[step].inputs if each.name == "spms"), "")
        parts += [own] if own and "spms" in cycle.job(step, key).inputs else []
        missing = [part for part in parts if not cycle.job(part, key).outputs["par"].exists()]
        calibrations = [each for each in (*missing, step) if BY_NAME[each].kind == "par"]
        masks = [path for each in calibrations for path in cycle.job(each, key).inputs.get("masks", ())]
        return ["par_tcm_pulser"] * (not all(path.exists() for path in masks)) + missing

    def output(self, step: str, role: str = "tier") -> Path:
        """Where a step's output stands."""
        return open_cycle(self.config).job(step, self.key).outputs[role]

    def pars(self, step: str) -> dict[str, Any]:
        """The parameter file of a step."""
        return dict(yaml.safe_load(self.output(step, "par").read_text()))

    def configure(self, rule: str, **entry: Any) -> None:
        """Write the entry of a rule in dataprod/config."""
        path = self.folder / "inputs/dataprod/config/config.yaml"
        content = yaml.safe_load(path.read_text()) or {}
        content.setdefault("snakemake_rules", {})[rule] = entry
        path.write_text(yaml.safe_dump(content))

    def set(self, **settings: Any) -> None:
        """Change the setup in config.json."""
        content = json.loads(self.config.read_text())
        next(iter(content["setups"].values())).update(settings)
        self.config.write_text(json.dumps(content))


def make_cycle(folder: Path, source: Path, key: str, channels: Channels, tier: str = "daq") -> SmallCycle:
    """Make a cycle with one DAQ (or raw) file and the metadata that belongs to it."""
    experiment, period, run_name, datatype, _ = key.split("-")
    place = folder / "generated/tier" / tier / datatype / period / run_name
    place.mkdir(parents=True)
    suffixes = "".join(source.suffixes) if tier == "daq" else "-tier_raw.lh5"
    shutil.copy(source, place / f"{key}{suffixes[suffixes.rfind('.fcio') if '.fcio' in suffixes else 0 :]}")
    (folder / "config.json").write_text(json.dumps({"setups": {experiment: {"paths": {"tier": "$_/generated/tier"}}}}))
    entries = {
        name: {"name": name, "system": entry.get("system", "geds"), "daq": {"rawid": entry["rawid"]}}
        for name, entry in channels.items()
    }
    status = {name: {"processable": True, "usability": "on"} for name in channels}
    for place_name, content in (
        ("hardware/configuration/channelmaps", entries),
        ("datasets/statuses", status),
        ("dataprod/config", {}),
    ):
        target = folder / "inputs" / place_name
        target.mkdir(parents=True)
        (target / "validity.yaml").write_text(yaml.safe_dump([{"valid_from": START, "apply": ["config.yaml"]}]))
        (target / "config.yaml").write_text(yaml.safe_dump(content))
    return SmallCycle(folder, key)


@pytest.fixture
def cycle_of(tmp_path: Path) -> Callable[..., SmallCycle]:
    """Makes a cycle around a file: ``cycle_of(source, key, channels)``."""

    def made(source: Path, key: str, channels: Channels, tier: str = "daq", name: str = "cycle") -> SmallCycle:
        return make_cycle(tmp_path / name, source, key, channels, tier)

    return made


@pytest.fixture(scope="session")
def sources() -> Mapping[str, Nuclide]:
    """The table of sources that is shipped."""
    return Sources.read(yaml.safe_load((shipped_folder("pars_hit_ecal") / "sources.yaml").read_text())).nuclides


@pytest.fixture(scope="session")
def th228(sources: Mapping[str, Nuclide]) -> Source:
    """The lines of 228Th."""
    return source_of(Settings(energy_params=("cuspEmax",)), sources)


TH228_KEY = "ts1-p01-r000-cal-20180925T093000Z"


@pytest.fixture(scope="session")
def th228_cycle(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallCycle:
    """The real 228Th file of one detector, processed from DAQ file to events."""
    folder = tmp_path_factory.mktemp("th228") / "cycle"
    cycle = make_cycle(folder, shared_data / "fcio/th228.fcio", TH228_KEY, {"V00001A": {"rawid": 0}})
    cycle.run(*TO_EVENTS, *FIGURES)
    return cycle


@pytest.fixture(scope="session")
def gebox_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DAQ files of the simulated experiment with few events in ``daq``, its metadata in ``inputs``."""
    from gebox.experiment import build
    from gebox.metadata.tree import write_tree
    from gebox.simulate import simulate

    folder = tmp_path_factory.mktemp("gebox")
    experiment = build(seed=7, scale=0.02)
    write_tree(experiment, folder / "inputs")
    simulate(experiment, folder / "daq", folder / "truth")
    return folder


@pytest.fixture
def gebox_cycle(gebox_data: Path, tmp_path: Path) -> Callable[..., SmallCycle]:
    """Makes a cycle around some DAQ files of the simulated experiment: ``gebox_cycle("cycle", *keys)``."""

    return lambda name, *keys: cycle_around(gebox_data, tmp_path / name, *keys)


def cycle_around(gebox_data: Path, folder: Path, *keys: str) -> SmallCycle:
    """Make a cycle around some DAQ files of the simulated experiment."""
    shutil.copytree(gebox_data / "inputs", folder / "inputs")
    for key in keys:
        (source,) = (gebox_data / "daq").rglob(f"{key}.fcio")
        target = folder / "generated/tier/daq" / source.relative_to(gebox_data / "daq")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    setup = {"paths": {"tier": "$_/generated/tier"}}
    (folder / "config.json").write_text(json.dumps({"setups": {"l200": setup}}))
    return SmallCycle(folder, keys[0])
