"""Jobs whose detectors were done by others: the same files, nothing left behind, and no share that is not theirs."""

from __future__ import annotations

import hashlib
import inspect
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from dataflow.base.errors import UserError
from dataflow.jobs.runner import main
from dataflow.jobs.shares import Share, share_of
from dataflow.plan import open_cycle
from dataflow.plan.job import Job
from dataflow.provenance.records import Records
from dataflow.registry.steps import BY_NAME

from .conftest import SmallCycle, cycle_around

CAL = "l200-p03-r000-cal-20240301T080000Z"
BEFORE = ("tier_raw", "tier_tcm", "par_tcm_pulser")
STEPS = ("par_dsp_pz", "par_dsp_evtsel", "par_dsp_nopt")


@pytest.fixture(scope="module")
def begun(gebox_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cycle with the first file of a calibration, up to its pulser."""
    folder = tmp_path_factory.mktemp("begun") / "cycle"
    cycle_around(gebox_data, folder, CAL).recorded(*((step, CAL) for step in BEFORE))
    return folder


@pytest.fixture
def cycle(begun: Path, tmp_path: Path) -> SmallCycle:
    """A copy of it."""
    shutil.copytree(begun, tmp_path / "cycle", symlinks=True)
    return SmallCycle(tmp_path / "cycle", CAL)


def job_of(cycle: SmallCycle, step: str) -> Job:
    return open_cycle(cycle.config).job(step, CAL)


def call(cycle: SmallCycle, step: str, *words: str) -> int:
    return main([step, "--config", str(cycle.config), "--key", CAL, *words])


def contents(job: Job) -> dict[str, str]:
    """A hash of each output; documents have the time at which they were made."""
    return {
        role: hashlib.sha256(path.read_bytes()).hexdigest()
        for role, path in job.outputs.items()
        if path.suffix != ".pdf"
    }


def record(job: Job) -> dict[str, Any]:
    return dict(Records().raw(next(iter(job.outputs.values()))) or {})


def kept(cycle: SmallCycle) -> Iterator[Path]:
    return (path for path in (cycle.folder / "generated/tmp").rglob("*-of-*") if path.suffix != ".log")


def test_two_shares_and_one_job_make_the_files_that_one_job_makes(cycle: SmallCycle) -> None:
    for step in STEPS:
        job = job_of(cycle, step)
        assert call(cycle, step) == 0
        whole = contents(job)
        for output in job.outputs.values():
            output.unlink()
        for share in ("1-of-2", "2-of-2"):
            assert call(cycle, step, "--share", share) == 0
        assert not any(output.exists() for output in job.outputs.values())
        (log,) = (file.read_text() for file in job.log.parent.glob(f"{job.log.stem}-*-2-of-2.log"))
        assert "share 2-of-2 is kept" in log
        assert call(cycle, step) == 0
        assert contents(job) == whole, step
        taken = record(job)["shares"]
        assert taken["number"] == 2
        assert taken["seconds"] > 0
        assert not list(kept(cycle))


def test_what_no_share_has_the_job_does_itself(cycle: SmallCycle) -> None:
    assert call(cycle, "par_dsp_pz") == 0
    job = job_of(cycle, "par_dsp_pz")
    whole = contents(job)
    assert call(cycle, "par_dsp_pz", "--share", "3-of-4") == 0
    assert call(cycle, "par_dsp_pz") == 0
    assert contents(job) == whole
    assert record(job)["shares"]["number"] == 1


def test_a_share_that_was_made_with_another_lineage_is_not_used(cycle: SmallCycle) -> None:
    assert call(cycle, "par_dsp_pz", "--share", "1-of-2") == 0
    (file,) = (path for path in kept(cycle) if path.suffix == ".json")
    text = file.read_text()
    real = open_cycle(cycle.config).lineage("par_dsp_pz", job_of(cycle, "par_dsp_pz").unit)
    assert real in text
    file.write_text(text.replace(real, "0" * len(real)))
    assert call(cycle, "par_dsp_pz") == 0
    assert "shares" not in record(job_of(cycle, "par_dsp_pz"))
    assert "was made with another lineage and is not used" in job_of(cycle, "par_dsp_pz").log.read_text()


def test_of_a_step_that_is_not_done_by_detector_there_is_no_share(
    cycle: SmallCycle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(cycle, "tier_tcm", "--share", "1-of-2") == 2
    assert "this step is not done detector by detector" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["3-of-2", "0-of-2", "half", "1-of-2x"])
def test_a_share_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(UserError, match=f"'{text}' is no share of a job"):
        share_of(text)


def test_shares_have_each_item_once() -> None:
    items = [f"V{number:02}" for number in range(11)]
    parts = [Share(number, 4).among(items) for number in range(1, 5)]
    assert sorted(sum(parts, [])) == items
    assert [len(part) for part in parts] == [3, 3, 3, 2]


def test_steps_with_workers_are_those_that_have_shares() -> None:
    several = [step for step in BY_NAME.values() if step.resources.threads > 1]
    assert {step.name for step in several} >= {*STEPS, "tier_dsp"}
    for step in several:
        code = inspect.getsource(import_module(f"dataflow.{step.module}"))
        assert any(f"{each}(" in code for each in ("calibrate_detectors", "build_by_channel", "outcomes")), step.name
