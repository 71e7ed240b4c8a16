"""What Snakemake makes is what the records say, whatever Snakemake itself has noted of the files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dataflow.plan.survey import Survey
from dataflow.plan.workflow import Workflow

from ..plan.conftest import KEYS
from .conftest import Production

CAL = KEYS[0]
TARGET = "all-l200-p03-r000-cal-tcm.gen"
RAW, TCM = f"tier_raw {CAL}", f"tier_tcm {CAL}"


def planned(production: Production, target: str = TARGET) -> list[str]:
    """What the records say that a run would make: step and key, sorted."""
    flow = Workflow(production.root / "config.json")
    return sorted(f"{item.step} {item.key}" for item in Survey(flow.cycle).to_make(flow.wanted([target])))


def agree(production: Production) -> list[str]:
    """What the records say, which a run then does; afterwards nothing is to be made any more, for both."""
    told = planned(production)
    assert production.made(TARGET) == told
    assert planned(production) == production.made(TARGET) == []
    return told


def daq(production: Production) -> Path:
    return next(production.root.rglob(f"generated/tier/daq/**/{CAL}.*"))


def output(production: Production, tier: str) -> Path:
    return next(production.root.glob(f"generated/tier/{tier}/**/{CAL}-tier_{tier}.lh5"))


def test_touching_outputs_makes_nothing_current(production: Production) -> None:
    production.begin_with(TARGET)
    daq(production).write_bytes(b"something else")
    done = production.run("--touch", TARGET)
    assert done.returncode == 0, done.stderr
    assert agree(production) == [RAW, TCM]


def test_touching_what_is_missing_makes_nothing_current(production: Production) -> None:
    production.begin_with(TARGET)
    output(production, "raw").unlink()
    production.run("--touch", TARGET)
    assert planned(production) == []
    assert production.made(TARGET) == []


def test_a_restored_older_file_with_its_record_is_known(production: Production, tmp_path: Path) -> None:
    production.begin_with(TARGET)
    folder = output(production, "tcm").parent
    shutil.copytree(folder, tmp_path / "backup")
    before = daq(production).read_bytes(), daq(production).stat()
    daq(production).write_bytes(b"something else")
    assert agree(production) == [RAW, TCM]
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    assert agree(production) == [TCM]
    daq(production).write_bytes(before[0])
    os.utime(daq(production), ns=(before[1].st_atime_ns, before[1].st_mtime_ns))
    assert agree(production) == [RAW, TCM]
    daq(production).write_bytes(b"something else")
    shutil.copytree(tmp_path / "backup", folder, dirs_exist_ok=True)


def test_a_restored_state_of_before_is_current_again(production: Production, tmp_path: Path) -> None:
    production.begin_with(TARGET)
    tiers = production.root / "generated/tier"
    shutil.copytree(tiers, tmp_path / "backup")
    daq(production).write_bytes(b"something else")
    assert agree(production) == [RAW, TCM]
    shutil.rmtree(tiers)
    shutil.copytree(tmp_path / "backup", tiers)
    assert agree(production) == []


def test_a_file_of_the_future_is_made_again_when_its_record_says_so(production: Production) -> None:
    production.begin_with(TARGET)
    for tier in ("raw", "tcm"):
        os.utime(output(production, tier), (4e9, 4e9))
    daq(production).write_bytes(b"something else")
    assert agree(production) == [RAW, TCM]


@pytest.mark.parametrize("how", ["BROKEN", "FAILING"])
def test_a_failed_and_mended_file_is_made_once(production: Production, how: str) -> None:
    production.begin_with(TARGET)
    before = daq(production).read_bytes(), daq(production).stat()
    daq(production).write_bytes(b"broken")
    assert production.run(TARGET, **{how: RAW}).returncode == 1
    assert planned(production) == [RAW, TCM]
    daq(production).write_bytes(b"fixed")
    assert agree(production) == [RAW, TCM]
    daq(production).write_bytes(before[0])
    assert production.run(TARGET, **{how: RAW}).returncode == 1
    daq(production).write_bytes(b"fixed")
    assert agree(production) == []


def test_without_snakemakes_notes_nothing_is_another(production: Production) -> None:
    production.begin_with(TARGET)
    shutil.rmtree(production.root / ".snakemake")
    assert agree(production) == []
    output(production, "tcm").unlink()
    assert agree(production) == [TCM]


def test_a_file_whose_record_is_gone_is_that_of_others_and_stays(production: Production) -> None:
    production.begin_with(TARGET)
    for record in (output(production, "tcm").parent / ".lineage").glob(f"{CAL}-tier_tcm.*"):
        record.unlink()
    assert agree(production) == []
