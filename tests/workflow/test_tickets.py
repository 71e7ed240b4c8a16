"""Planned once: what a job must know is written when Snakemake begins, and the job plans nothing again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from dataflow.base.errors import UserError
from dataflow.base.parts import PART
from dataflow.jobs import runner
from dataflow.plan import open_cycle
from dataflow.plan.ticket import Tickets, _write, packed, read_ticket, ticket_of, unpacked
from dataflow.plan.workflow import Workflow
from dataflow.provenance.lineage import Files

from ..plan.conftest import KEYS, Tree
from ..plan.test_units import SMALL, TIERS
from .conftest import Production

CAL = KEYS[0]


def tickets(root: Path) -> list[str]:
    """The tickets that lie in a cycle."""
    folder = root / "generated/tmp/tickets"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.json"))


@pytest.fixture
def tree(empty: Tree) -> Tree:
    """An L200 cycle with two periods."""
    empty.metadata()
    empty.daq(*KEYS)
    return empty


@pytest.fixture
def configured(tree: Tree) -> Tree:
    """A cycle with configuration by detector, overrides, and settings."""
    tree.write("inputs/dataprod/config/ecal.yaml", "{energy_params: [trapEmax]}\n")
    tree.write("inputs/dataprod/config/other.yaml", "{energy_params: [cuspEmax]}\n")
    rules = {"pars_hit_ecal": {"inputs": {"ecal_config": {"__default__": "ecal.yaml", "V02160B": "other.yaml"}}}}
    tree.write("inputs/dataprod/config/all.yaml", json.dumps({"snakemake_rules": rules}))
    tree.validity("dataprod/config", {"valid_from": "20200101T000000Z", "apply": "all.yaml"})
    tree.write("inputs/dataprod/overrides/dsp/a.yaml", "V02160A: {pz: {tau1: 5*ns}}\n")
    tree.validity("dataprod/overrides/dsp", {"valid_from": "20200101T000000Z", "apply": "a.yaml"})
    tree.config["settings"] = {"par_hit_ecal": {"timeout": 7}}
    return tree


def test_a_ticket_says_all_that_a_job_must_know(configured: Tree) -> None:
    cycle = configured.open()
    planned = cycle.job("par_hit_ecal", CAL)
    ticket = read_ticket(Tickets(cycle).write(cycle.step("par_hit_ecal"), planned.unit))
    configs = {channel.name: planned.config.read("ecal_config", channel) for channel in planned.channels}
    shutil.rmtree(configured.root / "inputs")
    job = ticket.job
    for name in (
        "step",
        "unit",
        "inputs",
        "outputs",
        "channels",
        "overrides_of",
        "log",
        "module",
        "all_channels",
        "maps",
    ):
        assert getattr(job, name) == getattr(planned, name), name
    assert (job.unit.keys, job.unit.key) == (planned.unit.keys, planned.unit.key)
    assert (job.settings, job.setup.table_format) == ({"timeout": 7}, planned.setup.table_format)
    one, other = job.channels
    for channel, name in ((one, "trapEmax"), (other, "cuspEmax")):
        found = job.config.read("ecal_config", channel) or {}
        assert found["energy_params"] == [name]
        assert found == configs[channel.name]
    (path,) = job.inputs["par_dsp"]
    configured.write(str(path.relative_to(configured.root)), "V02160A: {pz: {tau1: 1*ns, n: 2}}\n")
    assert job.pars("par_dsp") == {"V02160A": {"pz": {"tau1": "5*ns", "n": 2}}}


def test_a_partition_keeps_its_runs_and_detectors_in_a_ticket(tree: Tree) -> None:
    tree.config["keys"] = {"scheme": "l200", "tiers": TIERS, "run_files": {}}
    tree.write("inputs/datasets/cal_groupings.yaml", "default: {a: {p03: all}}\n")
    cycle = open_cycle(tree.save(), registry=SMALL)
    planned = cycle.job("par_pht_partcal", "l200-a")
    file = Tickets(cycle).write(cycle.step("par_pht_partcal"), planned.unit)
    assert file == tree.root / "generated/tmp/tickets/par_pht_partcal/l200-a.json"
    job = read_ticket(file).job
    assert (job.runs, job.unit.detectors, job.unit.runs) == (planned.runs, planned.unit.detectors, planned.unit.runs)


@pytest.mark.parametrize("step", ["tier_raw", "tier_dsp", "par_hit_ecal", "validity_dsp"])
def test_a_job_makes_its_outputs_by_the_same_lineage_with_and_without_ticket(configured: Tree, step: str) -> None:
    cycle = configured.open()
    unit = cycle.unit(step, CAL)
    for paths in cycle.job(step, unit).inputs.values():
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    written = read_ticket(Tickets(cycle).write(cycle.step(step), unit))
    planned = ticket_of(cycle, step, unit)
    files = Files(cycle.setup)
    assert written.made_by(files).hash == planned.made_by(files).hash
    assert written.made_by(files).inputs == planned.made_by(files).inputs
    assert written.lineage == planned.lineage == cycle.lineage(step, unit)
    assert {part: written.text(part) for part in written.recipe.parts} == planned.recipe.parts


def test_a_daq_file_that_was_touched_since_it_was_planned_is_read_again(tree: Tree) -> None:
    cycle = tree.open()
    ticket = read_ticket(Tickets(cycle).write(cycle.step("tier_raw"), cycle.unit("tier_raw", CAL)))
    before = ticket.made_by(Files(cycle.setup))
    (path,) = ticket.job.inputs["daq"]
    path.write_text("more")
    after = ticket.made_by(Files(cycle.setup))
    assert before.recipe.own["daq"]["size"] == 0 and after.recipe.own["daq"]["size"] == 4
    assert before.hash != after.hash


def test_what_many_jobs_share_is_written_once(configured: Tree) -> None:
    cycle = configured.open()
    made = Tickets(cycle)
    for unit in cycle.units.of(cycle.step("tier_dsp")):
        made.write(cycle.step("tier_dsp"), unit)
    assert len(tickets(configured.root)) == len(KEYS)
    shared = {json.loads(path.read_text())["shared"] for path in made.folder.glob("tier_dsp/*.json")}
    assert len(shared) == 1


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, "é"]}, {1: "one"}, {"at": date(2023, 3, 1)}, {"a": {True: 1}}])
def test_what_jobs_share_comes_back_as_it_was(value: dict[object, object]) -> None:
    assert unpacked(packed(value)) == value
    assert list(map(type, unpacked(packed(value)))) == list(map(type, value))


def test_a_damaged_ticket_is_refused_with_its_name(tree: Tree) -> None:
    cycle = tree.open()
    file = Tickets(cycle).write(cycle.step("tier_raw"), cycle.unit("tier_raw", CAL))
    file.write_text(file.read_text()[:50])
    with pytest.raises(UserError, match=r"tier_raw/.*\.json cannot be used"):
        read_ticket(file)


def test_a_ticket_of_another_plan_is_not_used(tree: Tree) -> None:
    cycle = tree.open()
    file = Tickets(cycle).write(cycle.step("tier_raw"), cycle.unit("tier_raw", CAL))
    words = ["tier_raw", "--config", str(tree.root / "config.json"), "--key", CAL, "--ticket", str(file)]
    options = runner.parser().parse_args([*words, "--lineage", "0" * 32])
    assert runner._ticket(options).file is None
    assert runner._ticket(runner.parser().parse_args(words)).file == file


def test_tickets_are_written_when_a_run_begins_and_gone_when_its_jobs_are_done(production: Production) -> None:
    target = "all-l200-p03-r001-phy-raw.gen"
    assert production.run("--dry-run", target).returncode == 0
    assert tickets(production.root) == []
    result = production.run(target, "--keep-going", FAILING=f"tier_raw {KEYS[5]}")
    assert result.returncode == 1 and tickets(production.root) == [f"tier_raw/{KEYS[5]}.json"]
    assert production.made(target) == [f"tier_raw {KEYS[5]}"]
    assert tickets(production.root) == []


def test_planning_writes_no_ticket(tree: Tree) -> None:
    flow = Workflow(tree.save())
    flow.targets(["all-l200-evt.gen", "--dry-run"])
    assert tickets(tree.root) == []


def test_a_job_on_another_node_needs_no_metadata(production: Production) -> None:
    """What an executor of Snakemake runs there: Snakemake for one job, which takes the ticket."""
    cycle = open_cycle(production.root / "config.json")
    Tickets(cycle).write(cycle.step("tier_raw"), cycle.unit("tier_raw", CAL))
    shutil.rmtree(production.root / "inputs")
    fields = ",".join(f"{name}={value}" for name, value in cycle.scheme.key(CAL).fields.items())
    words = [
        "--mode",
        "remote",
        "--force",
        "--target-jobs",
        f"tier_raw:{fields}",
        "--allowed-rules",
        "tier_raw",
        "--nolock",
    ]
    result = production.run(*words, "--no-hooks")
    assert result.returncode == 0, result.stderr
    assert production.jobs() == [f"tier_raw {CAL}"]


def test_a_job_with_a_ticket_reads_no_metadata(configured: Tree) -> None:
    """Neither channel maps nor statuses nor configuration are opened; planning modules are not even asked."""
    cycle = configured.open()
    file = Tickets(cycle).write(cycle.step("validity_dsp"), cycle.unit("validity_dsp", CAL))
    shutil.rmtree(configured.root / "inputs")
    config = str(configured.root / "config.json")
    words = ["-m", "dataflow.jobs", "validity_dsp", "--config", config, "--key", CAL, "--ticket", str(file)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (configured.root / "generated/par/dsp/validity.yaml").is_file()


def test_what_a_killed_plan_leaves_has_the_name_of_an_unfinished_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By that name ``dataprod clean --failed`` finds it."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path / "tier_raw-x.json", "{}")
    (left,) = tmp_path.iterdir()
    found = PART.fullmatch(left.name)
    assert found and (found["stem"], found["pid"], found["suffix"]) == ("tier_raw-x", str(os.getpid()), ".json")
