"""Snakemake is told only of what is to be made, and ``dataprod run`` starts it for some thousand jobs at a time."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from dataflow.plan.portion import first_of
from dataflow.plan.survey import Item, Survey
from dataflow.plan.workflow import Workflow

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


def test_snakemake_plans_only_what_is_to_be_made(production: Production) -> None:
    target = "all-l200-p03-r000-phy-hit.gen"
    _, items = to_make(production, target)
    assert total(production, target) == len(items) > 10
    production.made(target)
    assert "Nothing to be done" in production.run("-n", target).stdout + production.run("-n", target).stderr
    next(production.root.rglob(f"generated/tier/hit/**/{PHY}-tier_hit.lh5")).unlink()
    assert total(production, target) == 1
    assert production.made(target) == [f"tier_hit {PHY}"]


def test_forcing_reaches_what_is_current(production: Production) -> None:
    made = production.made(TARGET)
    assert production.made(TARGET, "-F") == made
    assert production.made(TARGET, "-R", "tier_raw") == [job for job in made if job.startswith("tier_raw")]
