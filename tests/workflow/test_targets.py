"""Targets on Snakemake's command line: what is run, and what is said."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..plan.conftest import KEYS, TESTSTAND_KEYS
from .conftest import Production

CAL, PHY = KEYS[4], KEYS[5]
NOTHING = "Nothing to be done"


def test_a_target_makes_what_it_needs_and_a_second_time_nothing(production: Production) -> None:
    target = "all-l200-p03-r001-cal-hit.gen"
    assert production.made(target) == [
        f"par_dsp {CAL}",
        f"par_dsp_dplms {CAL}",
        f"par_dsp_eopt {CAL}",
        f"par_dsp_evtsel {CAL}",
        f"par_dsp_nopt {CAL}",
        f"par_dsp_pz {CAL}",
        f"par_hit {CAL}",
        f"par_hit_aoe {CAL}",
        f"par_hit_ecal {CAL}",
        f"par_hit_lq {CAL}",
        f"par_hit_qc {CAL}",
        f"par_tcm_pulser {CAL}",
        f"plt_dsp {CAL}",
        f"plt_hit {CAL}",
        f"tier_dsp {CAL}",
        f"tier_hit {CAL}",
        f"tier_raw {CAL}",
        f"tier_tcm {CAL}",
        f"validity_dsp {KEYS[0]}",
        f"validity_hit {KEYS[0]}",
    ]
    assert (production.root / f"generated/tier/hit/cal/p03/r001/{CAL}-tier_hit.lh5").is_file()
    assert not list(production.root.rglob("*.gen")), "no marker is left behind"
    production.forget()
    again = production.run(target)
    assert again.returncode == 0 and NOTHING in again.stderr
    assert production.jobs() == []


def test_snakemake_runs_from_any_folder_with_relative_paths(production: Production, tmp_path: Path) -> None:
    cycle = production.root.name
    words = ("--configfile", f"{cycle}/config.json", "--snakefile", f"{cycle}/dataflow/Snakefile")
    made = production.made(*words, "all-l200-p03-r001-phy-raw.gen", cwd=tmp_path)
    assert made == [f"tier_raw {PHY}"]
    assert NOTHING in production.run("all-l200-p03-r001-phy-raw.gen").stderr


def test_the_configuration_beside_the_workflow_is_found(production: Production) -> None:
    words = ["--snakefile", "dataflow/Snakefile", "-j2", "all-l200-p04-r000-phy-raw.gen"]
    subprocess.run([sys.executable, "-m", "snakemake", *words], cwd=production.root, capture_output=True, check=True)
    assert production.jobs() == [f"tier_raw {KEYS[7]}"]


def test_several_targets_and_paths_together(production: Production) -> None:
    path = f"generated/tier/tcm/phy/p04/r000/{KEYS[7]}-tier_tcm.lh5"
    assert production.made("all-l200-p03-r001-phy-raw.gen", "all-l200-p03-r001-*-raw.gen", path) == [
        f"tier_raw {CAL}",
        f"tier_raw {PHY}",
        f"tier_raw {KEYS[7]}",
        f"tier_tcm {KEYS[7]}",
    ]


def test_parameter_files_are_plain_output_paths(production: Production) -> None:
    path = f"generated/par/dsp/cal/p03/r001/{CAL}-par_dsp.yaml"
    assert f"par_dsp {CAL}" in production.made(path)
    assert NOTHING in production.run(path).stderr


def test_a_run_list_is_a_target(production: Production) -> None:
    production.tree.write("inputs/datasets/runlists.yaml", "valid:\n  phy: {p03: r000..r001}\n")
    assert len(production.made("valid-l200-*-*-*-raw.gen")) == 3


def test_physics_is_skimmed_by_run(production: Production) -> None:
    made = production.made("all-l200-p03-r001-*-skm.gen")
    assert [job for job in made if job.startswith("tier_skm")] == [f"tier_skm {PHY}"]
    assert (production.root / "generated/tier/skm/phy/l200-p03-r001-phy-tier_skm.lh5").is_file()


def test_partitions_are_calibrated_where_pht_is_asked_for(production: Production) -> None:
    groupings = "default: {calgroup001a: {p03: r000..r001}}\nV02160B: {calgroup001a: {p03: r000}}\n"
    production.tree.write("inputs/datasets/cal_groupings.yaml", groupings)
    assert not [job for job in production.made("all-l200-p03-r001-phy-hit.gen") if "pht" in job]
    made = production.made("all-l200-p03-r001-phy-pht.gen")
    assert f"tier_pht {PHY}" in made and f"par_pht {CAL}" in made
    names = {path.name for path in (production.root / "generated/tmp/par").glob("*partcal.yaml")}
    assert names == {"l200-calgroup001a-par_pht_partcal.yaml", "l200-p03_r001-par_pht_partcal.yaml"}
    assert NOTHING in production.run("all-l200-p03-r001-phy-pht.gen").stderr


def test_what_is_wrong_with_a_target_is_one_sentence(production: Production) -> None:
    for word, message in {
        "all-l200-p09-hit.gen": "error: all-l200-p09-hit.gen: there is no data of period 'p09'; there are p03, p04",
        "all-l200-p3-hit.gen": "error: all-l200-p3-hit.gen: 'p3' is not a valid period: a period looks like p03",
        "sel-l200-p03-hit.gen": "error: there is no run list 'sel'",
        "all-l200-p03-hits.gen": "error: all-l200-p03-hits.gen: there is no tier 'hits'",
    }.items():
        result = production.run(word)
        assert result.returncode == 2 and message in result.stderr and "Traceback" not in result.stderr
    assert production.jobs() == []


def test_an_unknown_output_path_is_an_error(production: Production) -> None:
    result = production.run("generated/tier/dsp/nonsense.lh5")
    assert result.returncode != 0 and "nonsense.lh5" in result.stderr
    result = production.run("generated/tier/dsp/phy/p03/r000/l200-p03-r000-phy-20230312T143356Z-tier_dsp.lh5")
    assert (
        result.returncode == 2
        and "error: there is no data file for l200-p03-r000-phy-20230312T143356Z" in result.stderr
    )


def test_no_target_is_an_error(production: Production) -> None:
    result = production.run()
    assert result.returncode == 2
    assert "error: no target is given" in result.stderr and "all-l200-p03-r000-cal-hit.gen" in result.stderr


def test_wrong_metadata_stops_everything_even_where_outputs_are_there(production: Production) -> None:
    target = "all-l200-p03-r001-phy-raw.gen"
    production.made(target)
    production.tree.write("inputs/hardware/configuration/channelmaps/always.yaml", "V02160A: {name: V02160A\n")
    result = production.run(target)
    assert result.returncode == 2 and "channelmaps/always.yaml:2: " in result.stderr
    assert "Traceback" not in result.stderr


def test_two_daq_files_for_one_key_stop_everything(production: Production) -> None:
    production.tree.daq(PHY, extension=".orca.gz")
    result = production.run("all-l200-p03-r001-phy-raw.gen")
    assert result.returncode == 2 and f"two DAQ files for {PHY}" in result.stderr


def test_without_its_software_a_cycle_says_how_to_install_it(production: Production) -> None:
    target = "all-l200-p03-r001-phy-raw.gen"
    shutil.rmtree(production.root / "software")
    result = production.run(target)
    assert result.returncode == 2
    assert f"hint: run dataprod-install-sw {production.root}/config.json" in result.stderr
    assert production.run("-n", target).returncode == 0, "a dry run needs no software"
    assert "Unlocked" in production.run("--unlock").stderr


def test_another_working_directory_is_refused(production: Production, tmp_path: Path) -> None:
    target = "all-l200-p03-r001-phy-raw.gen"
    result = production.run("--directory", str(tmp_path / "elsewhere"), target)
    assert result.returncode == 2 and "leave --directory out" in result.stderr
    assert production.made("--directory", str(production.root), target) == [f"tier_raw {PHY}"]


def test_a_test_stand_is_produced(stand_production: Production) -> None:
    made = stand_production.made("all-B00000B-co_HS5_top_dlt-tier2.gen")
    th, co = TESTSTAND_KEYS[1], TESTSTAND_KEYS[3]
    assert made == [
        f"par_dsp {th}",
        f"par_dsp_dplms {th}",
        f"par_dsp_eopt {th}",
        f"par_dsp_evtsel {th}",
        f"par_dsp_nopt {th}",
        f"par_dsp_pz {th}",
        f"plt_dsp {th}",
        f"tier_dsp {co}",
        f"tier_raw {co}",
        f"tier_raw {th}",
        f"validity_dsp {TESTSTAND_KEYS[0]}",
    ]
    assert NOTHING in stand_production.run("all-B00000B-co_HS5_top_dlt-tier2.gen").stderr
    assert f"tier_hit {co}" in stand_production.made("all-*-co_HS5_top_dlt-tier3.gen")
    assert NOTHING in stand_production.run("all-char_data-*-co_HS5_top_dlt-*-hit.gen").stderr


@pytest.mark.parametrize(
    ("asked", "limit"), [((), None), (("--max-jobs-per-timespan", "7/1s"), "Submitting maximum 7 job(s) over 1")]
)
def test_jobs_here_are_not_limited_to_so_many_a_second_unless_somebody_says_so(
    production: Production, asked: tuple[str, ...], limit: str | None
) -> None:
    """Snakemake's own limit makes it look at all jobs again, more often the longer it runs."""
    done = production.run("--verbose", *asked, f"all-{KEYS[0]}-tcm.gen")
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert ("Submitting maximum" in said) == (limit is not None)
    assert limit is None or limit in said


def threads_of(production: Production, step: str) -> list[int]:
    """Threads of the jobs of a step since the last call of ``forget``."""
    lines = (production.root / "jobs.txt").read_text().splitlines()
    return sorted(int(line.split()[2]) for line in lines if line.split()[0] == step)


def test_jobs_have_a_thread_each_while_there_are_enough_for_all_cores(production: Production) -> None:
    target = "all-l200-p03-dsp.gen"
    made = [job for job in production.made(target) if job.startswith("tier_dsp")]
    assert len(made) > 2
    assert threads_of(production, "tier_dsp") == [1] * (len(made) - len(made) % 2) + [2] * (len(made) % 2)
    dsp = production.root / f"generated/tier/dsp/cal/p03/r001/{CAL}-tier_dsp.lh5"
    dsp.unlink()
    assert production.made(target) == [f"tier_dsp {CAL}"]
    assert threads_of(production, "tier_dsp") == [2], "one alone has both cores"
    dsp.unlink()
    production.made("--set-threads", "tier_dsp=1", "--", target)
    assert threads_of(production, "tier_dsp") == [1]


def test_calibrations_begin_before_what_waits_for_them(production: Production) -> None:
    result = production.run("-j1", "all-l200-p03-r000-*-hit.gen")
    assert result.returncode == 0, result.stderr
    jobs = [line.split()[:2] for line in (production.root / "jobs.txt").read_text().splitlines()]
    datatypes = [key.split("-")[3] for step, key in jobs if not step.startswith(("plt_", "validity_"))]
    assert datatypes.count("cal") > 10 and datatypes.count("phy") > 3
    assert datatypes == sorted(datatypes), jobs


def figures(production: Production) -> dict[str, Path]:
    """The documents and what they show of the steps of a calibration, by name."""
    found = (production.root / "generated/plt").rglob(f"{CAL}-plt_*")
    return {path.name.removeprefix(f"{CAL}-"): path for path in found if path.parent.name != ".lineage"}


def test_missing_figures_are_made_of_what_they_show_and_no_calibration_for_them(production: Production) -> None:
    target = "all-l200-p03-r001-cal-hit.gen"
    production.begin_with(target)
    figures(production)["plt_hit_ecal.pdf"].unlink()
    assert production.made(target) == [f"plt_hit {CAL}"]
    for data in (production.root / "generated/tmp/par").glob("*_data.lh5"):
        data.unlink()
    assert production.made(target) == [], "nothing needs what figures show"
    figures(production)["plt_hit_ecal.pdf"].unlink()
    assert production.made(target) == [], "no calibration is done for a figure alone"
    shutil.rmtree(production.root / "generated/tmp/par")
    assert production.made(target) == []
    path = f"generated/plt/hit/cal/p03/r001/{CAL}-plt_hit_ecal.pdf"
    assert {f"par_hit_ecal {CAL}", f"plt_hit {CAL}"} <= set(production.made(path)), "unless it is asked for"
    assert set(figures(production)) >= {"plt_hit_ecal.pdf", "plt_hit.lh5", "plt_dsp.lh5", "plt_dsp_pz.pdf"}


def test_a_calibration_that_is_asked_for_by_its_path_comes_without_figures(production: Production) -> None:
    made = production.made(f"generated/par/hit/cal/p03/r001/{CAL}-par_hit.yaml")
    assert f"par_hit {CAL}" in made and not [job for job in made if job.startswith("plt_")]


def test_nothing_waits_for_figures(production: Production) -> None:
    """Of all that is ready, figures are begun last: with one core, after all else."""
    target = "all-l200-p03-r001-*-hit.gen"
    assert production.run("-j1", target).returncode == 0
    begun = [line.split()[0] for line in (production.root / "jobs.txt").read_text().splitlines()]
    first = next(number for number, step in enumerate(begun) if step.startswith("plt_"))
    assert all(step.startswith("plt_") for step in begun[first:]) and len(begun) > first > 10
