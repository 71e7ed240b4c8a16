"""Snakemake is told only of what is to be made, and ``dataprod run`` starts it for some thousand jobs at a time."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from dataflow.plan.portion import first_of
from dataflow.plan.survey import Item, Survey
from dataflow.plan.workflow import FAILED, Workflow

from ..lineage.test_survey import produce
from ..plan.conftest import KEYS
from .conftest import Production

CAL, PHY = KEYS[0], next(key for key in KEYS if "-phy-" in key)
TARGET = "all-l200-p03-r000-*-tcm.gen"


def to_make(production: Production, target: str) -> tuple[Workflow, list[Item]]:
    flow = Workflow(production.root / "config.json")
    return flow, Survey(flow.cycle).to_make(flow.wanted([target]))


def total(production: Production, *words: str) -> int:
    """The number of jobs that Snakemake's dry run counts, without those of targets."""
    printed = production.run("-n", *words).stdout
    counted = re.findall(r"^((?:tier|par|validity)_\w+) +(\d+)$", printed, re.MULTILINE)
    return sum(int(number) for _, number in set(counted))


@pytest.mark.parametrize("most", [1, 3, 1000])
def test_each_job_comes_after_those_that_it_needs_and_none_is_lost(production: Production, most: int) -> None:
    flow, items = to_make(production, "all-l200-p03-r000-phy-hit.gen")
    portion = first_of(items, most, lambda item: False, lambda place: flow.cycle.needs(*place))
    assert len(portion.now) == min(most, len(items))
    assert Counter(item.step for item in items) == Counter(item.step for item in portion.now) + Counter(portion.later)
    done = set()
    for item in portion.now:
        assert set(flow.cycle.needs(item.step, item.unit)) <= done
        done.add((item.step, item.unit))


def test_what_needs_a_failed_job_is_left_out(production: Production) -> None:
    flow, items = to_make(production, "all-l200-p03-r000-phy-hit.gen")
    failed = next(item for item in items if item.step == "par_dsp")
    portion = first_of(items, 0, failed.__eq__, lambda place: flow.cycle.needs(*place))
    assert {"par_dsp", "tier_dsp", "par_hit", "tier_hit"}.isdisjoint(item.step for item in portion.now)
    assert {"tier_raw", "par_dsp_pz"} <= {item.step for item in portion.now}


def test_a_run_in_portions_makes_every_job_once(production: Production) -> None:
    most = "3"
    _, items = to_make(production, TARGET)
    result = production.dataprod("run", TARGET, "-j2", DATAPROD_PORTION=most)
    assert result.returncode == 0, result.stderr
    assert production.jobs() == sorted(f"{item.step} {item.key}" for item in items)
    assert f"{len(items)} jobs done in" in result.stderr
    assert "nothing to be done" in production.dataprod("run", TARGET, "-j2", DATAPROD_PORTION=most).stderr


def test_a_failed_job_is_tried_once_and_the_rest_is_made(production: Production) -> None:
    _, items = to_make(production, TARGET)
    failing = f"tier_raw {CAL}"
    result = production.dataprod("run", TARGET, "-j2", DATAPROD_PORTION="3", FAILING=failing)
    assert result.returncode == 1
    assert production.jobs().count(failing) == 1
    expected = sorted(f"{item.step} {item.key}" for item in items if f"{item.step} {item.key}" != f"tier_tcm {CAL}")
    assert production.jobs() == expected
    assert result.stderr.count(f"error: tier_raw failed to make {CAL}-tier_raw.lh5") == 1


def test_what_is_left_when_all_else_needs_a_failed_job_is_not_tried(production: Production) -> None:
    target, failing = f"all-{CAL}-tcm.gen", f"tier_raw {CAL}"
    result = production.dataprod("run", target, DATAPROD_PORTION="1", FAILING=failing)
    assert result.returncode == 1
    assert production.jobs() == [failing]
    assert "0 of 2 jobs done, 1 failed in" in result.stderr


@pytest.mark.parametrize(("failed", "left"), [("par_dsp", True), ("tier_raw", False)])
def test_of_a_target_only_what_can_be_made_is_asked_for_once_something_failed(
    production: Production, monkeypatch: pytest.MonkeyPatch, failed: str, *, left: bool
) -> None:
    target = "all-l200-p03-r000-phy-hit.gen"
    flow, items = to_make(production, target)
    gone = [flow.cycle.paths.relative(flow.cycle.output(item.step, item.unit)) for item in items if item.step == failed]
    monkeypatch.setenv(FAILED, str(production.tree.write("failed.txt", "\n".join(gone))))
    again = Workflow(production.root / "config.json")
    made = again.to_make([target])
    asked = again.files(*again.targets([target]), made)
    assert {*gone}.isdisjoint(asked)
    assert any("tier_raw" in path for path in asked) == left
    assert not any("tier_hit" in path for path in asked)
    assert all(path in made or path == str(production.root / "config.json") for path in asked)


def test_where_a_profile_says_so_a_failed_job_ends_the_run(production: Production) -> None:
    profile = production.root / "dataflow/profiles/default/config.yaml"
    profile.write_text(profile.read_text().replace("keep-going: true", "keep-going: false"))
    failing = f"tier_raw {CAL}"
    assert production.dataprod("run", TARGET, "-j1", DATAPROD_PORTION="1", FAILING=failing).returncode == 1
    assert production.jobs() == [failing]


def test_the_jobs_of_a_path_are_made_at_once(production: Production) -> None:
    path = f"generated/tier/tcm/cal/p03/r000/{CAL}-tier_tcm.lh5"
    result = production.dataprod("run", path, DATAPROD_PORTION="1")
    assert production.jobs() == [f"tier_raw {CAL}", f"tier_tcm {CAL}"]
    assert "2 jobs done in" in result.stderr
    assert "nothing" not in result.stderr


def test_snakemake_plans_only_what_is_to_be_made(production: Production) -> None:
    target = "all-l200-p03-r000-phy-hit.gen"
    _, items = to_make(production, target)
    assert total(production, target) == len(items) > 10
    produce(production.tree)
    said = production.run("-n", target)
    assert "Nothing to be done" in said.stdout + said.stderr
    next(production.root.rglob(f"generated/tier/hit/**/{PHY}-tier_hit.lh5")).unlink()
    assert total(production, target) == 1
    assert production.made(target) == [f"tier_hit {PHY}"]


def test_forcing_reaches_what_is_current(production: Production) -> None:
    made = sorted(f"{item.step} {item.key}" for item in to_make(production, TARGET)[1])
    produce(production.tree)
    assert production.made(TARGET, "-F") == made
    assert production.made(TARGET, "-R", "tier_raw") == [job for job in made if job.startswith("tier_raw")]
