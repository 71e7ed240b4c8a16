"""``dataprod run`` asks nobody before and after: what it must know its Snakemake tells, which plans once."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from dataflow.base.errors import UserError
from dataflow.plan.portion import _ordered, first_of
from dataflow.plan.survey import Survey
from dataflow.plan.workflow import EVENTS, PORTION, Workflow
from dataflow.provenance import identity
from dataflow.provenance.identity import LIST

from ..plan.conftest import KEYS
from .conftest import Production

Heard = Callable[[], list[dict[str, Any]]]
TARGET = "all-l200-p03-r000-*-tcm.gen"
CONFIG = "inputs/dataprod/config"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    """What is told to a ``dataprod run`` that listens, so far."""
    reader, writer = os.pipe()
    monkeypatch.setenv(EVENTS, str(writer))
    yield lambda: [json.loads(line) for line in os.read(reader, 1 << 16).splitlines()]
    os.close(reader)
    os.close(writer)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read for their identity."""
    names: list[str] = []
    real = identity.hashed

    def hashed(path: Path) -> str:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(identity, "hashed", hashed)
    return names


def test_a_mistake_is_one_sentence_and_nothing_is_made(production: Production) -> None:
    done = production.dataprod("run", "all-l200-p03-r007-cal-tcm.gen")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] in (["error"], ["error", "hint"])
    assert "r007" in lines[0]
    assert production.jobs() == []
    assert not (production.root / "generated/tmp/tickets").exists()


@pytest.mark.parametrize("word", ["all-l200-p03-r000-cal", "generated/tier/dsp/cal/nothing.lh5"])
def test_what_is_neither_a_target_nor_a_file_is_one_sentence(production: Production, word: str) -> None:
    done = production.dataprod("run", word)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"]
    assert word in lines[0] and "neither a target nor an output" in lines[0]


def test_what_is_ignored_is_told_at_the_end(production: Production) -> None:
    folder = production.root / "inputs/datasets/statuses"
    status = next(path for path in sorted(folder.iterdir()) if "processable" in path.read_text())
    status.write_text(status.read_text().replace("usability", "usabilty", 1))
    for _ in ("something to make", "nothing to make"):
        done = production.dataprod("run", f"all-{KEYS[0]}-tcm.gen")
        assert done.returncode == 0, done.stderr
        said = [line for line in done.stderr.splitlines() if line.startswith("warning: ") and "usabilty" in line]
        assert len(said) == 1 and str(status) in said[0] and "did you mean 'usability'" in said[0]


def test_a_mistake_in_the_metadata_that_came_since_the_last_run_is_told_with_its_place(production: Production) -> None:
    assert production.dataprod("run", TARGET, "-j2").returncode == 0
    production.forget()
    rules = production.tree.write(f"{CONFIG}/rules.yaml", "snakemake_rules:\n  tier_tcm:\n    opshuns: {}\n")
    production.tree.validity("dataprod/config", {"valid_from": "20200101T000000Z", "apply": ["rules.yaml"]})
    done = production.dataprod("run", TARGET)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {rules}:3: ")
    assert production.jobs() == []
    rules.write_text("snakemake_rules: {}\n")
    assert "nothing to be done" in production.dataprod("run", TARGET).stderr


def test_a_file_that_comes_between_two_portions_is_seen(production: Production) -> None:
    assert production.dataprod("run", TARGET, "-j2", DATAPROD_PORTION="1").returncode == 0
    production.forget()
    production.tree.daq("l200-p03-r000-phy-20230312T063356Z")
    assert production.dataprod("run", TARGET, "-j2").returncode == 0
    assert {job.split()[0] for job in production.jobs()} == {"tier_raw", "tier_tcm"}


def test_two_runs_at_once_make_each_file_once(production: Production) -> None:
    codes: list[int] = []
    runs = [
        threading.Thread(target=lambda: codes.append(production.dataprod("run", TARGET, "-j2").returncode))
        for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert 0 in codes and set(codes) <= {0, 1}  # one may be refused, because the other works there
    assert set(Counter(production.jobs()).values()) == {1}


def test_files_are_read_for_their_identity_when_their_portion_begins(
    production: Production, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PORTION, "1")
    flow = Workflow(production.root / "config.json")
    flow.targets([TARGET])
    made = flow.to_make([TARGET])
    assert len(made) == len(read) == 1
    assert read[0].partition(".")[0] in next(iter(made))
    assert not (production.root / "generated/tmp" / LIST).exists()  # nobody listens: a plan writes nothing


def test_what_is_read_is_told_and_remembered_for_a_run(
    production: Production, read: list[str], told: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    for daq in (production.root / "generated/tier/daq").rglob("*.fcio"):
        daq.write_text("some data")
    monkeypatch.setenv(PORTION, "2")
    for _ in range(2):
        flow = Workflow(production.root / "config.json")
        flow.targets([TARGET])
        flow.to_make([TARGET])
    assert len(read) == 2  # the second time they are known
    assert (production.root / "generated/tmp" / LIST).is_file()
    events = told()
    assert [event for event in events if event["event"] == "reading"] == [{"event": "reading", "files": 2, "bytes": 18}]
    assert [event["later"] for event in events if event["event"] == "portion"] == [{"tier_raw": 2, "tier_tcm": 4}] * 2


def test_a_file_of_a_later_portion_that_cannot_be_read_is_told_at_once(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = KEYS[3]
    real = identity.hashed

    def hashed(path: Path) -> str:
        if path.name.startswith(last):
            raise UserError(f"{path} cannot be read: Permission denied")
        return real(path)

    monkeypatch.setattr(identity, "hashed", hashed)
    monkeypatch.setattr("dataflow.plan.workflow.os.access", lambda path, mode: not Path(path).name.startswith(last))
    monkeypatch.setenv(PORTION, "1")
    flow = Workflow(production.root / "config.json")
    flow.targets([TARGET])
    with pytest.raises(UserError, match=f"{last}.fcio cannot be read"):
        flow.to_make([TARGET])


def test_the_first_jobs_are_those_that_the_order_of_all_begins_with(production: Production) -> None:
    flow = Workflow(production.root / "config.json")
    items = Survey(flow.cycle).to_make(flow.wanted(["all-l200-p03-*-*-hit.gen"]))
    places = [(item.step, item.unit) for item in items]

    def needs(place: tuple[str, Any]) -> tuple[tuple[str, Any], ...]:
        return flow.cycle.needs(*place)

    whole = _ordered(places, needs)
    for most in count(1):
        portion = first_of(items, most, lambda item: False, needs)
        assert [(item.step, item.unit) for item in portion.now] == whole[:most]
        assert Counter(step for step, _ in whole[most:]) == portion.later
        if most > len(items):
            break
