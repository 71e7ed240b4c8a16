"""The published flows themselves, from local git repositories that environment variables name.

Each test installs from the package index, which takes minutes. Without its variable it is skipped:

    PUBLISHED_DATAFLOW=…/legend-dataflow PUBLISHED_HADES=… PUBLISHED_SIMFLOW=… pytest tests/published/test_real.py
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from ..production.conftest import Environment, environment, places  # noqa: F401 - fixtures
from . import hades
from .comparing import differences, in_both
from .metadata import write_parameters, write_published

pytestmark = pytest.mark.production
RUNS = {
    "cal/p03/r000": ("l200-p03-r000-cal-20240301T080000Z", "l200-p03-r000-cal-20240301T090000Z"),
    "phy/p03/r000": ("l200-p03-r000-phy-20240301T140000Z",),
}


def repository_of(variable: str) -> Path:
    """The repository that a variable names; the test is skipped where it names none."""
    folder = os.environ.get(variable, "")
    if not folder:
        pytest.skip(f"{variable} names no local git repository of the published flow")
    return Path(folder)


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    """Metadata of the simulated experiment, configured for the published flow."""
    from gebox.experiment import build
    from gebox.metadata.tree import write_tree

    write_tree(build(seed=1, scale=0.02), tmp_path / "metadata")
    write_published(tmp_path / "metadata")
    return tmp_path / "metadata"


def made(environment: Environment, place: Path, source: str, metadata: Path) -> Path:  # noqa: F811
    """A new cycle with the published flow; returns its configuration."""
    words = ("--dataflow", source, "--metadata", metadata)
    environment.run("dataprod-init-cycle", place.relative_to(environment.root), *words)
    return place / "dataflow-config.yaml"


def configure(config: Path, **paths: Path) -> None:
    text = config.read_text()
    for name, path in paths.items():
        text = re.sub(rf"^  {name}: .*$", f"  {name}: {path}", text, flags=re.MULTILINE)
    config.write_text(text)


def planned(environment: Environment, cycle: Path, target: str) -> dict[str, int]:  # noqa: F811
    """The jobs of a dry run by rule."""
    done = environment.run("dataprod", "run", cycle, target, "--dry-run", "-j", 8)
    rows = re.findall(r"^(\S+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE)
    return {name: int(count) for name, count in rows}


@pytest.mark.parametrize(("revision", "wishes"), [("@v2.2.2", {}), ("", {"legend-dataflow-scripts": "0.4.0a4"})])
def test_the_flow_plans_all_tiers(
    revision: str,
    wishes: dict[str, str],
    environment: Environment,  # noqa: F811
    places: Path,  # noqa: F811
    metadata: Path,
) -> None:
    source = repository_of("PUBLISHED_DATAFLOW")
    cycle = places / f"theirs{revision[1:]}"
    config = made(environment, cycle, f"{source}{revision}", metadata)
    if wishes:
        config.write_text(config.read_text() + yaml.safe_dump({"pkg_versions": wishes}))
    environment.run("dataprod-install-sw", config)
    for folder, keys in RUNS.items():
        for key in keys:
            raw = cycle / f"generated/tier/raw/{folder}/{key}-tier_raw.lh5"
            raw.parent.mkdir(parents=True, exist_ok=True)
            raw.touch()
    assert planned(environment, cycle, "all-l200-p03-r000-cal-hit.gen")["build_hit"] == 2
    assert planned(environment, cycle, "all-l200-p03-r000-phy-evt.gen")["build_evt"] == 1
    assert planned(environment, cycle, "all-l200-p03-r000-cal-pht.gen")["build_pht"] == 2
    skm = planned(environment, cycle, "all-l200-p03-r000-phy-skm.gen")
    assert (skm["build_pet"], skm["build_skm"]) == (1, 1)
    assert json.loads(environment.run("dataprod", "show", cycle, "--json").stdout)["flow"] == "unknown"


def test_its_tiers_are_ours(environment: Environment, places: Path, metadata: Path, tmp_path: Path) -> None:  # noqa: F811
    """The same raw files, configuration and parameters give the same tcm, dsp and hit, dataset by dataset."""
    source = repository_of("PUBLISHED_DATAFLOW")
    write_parameters(tmp_path / "par", metadata)
    mine, theirs = places / "mine", places / "theirs-real"
    environment.run("dataprod-init-cycle", mine.relative_to(environment.root), "--metadata", metadata)
    simulate(metadata, mine)
    ours = mine / "config.json"
    text = ours.read_text()
    for tier in ("dsp", "hit"):
        text = text.replace(f'"$_/generated/par/{tier}"', f'"{tmp_path}/par/{tier}"')
    ours.write_text(text)
    environment.run("dataprod-install-sw", ours)
    target = "all-l200-p03-r000-cal-{}.gen"
    environment.run("dataprod", "run", mine, target.format("hit"), target.format("tcm"), "-j", 2)

    config = made(environment, theirs, f"{source}@v2.2.2", metadata)
    configure(config, par_dsp=tmp_path / "par/dsp", par_hit=tmp_path / "par/hit")
    ours_raw, theirs_raw = (cycle / "generated/tier/raw" for cycle in (mine, theirs))
    shutil.copytree(ours_raw, theirs_raw, ignore=shutil.ignore_patterns(".lineage"))
    environment.run("dataprod-install-sw", config)
    for tier in ("hit", "tcm"):
        environment.run("dataprod", "run", theirs, target.format(tier), "-j", 2)
    compared = 0
    for one, other in pairs(mine, theirs):
        assert list(differences(one, other)) == [], one.name
        compared += len(in_both(one, other))
    assert compared > 100


def pairs(mine: Path, theirs: Path) -> Iterator[tuple[Path, Path]]:
    for tier in ("tcm", "dsp", "hit"):
        for key in RUNS["cal/p03/r000"]:
            name = f"generated/tier/{tier}/cal/p03/r000/{key}-tier_{tier}.lh5"
            yield mine / name, theirs / name


def simulate(metadata: Path, cycle: Path) -> None:
    """DAQ files of one calibration run."""
    from gebox.experiment import build
    from gebox.simulate import simulate as simulated

    simulated(build(seed=1, scale=0.02), cycle / "generated/tier/daq", cycle / "truth", only="p03-r000-cal")


def test_the_flow_of_hades_makes_dsp(environment: Environment, places: Path) -> None:  # noqa: F811
    """From a test stand's FlashCam file, simulated, over its decay constant and filters; compared with the truth."""
    import h5py

    source = repository_of("PUBLISHED_HADES")
    cycle = places / "hades"
    environment.run("dataprod-init-cycle", cycle.relative_to(environment.root), "--dataflow", source)
    hades.write_hades(cycle / "inputs/dataprod/config")
    config = cycle / "dataflow-config.yaml"
    config.write_text(config.read_text() + hades.PACKAGES)
    environment.run("dataprod-install-sw", config)
    tau, gain = hades.write_file(cycle / "generated/tier/daq", events=12_000)
    target = f"all-char_data-{hades.DETECTOR}-{hades.MEASUREMENT}-r001-dsp.gen"
    jobs = planned(environment, cycle, target)
    assert (jobs["build_raw"], jobs["build_pars_dsp_eopt_geds"], jobs["build_dsp"]) == (1, 1, 1)
    environment.run("dataprod", "run", cycle, target, "-j", 1)
    place = f"{hades.DETECTOR}/{hades.MEASUREMENT}/{hades.KEY}"
    pars = yaml.safe_load((cycle / f"generated/par/dsp/{place}-par_dsp.yaml").read_text())
    assert float(pars["pz"]["tau1"].removesuffix("*ns")) == pytest.approx(tau, rel=0.003)
    with h5py.File(cycle / f"generated/tier/dsp/{place}-tier_dsp.lh5") as file:
        for name in ("cuspEmax", "trapEmax", "zacEmax"):
            energies = gain * file[f"dsp/{name}"][:]
            line = energies[np.abs(energies - 2614.5) < 10]
            assert len(line) > 200
            assert np.median(line) == pytest.approx(2614.5, abs=1.0), "charge is trapped on the way"


ONLY_NEWER = """
pkg_versions:
  snakemake-argparse-bridge: "snakemake-argparse-bridge ; python_version >= '3.12'"
"""
"""A package that older Pythons have not, and that only its programs need, not the plan."""


def test_a_simulation_cycle_plans_with_our_data(environment: Environment, places: Path, tmp_path: Path) -> None:  # noqa: F811
    """Its own small metadata, and a cycle of ours in the place of the experiment's data."""
    source = repository_of("PUBLISHED_SIMFLOW")
    environment.run("git", "clone", "--quiet", source, tmp_path / "simflow")
    data, cycle = places / "l200data", places / "sim"
    environment.run("dataprod-init-cycle", data.relative_to(environment.root))
    (data / "generated/tier/hit").mkdir(parents=True)
    words = ("--simflow", source, "--l200data", data, "--metadata", tmp_path / "simflow/tests/dummyprod/inputs")
    environment.run("simprod-init-cycle", cycle.relative_to(environment.root), *words)
    config = cycle / "simflow-config.yaml"
    text = re.sub(
        r"^experiment: .*$", "experiment: legend\nrunlist: [l200-p02-r000-phy]", config.read_text(), flags=re.M
    )
    config.write_text(text.replace("l200a-optical-map-lar", "map") + ONLY_NEWER)
    (cycle / "inputs/simprod/map.lh5").touch()
    done = environment.run("dataprod-install-sw", config)
    assert "steps that are possible here: vtx, " in done.stdout
    jobs = planned(environment, cycle, "all")
    assert jobs["build_tier_stp"] == jobs["build_tier_hit"] == jobs["build_tier_evt"] > 0
    assert jobs["total"] > 300
