"""What jobs ask for on a cluster, and which are tried again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dataflow.plan.attempts import Attempts
from dataflow.plan.demand import AROUND, ENOUGH, Demand, Seen, seen
from dataflow.plan.workflow import Workflow
from dataflow.provenance.records import record_file
from dataflow.registry.step import Resources

from ..lineage.test_survey import produce
from ..plan.conftest import KEYS, Tree

DECLARED = Resources(3000, 4)


def test_without_finished_jobs_a_job_asks_for_what_its_step_declares() -> None:
    demand = Demand(DECLARED)
    assert demand.memory(4) == 3000 + AROUND
    assert demand.memory(4, attempt=3) == 4 * (3000 + AROUND)
    assert demand.minutes() is None
    assert demand.together == 1


@pytest.mark.parametrize(
    ("jobs", "threads", "memory"),
    [
        (ENOUGH, 1, 1.5 * 200),
        (ENOUGH, 4, 1.5 * 200 * 5),  # four workers and their parent
        (ENOUGH - 1, 1, 3000),  # few jobs may have been small ones
        (ENOUGH - 1, 16, 1.5 * 200 * 17),
    ],
)
def test_memory_is_that_of_the_largest_finished_job_with_a_margin(jobs: int, threads: int, memory: float) -> None:
    assert Demand(DECLARED, Seen(jobs, 10.0, 200)).memory(threads) == memory + AROUND


def test_records_without_memory_teach_nothing_about_it() -> None:
    assert Demand(DECLARED, Seen(ENOUGH, 10.0, 0)).memory(1) == 3000 + AROUND


@pytest.mark.parametrize(
    ("seconds", "minutes", "together"), [(0.1, 31, 50), (10.0, 31, 30), (60.0, 34, 5), (290.0, 50, 1), (7200.0, 510, 1)]
)
def test_long_jobs_get_time_and_short_ones_go_together(seconds: float, minutes: int, together: int) -> None:
    demand = Demand(DECLARED, Seen(ENOUGH, seconds, 100))
    assert (demand.minutes(), demand.together) == (minutes, together)


def test_the_demand_is_read_from_the_records_of_a_cycle(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "cycle")
    tree.metadata()
    tree.daq(*KEYS)
    produce(tree)
    cycle = tree.open()
    for number, key in enumerate(KEYS):
        unit = cycle.unit("tier_raw", key)
        output = cycle.output("tier_raw", unit)
        record = {"seconds": 100.0 + number, "threads": 1, "peak_memory_mb": 500 + number, "recipe": {}}
        record_file(output, cycle.lineage("tier_raw", unit)).write_text(json.dumps(record))
    flow = Workflow(tree.root / "config.json")
    seen = flow.demand(cycle.step("tier_raw")).seen
    assert seen == Seen(len(KEYS), 107.0, 507)


def test_few_finished_jobs_among_many_are_found(tmp_path: Path) -> None:
    """Four that are done teach what the hundred that are not need."""
    tree = Tree(tmp_path / "cycle")
    tree.metadata()
    keys = [f"l200-p03-r000-phy-20230312T0{hour}{minute:02d}00Z" for hour in (4, 5) for minute in range(60)]
    tree.daq(*keys)
    cycle = tree.open()
    for number, key in enumerate(keys[1 : 1 + ENOUGH]):
        unit = cycle.unit("tier_raw", key)
        file = record_file(cycle.output("tier_raw", unit), cycle.lineage("tier_raw", unit))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"seconds": 10.0, "peak_memory_mb": 500 + number, "recipe": {}}))
    demand = Workflow(tree.root / "config.json").demand(cycle.step("tier_raw"))
    assert demand.seen == Seen(ENOUGH, 10.0, 503)
    assert demand.together == 30


@pytest.mark.parametrize(
    ("message", "log", "lacked"),
    [
        ("SLURM-job '4' failed, SLURM status is: 'OUT_OF_MEMORY'.", "", True),
        ("7 is held: Error from slot1: memory usage exceeded request_memory", "", True),
        ("SLURM status is: 'FAILED'.", "slurmstepd-n1: error: Exceeded job memory limit\n", True),
        ("SLURM status is: 'FAILED'.", "x\nslurmstepd: error: Detected 1 oom_kill event in StepId=4.0\n", True),
        ("SLURM status is: 'FAILED'.", "error: the fit ran out of memory of its past\n", False),
        ("SLURM status is: 'FAILED'.", "error: 3 pulses span no time\n", False),
        ("SLURM status is: 'TIMEOUT'.", "slurmstepd: error: *** JOB 4 CANCELLED DUE TO TIME LIMIT ***\n", False),
        ("SLURM status is: 'CANCELLED'.", "", False),
    ],
)
def test_only_a_job_that_lacked_memory_is_tried_again(message: str, log: str, lacked: bool, tmp_path: Path) -> None:
    file = tmp_path / "4.log"
    file.write_text(log)
    attempts = Attempts()
    assert attempts.end("job", message, [file, tmp_path / "gone.log"]) is lacked
    assert attempts.lacked_memory("job") is lacked
    attempts.end("job", "SLURM status is: 'FAILED'.", [])
    assert not attempts.lacked_memory("job")


def test_the_detectors_of_a_job_of_hours_are_divided_and_stay_so_once_shares_did_them() -> None:
    workers = Resources(4000, 8)
    hours = {"seconds": 7300.0, "peak_memory_mb": 900}
    divided = hours | {"seconds": 20.0, "shares": {"number": 5, "seconds": 7280.0, "peak_memory_mb": 1500}}
    assert [Demand(workers, seen([record])).shares for record in (hours, divided)] == [5, 5]
    assert Demand(workers, seen([divided])).seen == Seen(1, 7300.0, 1500)
    assert Demand(workers, seen([hours])).minutes(5) == 30 + 98  # four times 1,460 s, in minutes, and the start
    assert Demand(Resources(4000, 1), seen([hours])).shares == 1  # nothing of it is done by detector
    assert Demand(workers, seen([{"seconds": 60.0}])).shares == 1
    assert Demand(workers, seen([{"seconds": 1e6}])).shares == 16
    assert Demand(workers).shares == 1
