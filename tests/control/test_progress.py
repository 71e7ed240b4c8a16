"""What Snakemake says, understood."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prodenv.production import _read
from prodenv.progress import INTERRUPTED, Progress

BEGIN = """\
Job stats:
job          count
tier_raw         2
tier_dsp         2
total            4

localrule tier_raw:
    jobid: 1
localrule tier_dsp:
    jobid: 2
"""
TERMINATING = "Terminating processes on user request, this might take some time.  File x, line 28\n"
LATER = "interrupted; the next run goes on from here"


def failure(step: str, number: int, why: str = "") -> str:
    places = f"    output: generated/{step}.lh5 (update)\n    log: log/{step}.log\n"
    return f"{why}Error in rule {step}:\n    jobid: {number}\n{places}"


def killed(step: str, number: int, by: str = "died with <Signals.SIGINT: 2>.") -> str:
    return failure(
        step, number, f"RuleException:\nCommand 'set -euo pipefail; python' {by}\n[Sun Nov 22 14:19:07 2026]\n"
    )


def progress(text: str) -> Progress:
    found = Progress()
    for line in (BEGIN + text).splitlines():
        found.feed(line)
    return found


@pytest.mark.parametrize(
    "text",
    [
        "",
        TERMINATING,
        TERMINATING + killed("tier_dsp", 2) + killed("tier_raw", 1),
        killed("tier_dsp", 2) + TERMINATING + failure("tier_raw", 1),
        killed("tier_dsp", 2, "returned non-zero exit status 130.") + "    work()" + TERMINATING,
        TERMINATING + "error: a worker was killed\nhint: more memory\n" + failure("tier_dsp", 2),
        "Traceback (most recent call last):\nKeyboardInterrupt\n",
    ],
)
def test_an_interrupted_run_says_so_in_one_line(text: str, tmp_path: Path) -> None:
    found = progress(text)
    assert list(found.last_words(tmp_path, INTERRUPTED)) == [LATER]
    assert [count.failed for count in found.steps.values()] == [0, 0]


def test_what_failed_before_the_interrupt_is_told(tmp_path: Path) -> None:
    text = failure("tier_raw", 1, "error: no such file\n") + TERMINATING + killed("tier_dsp", 2)
    found = progress(text)
    said = list(found.last_words(tmp_path, INTERRUPTED))
    assert said == [
        "error: tier_raw failed to make tier_raw.lh5",
        "  error: no such file",
        f"log: {tmp_path}/log/tier_raw.log",
        LATER,
    ]
    assert found.steps["tier_raw"].failed == 1


def test_a_job_killed_by_somebody_else_has_failed(tmp_path: Path) -> None:
    found = progress(killed("tier_dsp", 2, "died with <Signals.SIGTERM: 15>.") + failure("tier_raw", 1))
    assert next(found.last_words(tmp_path, 1)) == "error: tier_dsp failed to make tier_dsp.lh5 (and 1 more job failed)"
    assert [count.failed for count in found.steps.values()] == [1, 1]


def test_without_a_failed_job_the_end_of_the_output_is_told(tmp_path: Path) -> None:
    assert list(progress("error: wrong\nhint: right\n").last_words(tmp_path, 2)) == ["error: wrong", "hint: right"]
    assert list(progress("something odd\n").last_words(tmp_path, 1))[-1] == "something odd"
    assert list(progress("Nothing to be done\n").last_words(tmp_path, 0))[0].startswith("nothing to be done")


def test_snakemake_is_heard_to_its_end_where_nobody_looks_any_more() -> None:
    def draw() -> None:
        raise BrokenPipeError

    words = [sys.executable, "-c", f"print({(BEGIN + TERMINATING)!r})"]
    found = Progress()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        _read(child, found, draw)
    assert found.interrupted
