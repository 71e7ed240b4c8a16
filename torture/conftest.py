"""The campaign of ``make torture``: what it works on, how large it is, and where its figures go.

Sizes are environment variables: ``TORTURE_DAQ``, ``TORTURE_CONFIGS``, ``TORTURE_KILLS``; ``TORTURE_SEED`` decides
everything that is drawn, ``TORTURE_FIGURES`` names a file that gets a line of JSON from each campaign.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

SCALE = 0.005
SEED = int(os.environ.get("TORTURE_SEED", "1"))
EXPERIMENT = "l200"


def size(name: str, default: int) -> int:
    """How many cases a campaign has: ``TORTURE_<NAME>``, else the default."""
    return int(os.environ.get(f"TORTURE_{name}", default))


@dataclass(frozen=True)
class Experiment:
    """A simulated experiment: metadata and DAQ files.

    Attributes
    ----------
    metadata, daq
        The two trees.
    """

    metadata: Path
    daq: Path

    def file(self, datatype: str = "cal") -> Path:
        """The first DAQ file of a datatype."""
        return sorted((self.daq / datatype).rglob("*.*"))[0]


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """A few hundred events in six FlashCam files."""
    return simulated(tmp_path_factory.mktemp("experiment"))


def simulated(folder: Path, form: str = "fcio", scale: float = SCALE) -> Experiment:
    """Simulate a small experiment into a folder."""
    from gebox.experiment import build, load
    from gebox.metadata import write_tree
    from gebox.simulate import simulate

    write_tree(build(seed=SEED, scale=scale, preset="small"), folder / "inputs")
    simulate(load(folder / "inputs", scale=None), folder / "daq", folder / "truth", jobs=1, only="", form=form)
    return Experiment(folder / "inputs", folder / "daq")


def bare_cycle(folder: Path, experiment: Experiment, *sources: Path) -> Path:
    """A cycle's configuration, metadata and some DAQ files, as jobs need them; returns the configuration file."""
    folder.mkdir(parents=True)
    shutil.copytree(experiment.metadata, folder / "inputs")
    for source in sources:
        place = folder / "generated/tier/daq" / source.relative_to(experiment.daq)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
    config = folder / "config.json"
    config.write_text(json.dumps({"setups": {EXPERIMENT: {"paths": {"tier": "$_/generated/tier"}}}}))
    return config


Note = Callable[..., None]


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Note:
    """Writes down how a campaign went: ``figures(cases=…, refused=…)``."""
    began = datetime.now(UTC)

    def note(**numbers: object) -> None:
        seconds = round((datetime.now(UTC) - began).total_seconds(), 1)
        facts = {"campaign": request.node.name, "date": f"{began:%Y-%m-%d}", "seconds": seconds, "seed": SEED}
        line = json.dumps(facts | {"machine": f"{os.cpu_count()} cores, {platform.machine()}"} | numbers)
        print(line)
        if place := os.environ.get("TORTURE_FIGURES"):
            with Path(place).open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    return note
