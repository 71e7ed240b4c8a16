"""``dataprod doctor``: each ailment is named with the command that fixes it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prodenv.commands.doctor import _print
from prodenv.cycles.doctor.environment import WARNING, Finding

from ..plan.conftest import Tree
from .conftest import Box, Snapshot

Ailment = Callable[[Tree], object]


def findings(box: Box, *words: str) -> dict[str, tuple[str, str]]:
    """State and fixing command by sentence."""
    done = box.dataprod("doctor", *words, "--json")
    found = {each["what"]: (each["state"], each["fix"]) for each in json.loads(done.stdout)["findings"]}
    assert done.returncode == any(state == "bad" for state, _ in found.values())
    return found


def finding(box: Box, text: str, *words: str) -> tuple[str, str]:
    """State and fixing command of the first sentence that holds the text."""
    found = {what: rest for what, rest in findings(box, *words).items() if text in what}
    assert found
    return next(iter(found.values()))


def test_a_missing_variable_is_named_with_the_command(box: Box) -> None:
    assert finding(box, "PRODENV is not set") == ("warning", f"source '{box.env.root}/setup.sh'")


def test_a_variable_that_misleads_is_named(box: Box) -> None:
    done = box.env.run("dataprod", "doctor", "--json", environ={"NUMBA_CACHE_DIR": "/elsewhere"})
    assert "unset NUMBA_CACHE_DIR" in done.stdout


def test_missing_tools_are_named(box: Box) -> None:
    assert finding(box, "snakemake is not in the tools") == ("bad", "prodenv-tools")


def test_a_site_configuration_with_a_slip_is_named(box: Box) -> None:
    (box.env.root / "site.yaml").write_text("sources: {metdata: x}")
    assert finding(box, "metdata")[0] == "bad"


def test_nothing_is_changed(box: Box, snapshot: Snapshot) -> None:
    tree = box.cycle()
    before = snapshot(tree.root)
    findings(box, "cycles/v01")
    assert snapshot(tree.root) == before


def interrupted(tree: Tree) -> None:
    tree.write(".snakemake/locks/0.input.lock")


def left_behind(tree: Tree) -> None:
    tree.write("generated/tier/dsp/.x-tier_dsp.host-4242-part.lh5")


def broken_link(tree: Tree) -> None:
    (tree.root / "generated/tier/dsp/gone.lh5").symlink_to("nowhere.lh5")


def wrong_config(tree: Tree) -> None:
    tree.write("config.json", '{"pahts": {}}')


def no_software(tree: Tree) -> None:
    (tree.root / "software/python/install/bin/python").unlink()


def broken_software(tree: Tree) -> None:
    tree.write("software/python/install/bin/python", "#!/bin/sh\necho ImportError: no h5py >&2\nexit 1\n")


def no_map(tree: Tree) -> None:
    tree.validity("hardware/configuration/channelmaps", {"valid_from": "20300101T000000Z", "apply": ["always.yaml"]})


def no_data(tree: Tree) -> None:
    for path in (tree.root / "generated").rglob("*.*"):
        if path.is_file():
            path.unlink()


def nameless_data(tree: Tree) -> None:
    tree.write("generated/tier/daq/run5.fcio")


def half_frozen(tree: Tree) -> None:
    tree.write("frozen/frozen.json", '{"modes": {}}')


def no_parent(tree: Tree) -> None:
    tree.write(".derived.json", '{"parent": "../gone"}')


@pytest.mark.parametrize(
    ("ailment", "text", "state", "fix"),
    [
        (interrupted, "a run was interrupted", "warning", "dataprod run cycles/v01 TARGET"),
        (left_behind, "left behind by a killed job", "warning", "dataprod clean cycles/v01 --failed"),
        (broken_link, "a broken link: generated/tier/dsp/gone.lh5", "bad", "bring back"),
        (wrong_config, "unknown key 'pahts'", "bad", "did you mean 'paths'"),
        (no_software, "nothing is installed in", "bad", "dataprod-install-sw"),
        (broken_software, "does not work: ImportError: no h5py", "bad", "dataprod-install-sw"),
        (no_map, "nothing is valid at", "bad", "valid from 20300101T000000Z"),
        (no_data, "there is no data in", "warning", "put DAQ files there"),
        (nameless_data, "run5.fcio names no key", "bad", "a DAQ file is named"),
        (half_frozen, "freezing the cycle was interrupted", "bad", "dataprod freeze cycles/v01"),
        (no_parent, "the cycle that it uses is gone: ../gone", "bad", "bring it back"),
    ],
)
def test_ailments_of_a_cycle_are_named(box: Box, ailment: Ailment, text: str, state: str, fix: str) -> None:
    ailment(box.cycle())
    found = finding(box, text, "cycles/v01")
    assert found[0] == state
    assert fix in found[1]


def test_a_healthy_cycle_has_no_bad_findings(box: Box) -> None:
    box.cycle(imports=True)
    before = findings(box)
    bad = {what for what, (state, _) in findings(box, "cycles/v01").items() if state == "bad" and what not in before}
    assert bad == set()
    assert "all 3 runs can be planned" in findings(box, "cycles/v01")


def test_software_of_another_cycle_is_named(box: Box) -> None:
    """It is as good as one's own; what it lacks is installed in a folder of this cycle, not there."""
    theirs, ours = box.cycle("cycles/theirs"), box.cycle("cycles/ours")
    ours.config["paths"]["install"] = str(theirs.root / "software/python/install")
    ours.save()
    assert finding(box, "the software is that of cycles/theirs", "cycles/ours") == ("ok", "")
    theirs.write("software/python/install/software-lock.json", '{"packages": [{"name": "dspeed", "version": "2.1"}]}')
    ours.config["pkg_versions"] = {"dspeed": "==0.0.1"}
    ours.save()
    assert "a folder of this cycle" in finding(box, "dspeed", "cycles/ours")[1]


@pytest.mark.parametrize(("is_ready", "state", "fix"), [(True, "ok", ""), (False, "warning", "done by itself")])
def test_what_happens_about_compiled_code_is_told(box: Box, is_ready: bool, state: str, fix: str) -> None:
    """The software answers, in the surroundings of jobs."""
    tree = box.cycle()
    answer = json.dumps([is_ready, "the software is compiled for …"], ensure_ascii=False)
    program = f'case "$*" in *dataflow.jobs.compiled*) echo \'{answer}\';; *) exec {sys.executable} "$@";; esac'
    tree.write("software/python/install/bin/python", f"#!/bin/sh\n{program}\n")
    found = finding(box, "the software is compiled for …", "cycles/v01")
    assert found[0] == state
    assert fix in found[1] and bool(found[1]) != is_ready


def test_a_flow_of_before_that_says_nothing_of_compiled_code_is_no_finding(box: Box) -> None:
    tree = box.cycle()
    program = f'case "$*" in *dataflow.jobs.compiled*) ;; *) exec {sys.executable} "$@";; esac'
    tree.write("software/python/install/bin/python", f"#!/bin/sh\n{program}\n")
    assert [what for what in findings(box, "cycles/v01") if "compile" in what] == []


def test_people_see_the_mending_command_too(box: Box, tmp_path: Path) -> None:
    no_software(box.cycle())
    assert "→ dataprod-install-sw" in box.dataprod("doctor", "cycles/v01").stdout


def test_what_is_fixed_in_the_same_way_says_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    _print(
        [Finding("files", WARNING, what, fix) for what, fix in (("a", "do"), ("b", "do"), ("c", ""), ("d", "other"))]
    )
    assert capsys.readouterr().out.strip().splitlines()[-5:] == ["a", "b", "  → do", "d", "  → other"]


def test_the_published_path_of_the_rules_does_not_hide_the_cycles_own_flow(box: Box) -> None:
    """A configuration of the published flow, used as that of a cycle of ours, says where its rules were."""
    tree = box.cycle()
    tree.config["paths"] = {"workflow": "$_/workflow"}
    tree.save()
    said = findings(box, "cycles/v01")
    assert not [what for what in said if "Snakefile" in what], "nothing is missing"
    assert any(what.startswith("dataflow: ") for what in said)
