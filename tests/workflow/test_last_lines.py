"""The last lines of a run name the detectors that failed, with the cause: of Snakemake and of ``dataprod run``."""

from __future__ import annotations

from ..plan.conftest import KEYS
from .conftest import Production

CAL = KEYS[0]
TARGET = "all-l200-p03-r000-cal-tcm.gen"
SENTENCE = "error: V02160A failed in tier_raw: made to be noted [l200-p03-r000-cal: tier_raw, tier_tcm]"


def test_snakemake_tells_it_after_success_and_after_failure(production: Production) -> None:
    done = production.run(TARGET, NOTED="tier_raw")
    assert done.returncode == 0
    assert SENTENCE in done.stderr.splitlines()
    done = production.run("all-l200-p03-r000-cal-dsp.gen", NOTED="tier_raw", BROKEN=f"tier_dsp {CAL}")
    assert done.returncode == 1
    assert any(line.startswith(SENTENCE.partition(" [")[0]) for line in done.stderr.splitlines())


def test_a_run_ends_with_detectors_and_one_closing_line(production: Production) -> None:
    done = production.dataprod("run", TARGET, "-j", "2", NOTED="tier_raw")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[-2] == SENTENCE
    assert lines[-1].startswith("4 jobs done in ")
    assert lines[-1].endswith("; 1 detector failed")
    assert "  ✓ tier raw: 2 of 2" in done.stderr
    again = production.dataprod("run", TARGET, "--strict")
    assert again.returncode == 1
    assert again.stderr.splitlines()[-2:] == [SENTENCE, "but 1 detector failed"]
    assert production.dataprod("run", TARGET).returncode == 0


def test_a_strict_run_without_trouble_is_a_success(production: Production) -> None:
    done = production.dataprod("run", TARGET, "--strict", "-j", "2")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].startswith("4 jobs done in ")


def test_a_failed_job_is_told_by_its_own_sentence(production: Production) -> None:
    done = production.dataprod("run", TARGET, "-j", "2", BROKEN=f"tier_raw {CAL}")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    place = lines.index(f"error: tier_raw failed to make {CAL}-tier_raw.lh5")
    assert lines[place + 1] == "  error: made to break"
    assert lines[-1].startswith("2 of 4 jobs done, 1 failed in ")


def test_the_reason_of_a_failed_job_comes_after_what_is_told_of_detectors(production: Production) -> None:
    done = production.dataprod("run", TARGET, "-j", "2", NOTED="tier_raw", BROKEN=f"tier_tcm {CAL}")
    assert done.returncode == 1
    *_, detector, job, reason, log, closing = done.stderr.splitlines()
    assert detector.startswith(SENTENCE.partition(" [")[0])
    assert (job, reason) == (f"error: tier_tcm failed to make {CAL}-tier_tcm.lh5", "  error: made to break")
    assert log.startswith("log: ") and ", 1 failed in " in closing
