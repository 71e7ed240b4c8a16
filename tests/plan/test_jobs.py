"""Jobs: what each step takes, makes, and works on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dataflow.base.errors import UserError
from dataflow.plan.survey import readers_of
from dataflow.registry.steps import REGISTRY, STEPS, calibrated_tiers, inputs_of, parts_of

from .conftest import KEYS, TESTSTAND_KEYS, Tree

CAL, PHY = KEYS[0], KEYS[2]


def relative(tree: Tree, *paths: Path) -> list[str]:
    return [str(path.relative_to(tree.root)) for path in paths]


def test_tiers_lie_where_the_collaboration_has_them(tree: Tree) -> None:
    job = tree.open().job("tier_hit", PHY)
    assert relative(tree, job.outputs["tier"]) == [f"generated/tier/hit/phy/p03/r000/{PHY}-tier_hit.lh5"]
    assert relative(tree, *job.inputs["dsp"]) == [f"generated/tier/dsp/phy/p03/r000/{PHY}-tier_dsp.lh5"]
    assert relative(tree, *job.inputs["par_hit"]) == [f"generated/par/hit/cal/p03/r000/{CAL}-par_hit.yaml"]
    assert relative(tree, job.log) == [f"generated/tmp/log/tier_hit/{PHY}-tier_hit.log"]


def test_a_run_file_has_the_name_of_the_run(tree: Tree) -> None:
    job = tree.open().job("tier_skm", PHY)
    assert relative(tree, job.outputs["tier"]) == ["generated/tier/skm/phy/l200-p03-r000-phy-tier_skm.lh5"]
    assert len(job.inputs["evt"]) == 2


def test_parameters_come_from_all_files_of_a_run(tree: Tree) -> None:
    cycle = tree.open()
    pz, merge = cycle.job("par_dsp_pz", CAL), cycle.job("par_dsp", CAL)
    assert [path.name for path in pz.inputs["raw"]] == [f"{key}-tier_raw.lh5" for key in KEYS[:2]]
    masks = cycle.job("par_tcm_pulser", CAL)
    assert [path.name for path in masks.inputs["tcm"]] == [f"{key}-tier_tcm.lh5" for key in KEYS[:2]]
    assert pz.inputs["masks"] == (masks.outputs["masks"],)
    assert relative(tree, pz.outputs["par"]) == [f"generated/tmp/par/{CAL}-par_dsp_pz.yaml"]
    assert relative(tree, pz.outputs["data"]) == [f"generated/tmp/par/{CAL}-par_dsp_pz_data.lh5"]
    parts = [cycle.job(step.name, CAL) for step in parts_of("dsp") if not step.only_with]
    assert merge.inputs == {part.step: (part.outputs["par"],) for part in parts}
    assert relative(tree, merge.outputs["par"]) == [f"generated/par/dsp/cal/p03/r000/{CAL}-par_dsp.yaml"]
    assert cycle.job("par_hit_ecal", CAL).inputs["par_dsp"] == (merge.outputs["par"],)


def test_figures_are_made_of_what_the_steps_of_a_calibration_show(tree: Tree) -> None:
    cycle = tree.open()
    parts = [cycle.job(step.name, CAL) for step in parts_of("dsp") if not step.only_with]
    figures = cycle.job("plt_dsp", CAL)
    assert figures.inputs == {part.step: (part.outputs["data"],) for part in parts}
    folder = f"generated/plt/dsp/cal/p03/r000/{CAL}-plt_dsp"
    assert relative(tree, figures.outputs["data"]) == [f"{folder}.lh5"]
    assert {role: relative(tree, path) for role, path in figures.outputs.items() if role != "data"} == {
        part.step: [f"{folder}_{part.step.removeprefix('par_dsp_')}.pdf"] for part in parts
    }
    assert readers_of(cycle, cycle.step("plt_dsp")) == []
    assert readers_of(cycle, cycle.step("plt_dsp_svm")) == []


def test_tables_carry_the_channel_number(tree: Tree) -> None:
    job = tree.open().job("tier_dsp", PHY)
    channel = next(channel for channel in job.channels if channel.name == "V02160A")
    assert (job.table("raw", channel), job.table("tcm")) == ("ch1104000/raw", "hardware_tcm_1")
    assert job.table("evt", grp="coinc") == "coinc/evt"


def test_a_test_stands_jobs_have_one_channel_and_plain_tables(stand: Tree) -> None:
    key = TESTSTAND_KEYS[3]
    job = stand.open().job("tier_dsp", key)
    (channel,) = job.channels
    assert (channel.name, channel.system, channel.rawid) == ("B00000B", "geds", None)
    assert (job.table("raw", channel), job.table("dsp", channel), job.table("raw")) == ("raw", "dsp", "raw")
    assert relative(stand, job.outputs["tier"]) == [f"generated/tier/dsp/B00000B/co_HS5_top_dlt/{key}-tier_dsp.lh5"]
    assert relative(stand, *job.inputs["par_dsp"]) == [
        f"generated/par/dsp/B00000B/th_HS2_lat_psa/{TESTSTAND_KEYS[1]}-par_dsp.yaml"
    ]


def test_a_test_stand_has_no_coincidences(stand: Tree) -> None:
    cycle = stand.open()
    assert set(cycle.job("par_dsp_pz", TESTSTAND_KEYS[1]).inputs) == {"raw"}
    assert not {"tier_tcm", "tier_evt", "tier_skm"} & {step.name for step in cycle.steps}


def test_a_raw_file_without_its_daq_file_is_an_input(tree: Tree) -> None:
    old = "l200-p03-r000-phy-20230313T000000Z"
    path = tree.write(f"generated/tier/raw/phy/p03/r000/{old}-tier_raw.lh5")
    cycle = tree.open()
    assert cycle.job("tier_dsp", old).inputs["raw"] == (path,)
    with pytest.raises(UserError, match="there is no DAQ file for"):
        cycle.job("tier_raw", old)
    cycle.check([("tier_hit", cycle.scheme.key(old))])


def test_a_redirected_tier_is_read_and_never_made(tree: Tree, tmp_path: Path) -> None:
    other = tmp_path / "other/raw"
    for key in KEYS:
        (other / f"{key}-tier_raw.lh5").parent.mkdir(parents=True, exist_ok=True)
        (other / f"{key}-tier_raw.lh5").touch()
    tree.config["paths"]["tier_raw"] = str(other)
    cycle = tree.open()
    assert cycle.job("tier_dsp", PHY).inputs["raw"] == (other / f"{PHY}-tier_raw.lh5",)
    assert "tier_raw" not in {step.name for step in cycle.steps}
    assert len(cycle.keys) == len(KEYS)


@pytest.mark.parametrize(
    ("step", "key", "message"),
    [
        ("tier_dps", PHY, "there is no step 'tier_dps'"),
        ("tier_dsp", "l200-p03", "is not a key"),
        ("tier_dsp", "l200-p03-r000-phy-20230312T143356Z", "there is no data file for"),
        ("par_dsp", KEYS[1], f"its run begins with {CAL}"),
        ("par_dsp", PHY, "par_dsp is not made for"),
    ],
)
def test_a_job_that_there_is_not_is_refused(tree: Tree, step: str, key: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        tree.open().job(step, key)
    assert message in str(caught.value)


def test_everything_upstream_of_a_target_is_planned(tree: Tree) -> None:
    tree.write("inputs/dataprod/overrides/dsp/validity.yaml", "- {valid_from: 20230101T000000Z, apply: none.yaml}\n")
    cycle = tree.open()
    with pytest.raises(UserError, match=r"dsp/validity\.yaml:1: there is no file 'none\.yaml'"):
        cycle.check([("tier_skm", cycle.scheme.key(PHY))])
    assert cycle.upstream(["tier_hit"]) == {
        "tier_hit", "tier_dsp", "tier_raw", "tier_tcm", "par_tcm_pulser", "par_hit", "par_dsp",
        "par_dsp_spms", "par_hit_spms",
        *(step.name for tier in ("dsp", "hit") for step in parts_of(tier)),
    }  # fmt: skip


def test_the_registry_holds_together() -> None:
    names = [step.name for step in STEPS]
    assert len(names) == len(set(names))
    for step in STEPS:
        assert step.doc
        for wanted in inputs_of(step):
            assert wanted.of == "daq" or wanted.source in names
            assert not wanted.output or wanted.output in REGISTRY.by_name[wanted.source].outputs
    for tier in calibrated_tiers():
        assert parts_of(tier) and f"validity_{tier}" in names


def test_planning_imports_nothing_heavy_and_writes_nothing(tree: Tree) -> None:
    config = tree.save()
    before = sorted((path, path.stat().st_mtime_ns) for path in tree.root.rglob("*"))
    code = (
        "import sys; from dataflow.plan.workflow import Workflow\n"
        f"flow = Workflow({str(config)!r}); found = flow.targets(['all-l200-skm.gen'])\n"
        "assert flow.files(found[0])\n"
        "heavy = {'numpy', 'h5py', 'lgdo', 'lh5', 'pydantic', 'socket', 'snakemake'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True, env={"PYTHONPATH": _source()})
    assert sorted((path, path.stat().st_mtime_ns) for path in tree.root.rglob("*")) == before


def _source() -> str:
    import dataflow

    return str(Path(dataflow.__path__[0]).parent)
