"""A column of hit that nobody makes stops the plan, with file and line."""

from __future__ import annotations

import pytest

from dataflow.base.errors import UserError

from .conftest import Tree
from .test_stepconfig import CAL, configure

FOLDER = "inputs/dataprod/config"


def plan(tree: Tree, config: str = "", chain: str = "", step: str = "tier_hit", key: str = CAL) -> str:
    """Plan with files laid over hit_config and the chain of germanium; the error, empty if there is none."""
    rules = {
        "tier_hit": {"inputs": {"hit_config": {"geds": "$_/hit.yaml"}} if config else {}},
        "tier_dsp": {"inputs": {"processing_chain": {"geds": "$_/chain.yaml"}} if chain else {}},
    }
    tree.write(f"{FOLDER}/hit.yaml", config)
    tree.write(f"{FOLDER}/chain.yaml", chain)
    configure(tree, rules)
    cycle = tree.open()
    try:
        cycle.check([(step, cycle.unit(step, key))])
    except UserError as error:
        return error.render().replace(f"{tree.root}/", "")
    return ""


@pytest.mark.parametrize(
    ("config", "line", "said"),
    [
        ("outputs: [$default, is_valid_bseline]\n", 1, "'is_valid_bseline', which no operation makes"),
        ("\noutputs:\n- $default\n- trapEmx_ctc_cal\n", 4, "did you mean 'trapEmax_ctc_cal'?"),
        ("outputs: [$default, cuspEmax_cal]\n", 1, "did you mean 'cuspEmax_ctc_cal'?"),
        ("outputs: [$default, entirely_other]\n", 1, "'entirely_other', which no operation makes and dsp does"),
        ("operations:\n  ratio: {expression: A_max / cuspEmx}\n", 2, "did you mean 'cuspEmax'?"),
        ("operations:\n  ratio: {expression: A_max / other}\n", 2, "'other', which no operation makes"),
        ("aggregations:\n  flags: {bit0: is_saturatd}\n", 2, "did you mean 'is_saturated'?"),
        ("outputs_if_calibrated: [$default, AoE_Clasifier]\n", 1, "did you mean 'AoE_Classifier'?"),
    ],
)
def test_a_name_that_nobody_makes_is_refused(tree: Tree, config: str, line: int, said: str) -> None:
    found = plan(tree, config)
    assert found.startswith(f"error: {FOLDER}/hit.yaml:{line}: hit_config names ")
    assert said in found


@pytest.mark.parametrize(
    "config",
    [
        "outputs: [$default, mine, bl_std]\noperations:\n  mine: {expression: bl_std * a, parameters: {a: 2}}\n",
        "outputs: [$default, dplmsEmax_ctc_cal, is_valid_rt_classifier]\n",
        "outputs: [$default, AoE_Classifier, LQ_Cut]\n",
        "outputs_if_calibrated: [$default, made_by_my_own_step]\n",
        "outputs: [timestamp]\noperations: {}\n",
    ],
)
def test_what_dsp_an_operation_or_a_calibration_makes_is_taken(tree: Tree, config: str) -> None:
    assert plan(tree, config) == ""


def test_an_output_that_the_chain_no_longer_has_is_named(tree: Tree) -> None:
    tree.write(f"{FOLDER}/none.yaml", "")
    chain = "outputs: {$replace: true}\n"
    assert "outputs" in plan(tree, "", chain)  # a list cannot be replaced so
    chain = "outputs: [timestamp, cuspEmax]\n"
    found = plan(tree, "", chain)
    assert "which no operation makes and dsp does not have" in found


def test_a_column_of_an_override_is_known(tree: Tree) -> None:
    config = "outputs: [$default, own_energy]\n"
    assert "'own_energy'" in plan(tree, config)
    for detector in ("V02160A", "V02160B"):
        text = f"{detector}: {{pars: {{operations: {{own_energy: {{expression: cuspEmax}}}}}}}}\n"
        tree.write(f"inputs/dataprod/overrides/hit/{detector}.yaml", text)
    files = ["V02160A.yaml", "V02160B.yaml"]
    tree.validity("dataprod/overrides/hit", {"valid_from": "20200101T000000Z", "apply": files})
    assert plan(tree, config) == ""


def cut(quantity: str) -> str:
    """A quality cut on a quantity."""
    return f"cal_fields: {{cut_parameters: {{mine: {{{quantity}, cut_level: {{high_side: 10}}, mode: inclusive}}}}}}"


@pytest.mark.parametrize(
    ("rule", "name", "text", "said"),
    [
        ("pars_hit_ecal", "ecal_config", "energy_params: [cuspEmax, trapEmx]", "did you mean 'trapEmax'?"),
        ("pars_hit_ecal", "ecal_config", "energy_params: [cuspEmax, an_energy_of_some_detectors]", ""),
        ("pars_hit_aoecal", "aoecal_config", "current_param: A_mx", "did you mean 'A_max'?"),
        ("pars_hit_aoecal", "aoecal_config", "current_param: other", "aoecal_config names 'other', which no operation"),
        ("pars_hit_aoecal", "aoecal_config", "params: {x: {dt_param: dt_ef, suffix: x}}", "did you mean 'dt_eff'?"),
        ("pars_hit_aoecal", "aoecal_config", "cal_energy_param: cuspEmx_ctc_cal", "did you mean 'cuspEmax_ctc_cal'?"),
        ("pars_hit_aoecal", "aoecal_config", "cal_energy_param: cuspEmax_cal", ""),
        ("pars_hit_lqcal", "lqcal_config", "lq_param: lq_80", "did you mean 'lq80'?"),
        ("pars_hit_lqcal", "lqcal_config", "lq_param: lq80", ""),
        ("pars_hit_qc", "qc_config", cut("cut_parameter: pz_bl_stdd"), "did you mean 'pz_bl_std'?"),
        ("pars_hit_qc", "qc_config", cut("cut_parameter: pz_bl_std / cuspEmx"), "did you mean 'cuspEmax'?"),
        ("pars_hit_qc", "qc_config", cut("cut_parameter: pz_bl_std / sqrt(cuspEmax)"), ""),
        ("pars_hit_qc", "qc_config", "cal_fields: {cut_parameters: {x: {expression: is_valid_rt & is_valid_t0}}}", ""),
    ],
)
def test_a_column_that_a_calibration_takes_is_looked_for(
    tree: Tree, rule: str, name: str, text: str, said: str
) -> None:
    step = {
        "ecal_config": "par_hit_ecal",
        "aoecal_config": "par_hit_aoe",
        "lqcal_config": "par_hit_lq",
        "qc_config": "par_hit_qc",
    }[name]
    tree.write(f"{FOLDER}/settings.yaml", f"{text}\n")
    configure(tree, {rule: {"inputs": {name: "$_/settings.yaml"}}})
    cycle = tree.open()
    if not said:
        cycle.check([(step, cycle.unit(step, CAL))])
        return
    with pytest.raises(UserError) as caught:
        cycle.check([(step, cycle.unit(step, CAL))])
    assert said in caught.value.render() and "settings.yaml:1:" in caught.value.message


def test_dsp_that_others_made_is_not_judged(tree: Tree) -> None:
    tree.config["paths"] = {"tier_dsp": str(tree.root / "elsewhere")}
    tree.save()
    tree.write(f"elsewhere/cal/p03/r000/{CAL}-tier_dsp.lh5")
    assert plan(tree, "outputs: [$default, entirely_other]\n") == ""
