"""All SiPMs of the simulated experiment, from the DAQ file to photo-electrons, beside the truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dataflow.jobs.runner import run
from dataflow.plan import open_cycle
from gebox.checklight import NOISE, QUANTITIES, Sipm, compare, report
from gebox.experiment import build
from gebox.metadata.tree import write_tree
from gebox.simulate import write_file
from gebox.truth import run_path, write_run

EVENTS = 1800
STEPS = ("tier_raw", "tier_tcm", "par_dsp_spms", "tier_dsp", "par_hit_spms")


@pytest.fixture(scope="module")
def cycle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A physics run of the full experiment, twice as long as usual, of which the SiPMs are processed."""
    folder = tmp_path_factory.mktemp("sipms")
    experiment = build(seed=5, preset="full")
    write_tree(experiment, folder / "inputs")
    without_germanium(folder / "inputs", [detector.name for detector in experiment.layout.detectors])
    setup = {"paths": {"tier": "$_/generated/tier"}, "allow_none_par": True}
    (folder / "config.json").write_text(json.dumps({"setups": {"l200": setup}}))
    file = replace(next(file for file in experiment.files if file.datatype == "phy"), events=EVENTS)
    write_file(experiment, folder / "generated/tier/daq", folder / "truth", file)
    noise = {detector.name: 1.0 for detector in experiment.layout.detectors}
    write_run(experiment, folder / "truth", (file.period, file.run), noise, {})
    for step in STEPS:
        run(open_cycle(folder / "config.json").job(step, file.key), 1)
    return folder


def without_germanium(inputs: Path, names: list[str]) -> None:
    """The status of the germanium detectors says that they are not processed."""
    for path in (inputs / "datasets/statuses").glob("*-config.yaml"):
        statuses = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump(statuses | {name: {"processable": False} for name in names}))


@pytest.fixture(scope="module")
def found(cycle: Path) -> dict[str, Sipm]:
    return {each.name: each for each in compare(cycle)}


@pytest.mark.parametrize("name", ["S001", "S002", "S003", "S004"])
def test_the_scale_of_each_channel_is_within_two_percent_of_the_truth(found: dict[str, Sipm], name: str) -> None:
    gain, error, true, _ = found[name].values["gain"]
    assert error / true < 0.007
    assert gain == pytest.approx(true, rel=0.02)


@pytest.mark.parametrize("quantity", [*QUANTITIES, NOISE])
def test_each_quantity_of_each_channel_agrees_with_the_truth(found: dict[str, Sipm], quantity: str) -> None:
    assert len(found) == 4
    assert all(abs(each.pulls()[quantity]) < 3 for each in found.values())


def test_what_stands_in_the_parameter_file_is_what_was_compared(cycle: Path, found: dict[str, Sipm]) -> None:
    (path,) = (cycle / "generated/par/hit/phy").rglob("*-par_hit_spms.yaml")
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    (true,) = (cycle / "truth").glob("*-truth.yaml")
    assert true == run_path(cycle / "truth", "p03", "r000")
    assert {name: entry["results"]["spms"]["gain"] for name, entry in content.items()} == {
        name: each.values["gain"][0] for name, each in found.items()
    }
    assert report(list(found.values()), limit=3) == 0
