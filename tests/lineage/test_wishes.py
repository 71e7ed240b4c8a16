"""Software that the configuration asks for and that is not installed is told by whoever looks, and refused by a run."""

from __future__ import annotations

import json
import shutil

import pytest

from dataflow.plan.workflow import Workflow
from dataflow.setup.wishes import not_installed
from prodenv.cycles.doctor.cycle import examine
from prodenv.cycles.find import CycleFolder

from ..workflow.conftest import Production
from .conftest import Origin
from .test_survey import produce
from .test_truth import TARGET, verb_of

LOCK = {
    "form": 1,
    "packages": [
        {"name": "dspeed", "version": "2.4.3", "hashes": []},
        {"name": "legend-pydataobj", "version": "1.17.0rc1", "hashes": []},
        {"name": "pygama", "address": "git+https://example.org/legend/pygama.git@0123456789abcdef"},
    ],
    "checkouts": [{"name": "pylegendmeta", "path": "software/python/src/pylegendmeta"}],
}


def said(origin: Origin, **wishes: str) -> str:
    """The sentence about some wishes, empty if there is none."""
    origin.write("software/python/software-lock.json", json.dumps(LOCK))
    origin.config["pkg_versions"] = {name.replace("_", "-"): wish for name, wish in wishes.items()}
    found = not_installed(origin.open().setup)
    return found.message if found else ""


@pytest.mark.parametrize(
    "wish", ["2.4.2", "==2.4.2", "dspeed==2.4.2", "<2.4", "dspeed ~= 2.5.0", "git+https://example.org/dspeed.git@main"]
)
def test_another_version_is_told(origin: Origin, wish: str) -> None:
    assert "2.4.3 is installed" in said(origin, dspeed=wish)


def test_what_is_not_installed_at_all_is_told(origin: Origin) -> None:
    assert "legend-dataflow==1.0 is asked for, and is not installed" in said(origin, legend_dataflow="1.0")
    assert "example.org" in said(origin, pygama="git+https://elsewhere.org/pygama.git@main")


@pytest.mark.parametrize(
    ("name", "wish"),
    [
        ("dspeed", "2.4.3"),
        ("dspeed", ">=2.4"),
        ("Dspeed", "dspeed>=2.4,<3"),
        ("legend-pydataobj", ">=1.16"),
        ("legend_pydataobj", "1.17.0rc1"),
        ("pygama", "git+https://example.org/legend/pygama.git@main"),
        ("pygama", "pygama @ git+https://example.org/legend/pygama@feature/x"),
        ("pygama", "2.6.2"),
        ("pylegendmeta", "1.0"),
        ("numpy", "numpy==1.0 ; python_version < '3'"),
        ("dspeed", "no requirement: at all"),
    ],
)
def test_what_is_installed_or_cannot_be_told_is_not_mentioned(origin: Origin, name: str, wish: str) -> None:
    assert said(origin, **{name: wish}) == ""


def test_without_a_lock_nothing_is_said(origin: Origin) -> None:
    origin.config["pkg_versions"] = {"dspeed": "2.4.2"}
    shutil.rmtree(origin.root / "software")
    assert not_installed(origin.open().setup) is None


def test_the_verbs_say_it_and_a_run_refuses(origin: Origin, capfd: pytest.CaptureFixture[str]) -> None:
    origin.save()
    produce(origin)
    verb = verb_of(origin.root, capfd)
    assert json.loads(verb("status", "--json")[1])["warnings"] == []
    origin.config["pkg_versions"] = {"dspeed": "2.4.2"}
    config = origin.save()
    for words in (("status",), ("plan", TARGET), ("run", TARGET, "--dry-run")):
        code, out, _ = verb(*words)
        assert code == 0 and out.count("warning: ") == 1
        assert "dspeed==2.4.2 is asked for, and 2.4.3 is installed" in out and "dataprod-install-sw" in out
    code, out, err = verb("run", TARGET)
    assert (code, out) == (2, "") and f"hint: run dataprod-install-sw {config}" in err


def test_snakemake_refuses_other_software_and_only_warns_in_a_dry_run(production: Production) -> None:
    production.made(TARGET)
    production.tree.write("software/python/software-lock.json", json.dumps(LOCK))
    production.tree.config["pkg_versions"] = {"dspeed": "2.4.2"}
    production.tree.save()
    result = production.run(TARGET)
    assert result.returncode == 2 and "error: the installed software is not what pkg_versions" in result.stderr
    assert "hint: run dataprod-install-sw" in result.stderr and "Traceback" not in result.stderr
    result = production.run(TARGET, "-n")
    assert result.returncode == 0 and "warning: the installed software is not" in result.stderr
    production.tree.write("software/python/software-lock.json", "{")
    assert "is not a lock of an installation" in production.run(TARGET).stderr


def test_unlocking_needs_no_software(origin: Origin) -> None:
    origin.config["pkg_versions"] = {"dspeed": "2.4.2"}
    assert Workflow(origin.save()).targets(["--unlock"]) == []


def test_a_doctor_names_the_version(origin: Origin) -> None:
    python = origin.write("software/python/install/bin/python", "#!/bin/sh\n")
    python.chmod(0o755)
    origin.config["pkg_versions"] = {"dspeed": "2.4.2"}
    config = origin.save()
    found = [finding for finding in examine(CycleFolder(origin.root, config)) if finding.area == "software"]
    assert [finding.state for finding in found] == ["warning"]
    assert "2.4.3 is installed" in found[0].what and found[0].fix.startswith("dataprod-install-sw")
