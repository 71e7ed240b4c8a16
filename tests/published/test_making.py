"""Making a cycle of a published flow: the configuration that it reads, the metadata that it asks for."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..control.conftest import GitRepository, ProdEnv, git
from .standin import CONFIG, flow_files, simulation_files


def changed(before: str, after: str) -> list[str]:
    """The lines that differ."""
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


def origin(cycle: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((cycle / "dataflow/.origin.json").read_text())
    return found


def test_its_own_configuration_gets_the_paths_of_a_cycle(prodenv: ProdEnv, git_repository: GitRepository) -> None:
    cycle = prodenv.cycle("c", "--dataflow", f"{git_repository('flow', flow_files())}@v1")
    assert changed(CONFIG, (cycle / "dataflow-config.yaml").read_text()) == [
        "- legend_metadata_version: v1.4.1",
        "+ # legend_metadata_version: v1.4.1",
        "-   tier_daq: $_/daq",
        "+   tier_daq: $_/generated/tier/daq",
        "-   install: $_/.snakemake/theirs/venv",
        "+   install: $_/software/python/install",
    ]
    assert [path.name for path in cycle.glob("*config.*")] == ["dataflow-config.yaml"], "simulation flows take any"
    assert (cycle / "workflow").readlink() == Path("dataflow/workflow")
    assert (cycle / "workflow/profiles/default/config.yaml").is_file()


def test_our_own_cycles_have_one_file_that_looks_like_a_configuration(prodenv: ProdEnv) -> None:
    assert [path.name for path in prodenv.cycle("c").glob("*config.*")] == ["config.json"]


def test_a_name_of_the_site_stands_for_an_address(
    prodenv: ProdEnv, git_repository: GitRepository, tmp_path: Path
) -> None:
    source = git_repository("flow", flow_files(), {"README": "second"})
    site = tmp_path / "site.yaml"
    site.write_text(f"dataflows: {{legend-dataflow: {source.as_uri()}}}\n")
    words = ("dataprod-init-cycle", "c", "--dataflow", "legend-dataflow@v1")
    done = prodenv.run(*words, environ={"PRODENV_SITE": str(site), "GIT_ALLOW_PROTOCOL": "file"})
    assert done.returncode == 0, done.stderr
    assert origin(prodenv.root / "c") == {
        "source": source.as_uri(),
        "kind": "git",
        "asked_for": "v1",
        "revision": git(source, "rev-parse", "v1"),
        "version": "v1",
    }
    assert git(prodenv.root / "c/dataflow", "status", "--porcelain") == ""
    missing = prodenv.run("dataprod-init-cycle", "d", "--dataflow", "legend-datafow")
    assert missing.returncode == 2
    assert "legend-dataflow, legend-dataflow-hades, legend-simflow" in missing.stderr


@pytest.mark.parametrize("revision", ["", "@v1"])
def test_a_repository_without_a_working_tree_is_cloned(
    revision: str, prodenv: ProdEnv, git_repository: GitRepository, tmp_path: Path
) -> None:
    source = git_repository("flow", flow_files(), {"README": "second"})
    bare = tmp_path / "flow.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(source), str(bare))
    cycle = prodenv.cycle("c", "--dataflow", f"{bare}{revision}")
    assert (cycle / "dataflow/README").exists() is (revision == "")
    assert git(cycle / "dataflow", "rev-parse", "HEAD") == git(source, "rev-parse", revision[1:] or "v2")
    assert origin(cycle)["source"] == str(bare)
    assert (cycle / "dataflow-config.yaml").is_file()


def test_metadata_become_what_the_flow_and_its_reader_want(prodenv: ProdEnv, tmp_path: Path) -> None:
    flow, metadata = tmp_path / "flow", tmp_path / "metadata"
    for folder, files in ((flow, flow_files()), (metadata, {"datasets/run_override.yaml": "[]\n", "x.yaml": "1\n"})):
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    done = prodenv.run("dataprod-init-cycle", "c", "--dataflow", flow, "--metadata", metadata)
    assert done.returncode == 0, done.stderr
    inputs = prodenv.root / "c/inputs"
    assert git(inputs, "describe", "--tags", "--match=v[0-9]*[0-9]*[0-9]*") == "v1.0.0"
    assert git(inputs, "status", "--porcelain") == ""
    nothing = {"category": "all", "mode": "reset", "apply": [], "valid_from": "20000101T000000Z"}
    assert yaml.safe_load((inputs / "datasets/run_override.yaml").read_text()) == [nothing]
    assert yaml.safe_load((inputs / "dataprod/overrides/dsp/validity.yaml").read_text()) == [nothing]
    (pht,) = yaml.safe_load((inputs / "dataprod/overrides/pht/validity.yaml").read_text())
    (name,) = pht["apply"]
    assert name.endswith("-par_pht-overwrite.yaml")
    assert yaml.safe_load((inputs / "dataprod/overrides/pht" / name).read_text()) == {}
    assert (inputs / "x.yaml").read_text() == "1\n"
    assert (metadata / "datasets/run_override.yaml").read_text() == "[]\n", "what was given is not written to"
    for said in ("inputs is a git repository now", "has the tag v1.0.0 now", "v1.4.1 is commented out"):
        assert said in done.stdout


def test_metadata_in_order_stay_as_they_are(prodenv: ProdEnv, git_repository: GitRepository) -> None:
    flow = git_repository("flow", flow_files())
    overrides = ("raw", "dsp", "hit", "psp", "pht", "evt", "pet")
    entry = "- {valid_from: 20230101T000000Z, apply: [a-par-overwrite.yaml]}\n"
    files = {f"dataprod/overrides/{tier}/validity.yaml": entry for tier in overrides}
    files |= {f"datasets/{name}.yaml": entry for name in ("run_override", "runinfo", "runlists", "cal_groupings")}
    metadata = git_repository("metadata", files | {"datasets/ignored_daq_cycles.yaml": "removed: []\n"})
    git(metadata, "tag", "v1.4.1")
    cycle = prodenv.cycle("c", "--dataflow", flow, "--metadata", f"{metadata}@v1.4.1")
    assert git(cycle / "inputs", "status", "--porcelain") == ""
    assert git(cycle / "inputs", "tag").splitlines() == ["v1", "v1.4.1"]
    assert "# legend_metadata_version" in (cycle / "dataflow-config.yaml").read_text(), "the user has chosen"
    other = prodenv.cycle("d", "--dataflow", flow, "--metadata", metadata)
    assert "\nlegend_metadata_version: v1.4.1\n" in (other / "dataflow-config.yaml").read_text()


def test_a_simulation_cycle_is_made_with_the_data_that_it_is_compared_with(
    prodenv: ProdEnv, git_repository: GitRepository
) -> None:
    data = prodenv.cycle("data")
    source = git_repository("simflow", simulation_files())
    done = prodenv.run("simprod-init-cycle", "sim", "--simflow", f"{source}@v1", "--l200data", "data")
    assert done.returncode == 0, done.stderr
    cycle = prodenv.root / "sim"
    assert yaml.safe_load((cycle / "simflow-config.yaml").read_text())["paths"] == {
        "generated": "$_/generated",
        "src": "$_/software/python/src",
        "install": "$_/software/python/install",
        "l200data": str(data),
        "metadata": "$_/inputs",
        "tier": {"stp": "$_/generated/tier/stp"},
    }
    shown = json.loads(prodenv.run("dataprod", "show", "sim", "--json").stdout)
    assert (shown["flow"], shown["experiment"]) == ("unknown", "l200cfg09")
    ours = prodenv.run("simprod-init-cycle", "other", "--simflow", "builtin")
    assert (ours.returncode, "is not a simulation workflow" in ours.stderr) == (2, True)
    assert not (prodenv.root / "other").exists()


def test_what_would_be_made_is_said(prodenv: ProdEnv, git_repository: GitRepository) -> None:
    source = git_repository("flow", flow_files())
    done = prodenv.run("dataprod-init-cycle", "c", "--dataflow", source, "--dry-run")
    assert "dataflow-config.yaml  as the dataflow brings it" in done.stdout
    assert not (prodenv.root / "c").exists()


def test_a_clone_of_the_flow_itself_is_a_cycle(prodenv: ProdEnv, git_repository: GitRepository) -> None:
    """A running production: the repository with its configuration at its top."""
    source = git_repository("flow", flow_files())
    git(prodenv.root, "clone", "--quiet", str(source), "running")
    environ = {"PRODENV": str(prodenv.root)}
    cycles = json.loads(prodenv.run("dataprod", "list", "--json", environ=environ).stdout)["cycles"]
    assert [(cycle["name"], cycle["state"], cycle["problem"]) for cycle in cycles] == [("running", "no software", "")]
    shown = json.loads(prodenv.run("dataprod", "show", "running", "--json", environ=environ).stdout)
    assert shown["sources"]["dataflow"]["path"] == str(prodenv.root / "running")
    assert shown["sources"]["dataflow"]["revision"] == git(source, "rev-parse", "HEAD")
