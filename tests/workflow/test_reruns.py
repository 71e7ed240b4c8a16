"""What is made again, and what is not."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from ..plan.conftest import KEYS, STATUSES
from .conftest import Production

TARGET = "all-l200-p03-r001-*-hit.gen"
CAL, PHY = KEYS[4], KEYS[5]
NOTHING = "Nothing to be done"


def configure(production: Production, value: int) -> None:
    rules = {"snakemake_rules": {"tier_hit": {"inputs": {"hit_config": {"__default__": "$_/hit.yaml"}}}}}
    production.tree.write("inputs/dataprod/config/all.yaml", json.dumps(rules))
    production.tree.write(
        "inputs/dataprod/config/hit.yaml", f"operations: {{x: {{expression: a, parameters: {{a: {value}}}}}}}\n"
    )
    production.tree.validity("dataprod/config", {"valid_from": "20200101T000000Z", "apply": "all.yaml"})


def test_changed_configuration_makes_again_what_it_concerns(production: Production) -> None:
    configure(production, 1)
    production.made(TARGET)
    configure(production, 2)
    assert production.made(TARGET) == [f"tier_hit {CAL}", f"tier_hit {PHY}"]


def test_an_override_makes_again_the_tiers_under_it_while_it_holds(production: Production) -> None:
    production.made("all-l200-p03-*-phy-hit.gen")
    production.tree.write("inputs/dataprod/overrides/hit/a.yaml", "V02160A: {pars: {operations: {}}}\n")
    production.tree.validity("dataprod/overrides/hit", {"valid_from": "20230316T000000Z", "apply": "a.yaml"})
    assert production.made("all-l200-p03-*-phy-hit.gen") == [f"tier_hit {KEYS[5]}"]


def test_a_comment_and_touched_metadata_make_nothing_again(production: Production) -> None:
    production.begin_with(TARGET)
    production.tree.write("inputs/datasets/statuses/always.yaml", f"# a comment\n{STATUSES}")
    production.tree.write("inputs/datasets/runlists.yaml", "valid: {}\n")
    assert production.made(TARGET) == []


def test_a_new_run_makes_only_itself(production: Production) -> None:
    production.made("all-l200-p04-*-cal-hit.gen")
    new = "l200-p04-r001-cal-20230701T000000Z"
    production.tree.daq(new)
    made = production.made("all-l200-p04-*-cal-hit.gen")
    assert {job.split()[1] for job in made if not job.startswith("validity")} == {new}
    assert [job for job in made if job.startswith("validity")] == [f"validity_dsp {KEYS[0]}", f"validity_hit {KEYS[0]}"]


def test_a_new_file_of_a_calibration_run_makes_the_run_again(production: Production) -> None:
    production.begin_with("all-l200-p03-r001-*-hit.gen")
    production.tree.daq("l200-p03-r001-cal-20230317T221819Z")
    made = production.made("all-l200-p03-r001-*-hit.gen")
    assert f"par_dsp_pz {KEYS[4]}" in made and f"tier_hit {KEYS[5]}" in made
    assert f"tier_raw {KEYS[4]}" not in made


def test_a_moved_cycle_is_up_to_date(production: Production, tmp_path: Path) -> None:
    production.begin_with(TARGET)
    old, new = production.root, tmp_path / "another place" / "with 'quotes'"
    shutil.move(old, new)
    production.root = new
    assert production.made(TARGET) == []
    shutil.rmtree(new / "generated/tier/hit/phy/p03/r001")
    assert production.made(TARGET) == [f"tier_hit {KEYS[5]}"]


def test_a_deleted_output_is_made_again(production: Production) -> None:
    production.begin_with(TARGET)
    (production.root / f"generated/tier/hit/phy/p03/r001/{KEYS[5]}-tier_hit.lh5").unlink()
    assert production.made(TARGET) == [f"tier_hit {KEYS[5]}"]


def test_other_cores_make_nothing_again(production: Production) -> None:
    production.begin_with(TARGET)
    assert production.made(TARGET, "-j1") == []


def test_a_failing_job_fails_the_run_and_the_rest_goes_on(production: Production) -> None:
    result = production.run(TARGET, FAILING=f"tier_tcm {CAL}")
    assert result.returncode == 1 and "error: made to fail" in result.stderr
    assert f"tier_raw {PHY}" in production.jobs(), "what does not depend on it is made"
    assert f"par_dsp_pz {CAL}" not in production.jobs()
    assert f"tier_tcm {CAL}" in production.made(TARGET)
    assert NOTHING in production.run(TARGET).stderr


def test_a_raw_file_whose_daq_file_is_gone_is_still_good(production: Production) -> None:
    production.begin_with("all-l200-p03-r001-phy-raw.gen")
    (production.root / f"generated/tier/daq/phy/p03/r001/{KEYS[5]}.fcio").unlink()
    assert f"tier_hit {KEYS[5]}" in production.made("all-l200-p03-r001-phy-hit.gen")
    assert NOTHING in production.run("all-l200-p03-r001-phy-raw.gen").stderr


def test_tiers_of_another_cycle_are_used_and_not_made(production: Production, tmp_path: Path) -> None:
    production.made("all-l200-p03-*-*-tcm.gen")
    for tier in ("raw", "tcm"):
        shutil.move(production.root / f"generated/tier/{tier}", tmp_path / f"other_{tier}")
        production.tree.config["paths"][f"tier_{tier}"] = str(tmp_path / f"other_{tier}")
    production.tree.save()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "other_raw").rglob("*")}
    made = production.made(TARGET)
    assert made and not [job for job in made if job.startswith(("tier_raw", "tier_tcm"))]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "other_raw").rglob("*")} == before


def test_the_execution_environment_reaches_the_jobs(production: Production) -> None:
    production.tree.config["execenv"] = {"env": {"FLAVOUR": "vanilla; $(touch hacked)"}}
    production.tree.save()
    production.made("all-l200-p04-r000-phy-raw.gen")
    assert (production.root / "jobs.txt").read_text() == f"tier_raw {KEYS[7]} 1 vanilla; $(touch hacked)\n"
    assert not (production.root / "hacked").exists()


def test_parameter_jobs_get_the_threads_that_there_are(production: Production) -> None:
    production.made("all-l200-p03-r001-cal-par_dsp.gen")
    threads = {line.split()[0]: line.split()[2] for line in (production.root / "jobs.txt").read_text().splitlines()}
    assert (threads["par_dsp_pz"], threads["tier_raw"]) == ("2", "1")


def test_touched_daq_files_make_nothing_again(production: Production) -> None:
    production.begin_with("all-l200-p03-r001-phy-raw.gen")
    os.utime(production.root / f"generated/tier/daq/phy/p03/r001/{KEYS[5]}.fcio")
    assert production.made("all-l200-p03-r001-phy-raw.gen") == []


def test_a_missing_file_of_another_cycle_is_named(production: Production, tmp_path: Path) -> None:
    production.tree.config["paths"]["tier_dsp"] = str(tmp_path / "other_dsp")
    production.tree.save()
    result = production.run("all-l200-p03-r001-phy-hit.gen")
    assert result.returncode == 2
    assert "tier_dsp.lh5 is missing" in result.stderr and "belongs to another cycle" in result.stderr
