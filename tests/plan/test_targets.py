"""What targets mean, and what is said about wrong ones."""

from __future__ import annotations

import pytest

from dataflow.base.errors import UserError
from dataflow.plan.targets import is_target, resolve

from .conftest import KEYS, TESTSTAND_KEYS, Tree


def keys(tree: Tree, text: str) -> list[str]:
    return [str(key) for _, key in resolve(text, tree.open()).jobs]


def steps(tree: Tree, text: str) -> set[str]:
    return {step for step, _ in resolve(text, tree.open()).jobs}


def refusal(tree: Tree, text: str) -> str:
    with pytest.raises(UserError) as caught:
        resolve(text, tree.open())
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("all-l200-p03-r000-cal-hit.gen", [0, 1]),
        ("all-l200-p03-r000-cal-20230312T005840Z-hit.gen", [1]),
        ("all-l200-p03-r001-hit.gen", [4, 5]),
        ("all-l200-p04-raw.gen", [6, 7]),
        ("all-l200-dsp.gen", range(8)),
        ("all-raw.gen", range(8)),
        ("all-*-*-*-cal-evt.gen", [0, 1, 4, 6]),
        ("all-l200-p03_p04-r000-phy-hit.gen", [2, 3, 7]),
        ("all-l200-p03-r000_r001-cal_phy-tcm.gen", range(6)),
        ("all-l200-p0*-r00[01]-phy-tcm.gen", [2, 3, 5, 7]),
        ("all-l200-p03_p04-r001-*-tcm.gen", [4, 5]),
    ],
)
def test_fields_are_values_lists_and_patterns(tree: Tree, text: str, numbers: list[int]) -> None:
    assert keys(tree, text) == [KEYS[number] for number in numbers]


def test_a_run_list_selects(tree: Tree) -> None:
    tree.write(
        "inputs/datasets/runlists.yaml",
        "valid:\n  cal: {p03: r000..r001}\n  phy: {p03: [r001], p04: all}\nother:\n  cal: {p05: all}\n",
    )
    assert keys(tree, "valid-l200-*-*-*-hit.gen") == [KEYS[n] for n in (0, 1, 4, 5, 7)]
    assert keys(tree, "valid-l200-p03-r001-phy-hit.gen") == [KEYS[5]]
    assert "no data of the run list 'other'" in refusal(tree, "other-l200-hit.gen")


def test_physics_runs_make_one_skim_each(tree: Tree) -> None:
    assert keys(tree, "all-l200-*-*-*-skm.gen") == [KEYS[2], KEYS[5], KEYS[7]]
    assert "made from phy or ssc or rdc data; the target matches cal" in refusal(tree, "all-l200-p03-r000-cal-skm.gen")


def test_parameters_are_targets_too(tree: Tree) -> None:
    assert keys(tree, "all-l200-*-par_hit.gen") == [KEYS[0], KEYS[4], KEYS[6]]
    assert steps(tree, "all-l200-p03-r000-cal-par_dsp.gen") == {"par_dsp"}
    assert "par_dsp is made from cal data" in refusal(tree, "all-l200-p03-r000-phy-par_dsp.gen")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("all-l200-p3-r000-cal-hit.gen", "'p3' is not a valid period: a period looks like p03"),
        ("all-l200-p03-0-cal-hit.gen", "'0' is not a valid run: a run looks like r001"),
        ("all-l200-p03-r000-call-hit.gen", "'call' is not a valid datatype: a datatype looks like cal"),
        ("all-l200-p03-r000-cal-today-hit.gen", "'today' is not a valid timestamp"),
        ("all-l200-p03_p5-hit.gen", "'p5' is not a valid period"),
        ("all-p03-*-evt.gen", "no data of experiment 'p03'; there are l200"),
        ("all-l201-p03-hit.gen", "no data of experiment 'l201'; there are l200 (did you mean 'l200'?)"),
        ("all-l200-p09-hit.gen", "no data of period 'p09'; there are p03, p04"),
        ("all-l200-p03_p09-hit.gen", "no data of period 'p09'; there are p03, p04"),
        ("all-l200-p09*-hit.gen", "no data of period 'p09*'; there are p03, p04"),
        ("all-l200-p04-r001-hit.gen", "no data of run 'r001' for the fields before it; there are r000"),
        ("all-l200-p03-r000-fft-hit.gen", "no data of datatype 'fft'; there are cal, phy"),
        ("all-l200-p03-r000-cal-20230318T000000Z-hit.gen", "no data of timestamp '20230318T000000Z'"),
        ("all-l200-p03-r000-cal-*-x-hit.gen", "'x' is one part too many"),
        (
            "all-l200-p03-r000-cal-hti.gen",
            "no tier 'hti'; there are raw, tcm, dsp, hit, evt, skm, pht, par_dsp, par_hit, par_pht",
        ),
        ("all-l200-p03-daq.gen", "there is no tier 'daq'"),
        ("all-l200-p03-tier_dps.gen", "(did you mean 'dsp'?)"),
        ("all-l200-p03-tier2.gen", "there is no tier 'tier2'"),
        ("sel-l200-p03-hit.gen", "there is no run list 'sel'"),
        ("hit.gen", "'hit.gen' is not a target (write all-experiment-period-run-datatype-timestamp-TIER.gen"),
        ("all--p03-hit.gen", "is not a target"),
    ],
)
def test_a_wrong_target_is_refused_with_the_choices(tree: Tree, text: str, message: str) -> None:
    assert message in refusal(tree, text)


def test_a_key_without_a_selection_before_it_is_refused_with_the_target_that_was_meant(tree: Tree) -> None:
    with pytest.raises(UserError, match=r"l200-p03-r000-cal-hit\.gen: there is no run list 'l200'") as error:
        resolve("l200-p03-r000-cal-hit.gen", tree.open())
    assert error.value.hint == "did you mean 'all-l200-p03-r000-cal-hit.gen'?"


def test_a_target_without_any_data_says_where_it_looked(empty: Tree) -> None:
    assert f"there is no data in {empty.root}/generated/tier/daq" in refusal(empty, "all-l200-hit.gen")


def test_a_target_whose_data_are_all_ignored_says_so(empty: Tree) -> None:
    empty.daq(KEYS[0])
    empty.write("inputs/datasets/ignored_daq_cycles.yaml", f"removed: [{KEYS[0]}]\n")
    assert "no data that is not ignored" in refusal(empty, "all-l200-hit.gen")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("all-B00000B-co_HS5_top_dlt-tier2.gen", [3]),
        ("all-char_data-B00000B-co_HS5_top_dlt-r001-dsp.gen", [3]),
        ("all-char_data-B00000B-co_HS5_top_dlt-tier1.gen", [3]),
        ("all-V99000A-co_HS5_top_dlt-r002-tier3.gen", [6]),
        ("all-B00000B_V99000A-th_HS2_top_psa-hit.gen", [2, 4]),
        ("all-B00000B-th_HS2_lat_psa_co_HS5_top_dlt-hit.gen", [1, 3]),
        ("all-*-co_HS5_top_dlt-r001-hit.gen", [3, 5]),
        ("all-*-*-co_HS5_top_dlt-hit.gen", [3, 5, 6]),
        ("all-*-B00000B-hit.gen", [0, 1, 2, 3]),
        ("all-B00000B-th_*-hit.gen", [1, 2]),
        ("all-tier1.gen", range(7)),
    ],
)
def test_a_test_stands_targets(stand: Tree, text: str, numbers: list[int]) -> None:
    assert sorted(keys(stand, text)) == sorted(TESTSTAND_KEYS[number] for number in numbers)


@pytest.mark.parametrize(
    ("text", "step"), [("tier1", "tier_raw"), ("tier2", "tier_dsp"), ("tier3", "tier_hit"), ("hit", "tier_hit")]
)
def test_a_test_stands_tiers_have_numbers(stand: Tree, text: str, step: str) -> None:
    assert steps(stand, f"all-B00000B-co_HS5_top_dlt-{text}.gen") == {step}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("all-B00000C-co_HS5_top_dlt-hit.gen", "no data of detector 'B00000C'; there are B00000B, V99000A"),
        ("all-B00000B-co_HS6_top_dlt-hit.gen", "did you mean 'co_HS5_top_dlt'"),
        ("all-V99000A-am_HS1_top_dlt-hit.gen", "for the fields before it; there are co_HS5_top_dlt, th_HS2_top_psa"),
        ("all-B00000B-co_HS5_top_dlt-evt.gen", "there is no tier 'evt'; there are raw, dsp, hit, tier1, tier2, tier3"),
    ],
)
def test_a_test_stands_wrong_target_is_refused(stand: Tree, text: str, message: str) -> None:
    assert message in refusal(stand, text)


def test_a_test_stands_run_lists_go_by_measurement_and_detector(stand: Tree) -> None:
    stand.write("inputs/datasets/runlists.yaml", "good:\n  co_HS5_top_dlt: {V99000A: r002, B00000B: all}\n")
    assert keys(stand, "good-*-hit.gen") == [TESTSTAND_KEYS[3], TESTSTAND_KEYS[6]]


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("all-l200-hit.gen", True),
        ("generated/x.gen", False),
        ("--x.gen", False),
        ("a=b.gen", False),
        ("generated/tier/a.lh5", False),
    ],
)
def test_targets_are_told_from_other_words_of_a_command_line(word: str, answer: bool) -> None:
    assert is_target(word) is answer
