"""The registry: every step that there is, in the order in which they are shown; parts are merged in this order.

A new step is one more folder in ``dataflow/steps``, and a line here.
"""

from __future__ import annotations

from dataflow.steps.merge import step as merge
from dataflow.steps.par_dsp_dplms import step as par_dsp_dplms
from dataflow.steps.par_dsp_evtsel import step as par_dsp_evtsel
from dataflow.steps.par_dsp_nopt import step as par_dsp_nopt
from dataflow.steps.par_dsp_pz import step as par_dsp_pz
from dataflow.steps.par_hit_aoe import step as par_hit_aoe
from dataflow.steps.par_hit_ecal import step as par_hit_ecal
from dataflow.steps.par_pht_partcal import step as par_pht_partcal
from dataflow.steps.par_tcm_pulser import step as par_tcm_pulser
from dataflow.steps.tier_dsp import step as tier_dsp
from dataflow.steps.tier_evt import step as tier_evt
from dataflow.steps.tier_hit import step as tier_hit
from dataflow.steps.tier_raw import step as tier_raw
from dataflow.steps.tier_skm import step as tier_skm
from dataflow.steps.tier_tcm import step as tier_tcm
from dataflow.steps.validity import step as validity

from .step import Input, Registry, Step, twin

STEPS: tuple[Step, ...] = (
    tier_raw.STEP,
    tier_tcm.STEP,
    tier_dsp.STEP,
    tier_hit.STEP,
    tier_evt.STEP,
    tier_skm.STEP,
    twin(tier_hit.STEP, {"hit": "pht"}, rule="tier_pht", doc="hit with the parameters of partitions"),
    par_tcm_pulser.STEP,
    par_dsp_pz.STEP,
    par_dsp_evtsel.STEP,
    par_dsp_nopt.STEP,
    par_dsp_dplms.STEP,
    merge.STEPS[0],
    par_hit_ecal.STEP,
    par_hit_aoe.STEP,
    merge.STEPS[1],
    par_pht_partcal.STEP,
    merge.STEPS[2],
    validity.STEPS[0],
    validity.STEPS[1],
    validity.STEPS[2],
)

REGISTRY = Registry(STEPS)
BY_NAME = REGISTRY.by_name


def parts_of(tier: str) -> tuple[Step, ...]:
    """The steps whose results are merged into the parameter file of a tier, in order."""
    return REGISTRY.parts_of(tier)


def inputs_of(step: Step) -> tuple[Input, ...]:
    """The inputs of a step; a merge takes the results of its parts, each under the step's name."""
    return REGISTRY.inputs_of(step)


def calibrated_tiers() -> tuple[str, ...]:
    """The tiers that have parameter files."""
    return REGISTRY.calibrated_tiers()
