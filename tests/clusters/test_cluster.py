"""What ``dataprod run`` makes of a profile, of SLURM's queue, and of groups of jobs that failed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dataflow.plan import attempts
from prodenv.base.errors import UserError, WorkFailed
from prodenv.running import progress as words
from prodenv.running.cluster import (
    Queued,
    cancel_leftovers,
    in_words,
    job_prefix,
    options,
    profile_of,
    queue,
    require_engine,
)
from prodenv.running.progress import Progress

STEP = "tier_raw"


@pytest.fixture
def cycle(repository: Path, tmp_path: Path) -> Path:
    """A folder with the shipped profiles."""
    (tmp_path / "profiles").symlink_to(repository / "dataflow/profiles")
    return tmp_path


@pytest.mark.parametrize(("name", "executor"), [("default", ""), ("slurm", "slurm"), ("htcondor", "htcondor")])
def test_a_shipped_profile_says_where_jobs_run(name: str, executor: str, cycle: Path) -> None:
    found = profile_of(name, cycle / "profiles")
    assert (found.executor, found.is_remote) == (executor, bool(executor))


def test_a_profile_may_lie_anywhere(cycle: Path) -> None:
    (cycle / "mine").mkdir()
    (cycle / "mine/config.yaml").write_text("executor: nowhere\njobs: 3\n")
    found = profile_of(str(cycle / "mine"), cycle)
    assert options(found, cycle, 7) == [f"--workflow-profile={cycle}/mine", "--jobs=7"]
    assert options(found, cycle, 0) == [f"--workflow-profile={cycle}/mine"]
    with pytest.raises(UserError, match="executor 'nowhere' is not installed"):
        require_engine(found)


@pytest.mark.parametrize(("text", "said"), [("a: [", "is not YAML"), ("- a\n", "has no options")])
def test_a_profile_that_cannot_be_read_is_an_error(text: str, said: str, cycle: Path) -> None:
    (cycle / "mine").mkdir()
    (cycle / "mine/config.yaml").write_text(text)
    with pytest.raises(UserError, match=said):
        profile_of(f"{cycle}/mine", cycle)


def test_an_unknown_profile_is_an_error_that_names_the_others(cycle: Path) -> None:
    with pytest.raises(UserError, match="there is no profile 'slrum'") as raised:
        profile_of("slrum", cycle / "profiles")
    assert "default, htcondor, slurm" in raised.value.render()


def test_each_cycle_has_names_of_its_own_for_its_jobs(tmp_path: Path) -> None:
    assert job_prefix(tmp_path) == job_prefix(tmp_path / ".")
    assert job_prefix(tmp_path) != job_prefix(tmp_path / "other")
    assert len(job_prefix(tmp_path)) <= 50  # what the executor takes


def test_a_queue_is_told_in_words() -> None:
    jobs = [Queued("1", "RUNNING", "n2"), Queued("2", "RUNNING", "n1"), Queued("3", "PENDING", "Resources")]
    jobs += [Queued("4", "PENDING", "Priority"), Queued("5", "COMPLETING", "n1")]
    assert in_words(jobs) == "2 on n1, n2; 2 waiting (Priority, Resources); 1 completing"
    assert in_words([Queued(str(n), "RUNNING", f"n{n}") for n in range(9)]) == "9 on 9 nodes"
    assert in_words([]) == ""


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **texts: str) -> None:
    """Shell scripts in the place of SLURM's programs."""
    for name, text in texts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_jobs_that_an_earlier_run_left_are_cancelled_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = job_prefix(tmp_path)
    rows = f"7|{name}_x|PENDING|(Resources)\n8|dataprod-of-another_x|RUNNING|n1\n9|{name}_y|RUNNING|n2\n"
    (tmp_path / "rows").write_text(rows)
    asked = f"echo $1 > {tmp_path}/asked; cat {tmp_path}/rows"
    cancel = f"echo $* > {tmp_path}/gone; sed -i /{name}/d {tmp_path}/rows"
    programs(tmp_path, monkeypatch, squeue=asked, scancel=cancel)
    assert queue(tmp_path) == [Queued("7", "PENDING", "Resources"), Queued("9", "RUNNING", "n2")]
    cancel_leftovers(tmp_path)
    assert (tmp_path / "gone").read_text() == "7 9\n"
    assert (tmp_path / "asked").read_text() == f"--user={os.getuid()}\n"  # a name may be another one's, or be missing


def test_where_the_queue_is_not_known_no_run_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of an earlier run may be in it, which would write the same files."""
    programs(tmp_path, monkeypatch, squeue="echo slurm_load_jobs error >&2; exit 1", scontrol="echo is UP")
    with pytest.raises(WorkFailed, match="SLURM does not answer"):
        cancel_leftovers(tmp_path)


def test_control_knows_the_words_by_which_the_flow_tells_of_memory() -> None:
    assert attempts.AGAIN == words._AGAIN
    assert words._OWN.match("x, status is: 'FAILED'")
    assert not words._OWN.match(f"{attempts.LACKED}: 900 MB, attempt 3. x, status is: 'FAILED'")


def failed(number: int, **more: Any) -> dict[str, Any]:
    files = {"output": [f"out/{number}.lh5 (update)"], "log": [f"log/{number}.log"]}
    return {"event": "job_error", "rule_name": STEP, "jobid": number, **files, **more}


def told(*events: dict[str, Any]) -> Progress:
    found = Progress()
    for event in ({"event": "run_info", "stats": {STEP: 3}}, *events):
        found.feed(json.dumps(event))
    return found


def record(folder: Path, name: str, content: dict[str, str]) -> None:
    (folder / "out/.lineage").mkdir(parents=True, exist_ok=True)
    (folder / "out/.lineage" / name).write_text(json.dumps(content))


GROUP = {"event": "", "text": "group ended (slurm/9.log): SLURM-job '9' failed, SLURM status is: 'FAILED'. x"}


def test_of_a_group_that_failed_only_the_job_with_a_failure_of_its_own_failed(tmp_path: Path) -> None:
    progress = told(GROUP, *(failed(number, indent=True) for number in (1, 2, 3)))
    record(tmp_path, "1.lh5.failed.json", {"error": "error: made to break"})
    record(tmp_path, f"2.lh5.{'a' * 32}.json", {})
    found = progress.open_ones(tmp_path)
    assert [each.output for each in found] == ["out/2.lh5", "out/3.lh5"]
    assert progress.settled(found, tmp_path) == 2
    assert progress.is_to_go_on(1, len(found))
    progress.take_back(found, tmp_path)
    assert (progress.done, progress.failed) == (1, 1)
    said = list(progress.last_words(tmp_path, 1))
    assert said[:2] == [f"error: {STEP} failed to make 1.lh5", "  error: made to break"]


def test_what_the_cluster_ended_is_told_with_the_clusters_words_and_log(tmp_path: Path) -> None:
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/9.log").write_text("slurmstepd: error: DUE TO TIME LIMIT\n")
    record(tmp_path, "1.lh5.failed.json", {"error": "error: of another day"})
    said = "SLURM-job '9' failed, SLURM status is: 'TIMEOUT'. For further error details see the cluster/cloud log"
    event = failed(1, rule_msg=said)
    event["log"].append("slurm/9.log")
    assert list(told(event).last_words(tmp_path, 1)) == [
        f"error: {STEP} failed to make 1.lh5",
        "  SLURM-job '9' failed, SLURM status is: 'TIMEOUT'.",
        "  slurmstepd: error: DUE TO TIME LIMIT",
        f"log: {tmp_path}/slurm/9.log",
    ]


def test_a_job_that_lacked_memory_and_was_run_again_is_counted(tmp_path: Path) -> None:
    again = {"event": "", "text": "run again with twice the memory: its memory was too small: 900 MB, attempt 1."}
    assert "1 times again with more memory" in told(again).closing(1.0, "")
