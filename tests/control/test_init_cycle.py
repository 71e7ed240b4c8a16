"""Making a production cycle: all of it or nothing."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from dataflow.setup.config import read_config
from dataflow.setup.schema import PATHS

from .conftest import GitRepository, ProdEnv, git

LAYOUT = ["config.json", "dataflow", "generated", "inputs", "software"]


def everything_below(root: Path) -> list[Path]:
    found = (path.relative_to(root) for path in root.rglob("*") if "__pycache__" not in path.parts)
    return sorted(path for path in found if path.parts[:2] != ("tools", "cache"))


def test_the_layout_is_the_documented_one(prodenv: ProdEnv) -> None:
    cycle = prodenv.cycle("cycles/v01")
    assert sorted(entry.name for entry in cycle.iterdir()) == LAYOUT
    assert sorted(entry.name for entry in (cycle / "generated").iterdir()) == ["log", "par", "plt", "tier", "tmp"]
    assert (cycle / "dataflow" / "Snakefile").is_file() or (cycle / "dataflow" / "workflow").is_dir()


def test_the_config_is_complete_and_in_the_collaborations_form(prodenv: ProdEnv) -> None:
    cycle = prodenv.cycle("cycles/v01")
    content = json.loads((cycle / "config.json").read_text())["setups"]["l200"]
    assert {"paths", "execenv", "table_format", "pkg_versions"} <= set(content)
    assert content["paths"]["tier_raw"] == "$_/generated/tier/raw"
    setup = read_config(cycle / "config.json")
    assert set(content["paths"]) <= set(PATHS)
    assert all(path.is_relative_to(cycle) for path in setup.paths.values())


def test_setup_and_scheme_are_options(prodenv: ProdEnv) -> None:
    setup = read_config(prodenv.cycle("c", "--setup", "char_data", "--scheme", "teststand") / "config.json")
    assert (setup.experiment, setup.keys, setup.table_format["raw"]) == ("char_data", "teststand", "raw")


def test_the_dataflow_is_a_repository_of_its_own_with_its_origin(prodenv: ProdEnv) -> None:
    cycle = prodenv.cycle("c")
    origin = json.loads((cycle / "dataflow" / ".origin.json").read_text())
    assert origin["source"] == "builtin"
    assert git(cycle / "dataflow", "rev-list", "--count", "HEAD") == "1"
    assert git(cycle / "dataflow", "status", "--porcelain") == ""
    assert git(cycle / "dataflow", "rev-parse", "--show-toplevel") == str((cycle / "dataflow").resolve())


def test_the_origin_records_revision_and_changes_of_the_environment(prodenv: ProdEnv) -> None:
    (prodenv.root / ".gitignore").write_text("/tools/\n/c*/\n__pycache__/\n/dataflow/scratch\n")
    git(prodenv.root, "init", "--quiet")
    git(prodenv.root, "add", "--all")
    git(prodenv.root, "-c", "user.name=T", "-c", "user.email=t@t", "commit", "--quiet", "-m", "1")
    clean = json.loads((prodenv.cycle("c1") / "dataflow/.origin.json").read_text())
    assert (clean["revision"], clean["dirty"]) == (git(prodenv.root, "rev-parse", "HEAD"), False)
    (prodenv.root / "dataflow" / "scratch").write_text("ignored")
    (prodenv.root / "dataflow" / "pyproject.toml").write_text("changed")
    second = prodenv.cycle("c2")
    assert json.loads((second / "dataflow/.origin.json").read_text())["dirty"] is True
    assert (second / "dataflow/pyproject.toml").read_text() == "changed"
    assert not (second / "dataflow/scratch").exists()


def test_the_builtin_metadata_is_a_valid_empty_tree(prodenv: ProdEnv) -> None:
    inputs = prodenv.cycle("c") / "inputs"
    for file in inputs.rglob("*.yaml"):
        content = yaml.safe_load(file.read_text())
        entries = content if file.name == "validity.yaml" else []
        assert all((file.parent / name).is_file() for entry in entries for name in entry["apply"])
    tiers = {folder.parent.name for folder in inputs.glob("dataprod/overrides/*/validity.yaml")}
    assert {"raw", "dsp", "hit", "evt", "psp", "pht"} <= tiers


def test_sources_are_git_addresses_with_revisions(prodenv: ProdEnv, git_repository: GitRepository) -> None:
    metadata = git_repository("my meta", {"a.yaml": "1"}, {"a.yaml": "2"})
    flow = git_repository("flow", {"Snakefile": "1"}, {"Snakefile": "2"})
    cycle = prodenv.cycle("c", "--metadata", f"file://{metadata}@v1", "--dataflow", f"{flow}@v1")
    assert (cycle / "inputs" / "a.yaml").read_text() == "1"
    assert (cycle / "dataflow" / "Snakefile").read_text() == "1"
    assert git(cycle / "inputs", "rev-parse", "HEAD") == git(metadata, "rev-parse", "v1")


def test_a_local_path_is_taken_as_it_is(prodenv: ProdEnv, git_repository: GitRepository) -> None:
    metadata = git_repository("meta", {"a.yaml": "1"})
    (metadata / "a.yaml").write_text("changed")
    cycle = prodenv.cycle("c", "--metadata", metadata)
    assert (cycle / "inputs" / "a.yaml").read_text() == "changed"
    assert git(cycle / "inputs", "status", "--porcelain") == "M a.yaml"


@pytest.mark.parametrize(("umask", "open_ones"), [(0o002, True), (0o022, False)])
def test_what_is_copied_is_as_open_to_the_group_as_what_is_new(
    umask: int, prodenv: ProdEnv, tmp_path: Path, *, open_ones: bool
) -> None:
    """The group of a production that shares it changes metadata and dataflow as well, whoever brought them."""
    metadata, cycles = tmp_path / "metadata", prodenv.root / "cycles"
    (metadata / "datasets").mkdir(parents=True)
    (metadata / "datasets/runinfo.yaml").write_text("{}\n")
    (metadata / "datasets/runinfo.yaml").chmod(0o644)
    (metadata / "private.yaml").write_text("{}\n")
    (metadata / "private.yaml").chmod(0o600)
    cycles.mkdir()
    cycles.chmod(0o2775)
    before = os.umask(umask)
    try:
        cycle = prodenv.cycle("cycles/v01", "--metadata", metadata)
    finally:
        os.umask(before)
    private = cycle / "inputs/private.yaml"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    below = [path for path in (cycle, *cycle.rglob("*")) if path != private and "objects" not in path.parts]
    assert {bool(path.stat().st_mode & stat.S_IWGRP) for path in below} == {open_ones}
    assert not open_ones or all(path.stat().st_mode & stat.S_ISGID for path in below if path.is_dir())


def test_a_colleagues_repository_is_cloned(prodenv: ProdEnv, git_repository: GitRepository, tmp_path: Path) -> None:
    """One that git calls of dubious ownership, with a working tree and without."""
    source, bare = git_repository("theirs", {"a": "1"}), tmp_path / "theirs.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(source), str(bare))
    for place in (source, bare):
        subprocess.run(["chown", "-R", "12345:12345", place], check=os.getuid() == 0, capture_output=True)
    environ = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    for number, text in enumerate((f"{source}@v1", f"{bare}@v1", f"{bare}", bare.as_uri())):
        done = prodenv.run("dataprod-init-cycle", f"c{number}", "--metadata", text, environ=environ)
        assert done.returncode == 0, done.stderr
        assert (prodenv.root / f"c{number}/inputs/a").read_text() == "1"


def test_submodules_of_metadata_are_cloned(prodenv: ProdEnv, git_repository: GitRepository) -> None:
    inner, outer = git_repository("inner", {"x": "1"}), git_repository("outer", {"y": "1"})
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    git(outer, "-c", "user.name=T", "-c", "user.email=t@t", "commit", "--quiet", "-m", "sub")
    allow = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "protocol.file.allow", "GIT_CONFIG_VALUE_0": "always"}
    done = prodenv.run("dataprod-init-cycle", "c", "--metadata", f"file://{outer}", environ=allow)
    assert done.returncode == 0, done.stderr
    assert (prodenv.root / "c/inputs/sub/x").read_text() == "1"


def site_with(prodenv: ProdEnv, **software: Path) -> None:
    lines = [f"  {name}: {folder}" for name, folder in software.items()]
    (prodenv.root / "site.yaml").write_text("\n".join(["software:", *lines, ""]))


def test_c_clones_the_software_of_the_site(prodenv: ProdEnv, git_repository: GitRepository) -> None:
    site_with(prodenv, pygama=git_repository("pygama", {"p": "1"}), pyfcutils=git_repository("pyfcutils", {"q": "1"}))
    cycle = prodenv.cycle("c", "-c")
    assert sorted(entry.name for entry in (cycle / "software/python/src").iterdir()) == ["pyfcutils", "pygama"]


def test_software_by_name_and_source(prodenv: ProdEnv, git_repository: GitRepository) -> None:
    pygama, mine = git_repository("pygama", {"p": "1"}, {"p": "2"}), git_repository("mine", {"m": "1"})
    site_with(prodenv, pygama=pygama)
    options = ["-c", "--software", f"pygama={pygama}@v1", "--software", f"mine=file://{mine}"]
    src = prodenv.cycle("c", *options) / "software/python/src"
    assert (src / "pygama/p").read_text() == "1"
    assert (src / "mine/m").read_text() == "1"
    assert not any((prodenv.cycle("d", "-c", "--software", "pygama=builtin") / "software/python/src").iterdir())


def test_another_site_configuration_goes_before(
    prodenv: ProdEnv, git_repository: GitRepository, tmp_path: Path
) -> None:
    metadata = git_repository("site meta", {"a": "1"})
    (tmp_path / "site.yaml").write_text(f"sources:\n  metadata: '{metadata}'\n")
    environ = {"PRODENV_SITE": str(tmp_path / "site.yaml")}
    assert prodenv.run("dataprod-init-cycle", "c", environ=environ).returncode == 0
    assert (prodenv.root / "c/inputs/a").exists()


@pytest.mark.parametrize("option", ["--metadata", "--dataflow", "--software=bad"])
def test_a_failed_clone_leaves_nothing(option: str, prodenv: ProdEnv) -> None:
    before = everything_below(prodenv.root)
    name, _, _ = option.partition("=")
    source = "bad=file:///nowhere/at/all" if name == "--software" else "file:///nowhere/at/all"
    done = prodenv.run("dataprod-init-cycle", "new/deep/c", name, source)
    assert done.returncode == 1
    assert "error: cloning file:///nowhere/at/all failed" in done.stderr
    assert everything_below(prodenv.root) == before


def test_a_wrong_revision_leaves_nothing(prodenv: ProdEnv, git_repository: GitRepository) -> None:
    metadata = git_repository("meta", {"a": "1"})
    before = everything_below(prodenv.root)
    assert prodenv.run("dataprod-init-cycle", "c", "--metadata", f"{metadata}@v9").returncode == 1
    assert everything_below(prodenv.root) == before


def test_an_existing_cycle_is_refused_and_untouched(prodenv: ProdEnv) -> None:
    cycle = prodenv.cycle("c")
    (cycle / "config.json").write_text("mine")
    done = prodenv.run("dataprod-init-cycle", "c")
    assert done.returncode == 2
    assert "'c' exists already" in done.stderr
    assert (cycle / "config.json").read_text() == "mine"


@pytest.mark.parametrize("rpath", ["../outside", "/nowhere/outside", ".", "a/../..", "link/c"])
def test_a_path_outside_is_refused(rpath: str, prodenv: ProdEnv, tmp_path: Path) -> None:
    (prodenv.root / "link").symlink_to(tmp_path)
    done = prodenv.run("dataprod-init-cycle", rpath)
    assert done.returncode == 2
    assert "is not inside the production environment" in done.stderr


@pytest.mark.parametrize("rpath", ["bin/c", "tools/c", ".git/c", "dataflow/c", "torture/c"])
def test_the_environments_own_folders_are_refused(rpath: str, prodenv: ProdEnv) -> None:
    assert "a folder of the production environment itself" in prodenv.run("dataprod-init-cycle", rpath).stderr


def test_a_cycle_inside_a_cycle_is_refused(prodenv: ProdEnv) -> None:
    prodenv.cycle("c")
    assert "inside the cycle c" in prodenv.run("dataprod-init-cycle", "c/generated/d").stderr


def test_dry_run_says_what_and_writes_nothing(prodenv: ProdEnv) -> None:
    before = everything_below(prodenv.root)
    done = prodenv.run("dataprod-init-cycle", "c", "-c", "--dry-run")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("config.json", "dataflow/", "inputs/", "pygama", "generated/"))
    assert everything_below(prodenv.root) == before


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--metadata", "/nowhere"], "there is no folder '/nowhere'"),
        (["--software", "unknown"], "no source is known for the software 'unknown'"),
        (["--setup", "l-200"], "must be letters"),
        (["--dataflow", "https://host/a.git@"], "no valid revision"),
        (["--dataflow", "https://host/a.git@--upload-pack=x"], "no valid revision"),
    ],
)
def test_wrong_sources_are_sentences(options: list[str], sentence: str, prodenv: ProdEnv) -> None:
    done = prodenv.run("dataprod-init-cycle", "c", *options)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not (prodenv.root / "c").exists()


def test_what_a_dead_run_left_is_removed(prodenv: ProdEnv) -> None:
    import socket

    stale = prodenv.root / f".new-c-{socket.gethostname()}-999999999"
    stale.mkdir()
    prodenv.cycle("c")
    assert not stale.exists()


def test_git_settings_of_the_user_do_not_matter(prodenv: ProdEnv, tmp_path: Path) -> None:
    (tmp_path / "gitconfig").write_text("[commit]\n\tgpgsign = true\n[user]\n\tuseConfigOnly = true\n")
    environ = {"GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")}
    assert prodenv.run("dataprod-init-cycle", "c", environ=environ).returncode == 0
