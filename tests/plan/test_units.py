"""What a step runs once for, with a small registry of its own: partitions, other datatypes, several outputs, twins."""

from __future__ import annotations

import pytest

from dataflow.plan import Cycle, UserError, open_cycle
from dataflow.plan.survey import all_jobs
from dataflow.plan.targets import resolve
from dataflow.registry.step import GERMANIUM, PARS, PART, Input, Output, Registry, Scope, Step, twin
from dataflow.registry.steps import BY_NAME

from .conftest import Tree

TWINS = {"dsp": "psp", "hit": "pht", "evt": "pet"}
SMALL = Registry(
    [
        *(BY_NAME[name] for name in ("tier_raw", "tier_tcm", "tier_dsp", "tier_hit", "par_dsp_pz")),
        Step(
            "par_dsp_peaks", Scope.RUN, (Input("raw"), Input("par_dsp_pz", role="pars")),
            {"par": Output(), "peaks": Output(".lh5", "step")}, part_of="dsp",
            module="steps.par_dsp_pz.build", channels=GERMANIUM,
        ),
        Step(
            "par_dsp_noise", Scope.RUN,
            (Input("raw", role="noise", datatypes=("fft",), optional=True), Input("par_dsp_peaks.peaks", role="peaks")),
            {"par": Output(), "filter": Output(".lh5", "par", name="par_dsp_filter")}, part_of="dsp",
            module="steps.par_dsp_pz.build", channels=GERMANIUM,
        ),
        BY_NAME["par_dsp"], BY_NAME["par_hit_ecal"], BY_NAME["par_hit"],
        twin(BY_NAME["tier_dsp"], TWINS),
        twin(BY_NAME["tier_hit"], TWINS),
        Step(
            "par_psp_average", Scope.PARTITION, (Input("par_dsp", role="pars"),), PART, part_of="psp",
            module="steps.par_dsp_pz.build", channels=GERMANIUM,
        ),
        Step("par_psp", Scope.RUN, outputs=PARS, channels=GERMANIUM),
        Step(
            "par_pht_partcal", Scope.PARTITION,
            (Input("psp", role="dsp"), Input("psp", role="noise", datatypes=("fft",), optional=True),
             Input("par_hit", role="pars")),
            {"par": Output(), "plt": Output(".pdf", "plot")}, part_of="pht",
            module="steps.par_hit_ecal.build", channels=GERMANIUM,
        ),
        Step(
            "par_pht_lq", Scope.PARTITION, (Input("par_pht_partcal", role="energies"),), PART, part_of="pht",
            module="steps.par_hit_ecal.build", channels=GERMANIUM,
        ),
        Step("par_pht", Scope.RUN, outputs=PARS, channels=GERMANIUM),
        Step("validity_pht", Scope.CYCLE, outputs=PARS),
    ]
)  # fmt: skip
TIERS = ["raw", "tcm", "dsp", "hit", "psp", "pht"]
CAL = {
    "r000": "l200-p03-r000-cal-20230311T235840Z",
    "r001": "l200-p03-r001-cal-20230317T211819Z",
    "r002": "l200-p03-r002-cal-20230325T000000Z",
}
FFT = "l200-p03-r000-fft-20230312T020000Z"
LATER = "l200-p04-r000-cal-20230601T000000Z"
PHY = "l200-p03-r001-phy-20230318T015140Z"
GROUPINGS = """\
default: {calgroup001a: {p03: r000..r002}}
V02160B: {calgroup001a: {p03: r000..r001}}
"""


@pytest.fixture
def small(tree: Tree) -> Tree:
    """The cycle of the other tests with a third run, noise files in the first, and groupings."""
    tree.config["keys"] = {"scheme": "l200", "tiers": TIERS, "run_files": {}}
    tree.daq(CAL["r002"], FFT)
    tree.write("inputs/datasets/cal_groupings.yaml", GROUPINGS)
    return tree


def opened(tree: Tree, registry: Registry = SMALL) -> Cycle:
    """The cycle with the small registry."""
    return open_cycle(tree.save(), registry=registry)


def found(cycle: Cycle, step: str) -> dict[str, tuple[list[str], set[str]]]:
    """The partitions of a step: runs and detectors."""
    units = cycle.units.of(cycle.step(step))
    return {unit.name: ([run[5:] for run in unit.runs], set(unit.detectors or ())) for unit in units}


def test_a_partition_is_some_runs_of_some_detectors(small: Tree) -> None:
    assert found(opened(small), "par_pht_partcal") == {
        "l200-calgroup001a": (["p03-r000", "p03-r001", "p03-r002"], {"V02160A"}),
        "l200-calgroup001a.V02160B": (["p03-r000", "p03-r001"], {"V02160B"}),
        "l200-p03_r002": (["p03-r002"], {"V02160B"}),
        "l200-p04_r000": (["p04-r000"], {"V02160A", "V02160B"}),
    }


def test_each_run_of_a_detector_is_in_exactly_one_partition(small: Tree) -> None:
    cycle = opened(small)
    places = [
        (run, detector)
        for unit in cycle.units.of(cycle.step("par_pht_partcal"))
        for run in unit.runs
        for detector in unit.detectors or ()
    ]
    runs = ("l200-p03-r000", "l200-p03-r001", "l200-p03-r002", "l200-p04-r000")
    assert sorted(places) == [(run, name) for run in runs for name in ("V02160A", "V02160B")]


def test_a_grouping_of_its_own_takes_its_runs_out_of_the_default_ones(small: Tree) -> None:
    small.write(
        "inputs/datasets/cal_groupings.yaml",
        "default: {a: {p03: r000}, b: {p03: [r001, r002]}}\nV02160B: {c: {p03: r000..r001}}\n",
    )
    assert found(opened(small), "par_pht_partcal") == {
        "l200-a": (["p03-r000"], {"V02160A"}),
        "l200-b": (["p03-r001", "p03-r002"], {"V02160A"}),
        "l200-c.V02160B": (["p03-r000", "p03-r001"], {"V02160B"}),
        "l200-b.V02160B": (["p03-r002"], {"V02160B"}),
        "l200-p04_r000": (["p04-r000"], {"V02160A", "V02160B"}),
    }


def test_a_run_without_grouping_is_a_partition_that_says_so(small: Tree) -> None:
    cycle = opened(small)
    notes = {unit.name: unit.note for unit in cycle.units.of(cycle.step("par_pht_partcal"))}
    assert notes["l200-p04_r000"] == "no grouping holds l200-p04-r000: it is a partition of its own"
    assert notes["l200-calgroup001a"] == ""


def test_a_run_in_two_partitions_of_a_section_is_refused(small: Tree) -> None:
    file = small.write("inputs/datasets/cal_groupings.yaml", "default: {a: {p03: all}, b: {p03: r001}}\n")
    with pytest.raises(UserError, match=r"default: p03 r001 is in the partitions a and b") as caught:
        opened(small).units.of(SMALL.by_name["par_pht_partcal"])
    assert str(file) in caught.value.message


def test_a_job_of_a_partition_knows_what_is_of_which_run(small: Tree) -> None:
    cycle = opened(small)
    job = cycle.job("par_pht_partcal", "l200-calgroup001a.V02160B")
    assert [channel.name for channel in job.channels] == ["V02160B"]
    assert [path.name for path in job.inputs["dsp"]] == [
        "l200-p03-r000-cal-20230311T235840Z-tier_psp.lh5",
        "l200-p03-r000-cal-20230312T005840Z-tier_psp.lh5",
        "l200-p03-r001-cal-20230317T211819Z-tier_psp.lh5",
    ]
    assert list(job.runs) == ["l200-p03-r000", "l200-p03-r001"]
    second = job.runs["l200-p03-r001"]
    assert [path.name for path in second.inputs["dsp"]] == [f"{CAL['r001']}-tier_psp.lh5"]
    assert [path.name for path in second.inputs["pars"]] == [f"{CAL['r001']}-par_hit.yaml"]
    assert "noise" not in second.inputs and [path.name for path in job.inputs["noise"]] == [f"{FFT}-tier_psp.lh5"]


def test_the_parameters_of_a_partition_are_read_by_run(small: Tree) -> None:
    cycle = opened(small)
    job = cycle.job("par_pht_partcal", "l200-calgroup001a.V02160B")
    for number, run in enumerate(("r000", "r001")):
        path = cycle.output("par_hit", cycle.scheme.key(CAL[run]))
        small.write(str(path.relative_to(small.root)), f"V02160B: {{slope: {number}}}\n")
    assert [job.pars("pars", run) for run in job.runs] == [{"V02160B": {"slope": 0}}, {"V02160B": {"slope": 1}}]


def test_a_run_merges_the_entries_of_all_partitions_that_hold_it(small: Tree) -> None:
    cycle = opened(small)
    of_runs = {run: cycle.job("par_pht", CAL[run]).inputs["par_pht_partcal"] for run in CAL}
    folder = small.root / "generated/tmp/par"
    usual, own, gap = (
        folder / f"l200-{name}-par_pht_partcal.yaml" for name in ("calgroup001a", "calgroup001a.V02160B", "p03_r002")
    )
    assert of_runs == {"r000": (usual, own), "r001": (usual, own), "r002": (usual, gap)}


def test_a_step_of_a_partition_reads_another_one_of_the_same_partition(small: Tree) -> None:
    cycle = opened(small)
    for unit in cycle.units.of(cycle.step("par_pht_lq")):
        (path,) = cycle.job("par_pht_lq", unit).inputs["energies"]
        assert path == cycle.output("par_pht_partcal", unit)


def test_files_of_another_datatype_are_those_of_the_same_run(small: Tree) -> None:
    cycle = opened(small)
    noise = cycle.job("par_dsp_noise", CAL["r000"]).inputs["noise"]
    assert [path.name for path in noise] == [f"{FFT}-tier_raw.lh5"]
    assert "noise" not in cycle.job("par_dsp_noise", CAL["r001"]).inputs
    assert cycle.lineage("par_dsp_noise", cycle.scheme.key(CAL["r001"]))


def test_a_required_datatype_that_is_not_there_is_named(small: Tree) -> None:
    needing = Step(
        "par_dsp_fft",
        Scope.RUN,
        (Input("raw", datatypes=("fft",)),),
        PART,
        part_of="dsp",
        module="steps.par_dsp_pz.build",
    )
    cycle = opened(small, Registry([*SMALL.steps, needing]))
    assert len(cycle.job("par_dsp_fft", CAL["r000"]).inputs["raw"]) == 1
    with pytest.raises(UserError, match="par_dsp_fft needs fft files of l200-p03-r001: there are none"):
        cycle.job("par_dsp_fft", CAL["r001"])


def test_a_step_has_several_outputs_that_others_read(small: Tree) -> None:
    cycle = opened(small)
    made = {
        role: str(path.relative_to(small.root))
        for role, path in cycle.job("par_dsp_noise", CAL["r001"]).outputs.items()
    }
    assert made == {
        "par": f"generated/tmp/par/{CAL['r001']}-par_dsp_noise.yaml",
        "filter": f"generated/par/dsp/cal/p03/r001/{CAL['r001']}-par_dsp_filter.lh5",
    }
    (peaks,) = cycle.job("par_dsp_noise", CAL["r001"]).inputs["peaks"]
    assert peaks == small.root / f"generated/tmp/par/{CAL['r001']}-par_dsp_peaks_peaks.lh5"
    assert cycle.sources("par_dsp_noise", cycle.scheme.key(CAL["r001"]))[peaks][0] == "par_dsp_peaks"


def test_twins_share_a_module_and_speak_of_the_same_roles(small: Tree) -> None:
    cycle = opened(small)
    job = cycle.job("tier_pht", PHY)
    assert job.module == "steps.tier_hit.build"
    assert job.inputs["dsp"] == (small.root / f"generated/tier/psp/phy/p03/r001/{PHY}-tier_psp.lh5",)
    assert job.inputs["par_hit"] == (small.root / f"generated/par/pht/cal/p03/r001/{CAL['r001']}-par_pht.yaml",)
    small.config["table_format"] = {"psp": "ch{ch:07d}/psp", "pht": "ch{ch:07d}/pht"}
    job = opened(small).job("tier_pht", PHY)
    assert [job.table(role, job.channels[-1]) for role in ("dsp", "hit")] == ["ch1104001/psp", "ch1104001/pht"]


def test_a_partition_has_a_rule_a_target_and_a_lineage(small: Tree) -> None:
    cycle = opened(small)
    jobs = list(all_jobs(cycle))
    assert ("par_pht_partcal", "l200-p04_r000") in [(step, str(unit)) for step, unit in jobs]
    cycle.check(jobs)
    step = cycle.step("par_pht_partcal")
    assert cycle.paths.outputs(step)["par"] == "generated/tmp/par/{experiment}-{partition}-par_pht_partcal.yaml"
    fields = {"experiment": "l200", "partition": "calgroup001a.V02160B"}
    unit = cycle.units.named(step, fields)
    assert unit.name == "l200-calgroup001a.V02160B"
    assert unit.key == cycle.scheme.key(CAL["r000"]) and len(unit.keys) == 3
    assert [str(each) for _, each in resolve("all-l200-p03-r002-cal-par_pht.gen", cycle).jobs] == [CAL["r002"]]
    with pytest.raises(UserError, match="par_pht_partcal has no partition 'l200-calgroup009'"):
        cycle.units.named(step, {"experiment": "l200", "partition": "calgroup009"})


def test_new_runs_of_a_partition_change_its_lineage_and_no_other(small: Tree) -> None:
    def lineages(cycle: Cycle) -> dict[str, str]:
        return {
            unit.name: cycle.lineage("par_pht_partcal", unit) for unit in cycle.units.of(cycle.step("par_pht_partcal"))
        }

    before = lineages(opened(small))
    small.write("inputs/datasets/cal_groupings.yaml", GROUPINGS.replace("r000..r002", "r000..r001"))
    after = lineages(opened(small))
    assert {name for name in before if after.get(name) == before[name]} == {"l200-p04_r000"}


def test_each_tier_has_a_catalogue_of_the_datatypes_of_its_steps(small: Tree) -> None:
    lar = Step(
        "par_hit_spms", Scope.RUN, (Input("dsp"),), PART, ("fft",), part_of="hit", module="steps.par_dsp_pz.build"
    )
    others = [step for step in SMALL.steps if step.name != "par_hit_ecal"]
    cycle = opened(small, Registry([*others, lar]))
    phy = cycle.scheme.key("l200-p03-r000-phy-20230312T043356Z")
    assert cycle.catalog_of("hit").at(phy) == (cycle.scheme.key(FFT),)
    assert cycle.catalog_of("dsp").at(phy) == (cycle.scheme.key(CAL["r000"]),)
    assert [str(unit) for unit in cycle.units.of(lar)] == [FFT]
