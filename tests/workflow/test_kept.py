"""A job that fails leaves the earlier output, whole and with its record; the next run that can makes it again."""

from __future__ import annotations

import inspect
import os

import pytest

from dataflow.provenance.records import Records

from ..plan.conftest import KEYS
from .conftest import Production

CAL = KEYS[0]
STEP = f"tier_raw {CAL}"
TARGET = "all-l200-p03-r000-cal-raw.gen"


@pytest.fixture
def stale(production: Production) -> Production:
    """A production one of whose DAQ files has changed since."""
    assert STEP in production.made(TARGET)
    daq = next(production.root.rglob(f"{CAL}.*"))
    daq.write_bytes(b"something else")
    return production


def test_the_output_of_before_survives_a_failure(stale: Production) -> None:
    raw = next(stale.root.glob(f"generated/tier/raw/**/{CAL}-tier_raw.lh5"))
    raw.write_text("of before")
    lineage = Records().lineage(raw)
    for how in ("BROKEN", "FAILING"):
        assert stale.run(TARGET, **{how: STEP}).returncode == 1
        assert raw.read_text() == "of before"
        assert Records().lineage(raw) == lineage is not None
    assert Records().has_failed(raw)
    assert STEP in stale.made(TARGET)
    assert raw.read_text() == f"{STEP}\n"
    assert Records().lineage(raw) != lineage
    assert not Records().has_failed(raw)
    assert stale.made(TARGET) == []


def test_a_job_that_fails_at_first_leaves_nothing(production: Production) -> None:
    assert production.run(TARGET, BROKEN=STEP).returncode == 1
    assert list(production.root.glob(f"generated/tier/raw/**/{CAL}-tier_raw.lh5")) == []


def test_a_change_that_failed_and_was_taken_back_makes_nothing_again(production: Production) -> None:
    production.begin_with(TARGET)
    daq = next(production.root.rglob(f"{CAL}.*"))
    before = daq.read_bytes(), daq.stat()
    daq.write_bytes(b"something else")
    assert production.run(TARGET, BROKEN=STEP).returncode == 1
    daq.write_bytes(before[0])
    os.utime(daq, ns=(before[1].st_atime_ns, before[1].st_mtime_ns))
    assert production.made(TARGET) == []


def test_no_copy_is_made(stale: Production) -> None:
    stale.made(TARGET)
    assert [path for path in stale.root.glob(".snakemake/backup/**/*") if path.is_file()] == []


def test_snakemake_still_copies_what_is_updated() -> None:
    """If this fails, workflow/rules/keep.smk may be needed no more, or may do nothing."""
    persistence = pytest.importorskip("snakemake.persistence")
    assert "shutil.copy(path, backup_path)" in inspect.getsource(persistence.FileBackupMixin.backup_output)
    assert "shutil.copy(backup_path, path)" in inspect.getsource(persistence.FileBackupMixin.restore_output)
