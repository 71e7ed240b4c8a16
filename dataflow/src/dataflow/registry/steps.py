"""The registry: every step that there is, in the order in which they are shown; parts are merged in this order.

A new step is one more folder in ``dataflow/steps``, and a line here.
"""

from __future__ import annotations

from importlib import import_module

from .step import Input, Registry, Resources, Scope, Step, twin, with_figures


def of(folder: str, tier: str = "") -> Step:
    """What a folder in ``dataflow/steps`` declares; of several steps, the one of a tier."""
    module = import_module(f"dataflow.steps.{folder}.step")
    declared: tuple[Step, ...] = module.STEPS if tier else (module.STEP,)
    return next(step for step in declared if tier in ("", step.tier))


OF_PARTITION = (
    Input("dsp"),
    Input("par_tcm_pulser", role="masks"),
    Input("par_pht_qc", role="qc"),
    Input("par_pht_partcal", role="ecal"),
)
"""What classifiers of a partition are made from: its own quality cuts and energies."""

DECLARED: tuple[Step, ...] = (
    of("tier_raw"),
    of("tier_tcm"),
    of("tier_dsp"),
    of("tier_hit"),
    of("tier_evt"),
    of("tier_skm"),
    twin(of("tier_hit"), {"hit": "pht"}, rule="tier_pht", doc="hit with the parameters of partitions"),
    of("par_tcm_pulser"),
    of("par_dsp_pz"),
    of("par_dsp_evtsel"),
    of("par_dsp_nopt"),
    of("par_dsp_eopt"),
    of("par_dsp_dplms"),
    of("par_dsp_svm"),
    of("par_dsp_spms"),
    of("merge", "dsp"),
    of("par_hit_qc"),
    of("par_hit_ecal"),
    of("par_hit_aoe"),
    of("par_hit_lq"),
    of("par_hit_spms"),
    of("merge", "hit"),
    twin(
        of("par_hit_qc"),
        {"hit": "pht"},
        scope=Scope.PARTITION,
        rule="pars_pht_qc",
        resources=Resources(8000, 8),
        doc="quality cuts of the runs of a partition together",
    ),
    of("par_pht_partcal"),
    twin(
        of("par_hit_aoe"),
        {"hit": "pht"},
        scope=Scope.PARTITION,
        inputs=OF_PARTITION,
        rule="pars_pht_aoecal",
        configs={"par_pht_aoecal_config": "par_hit_aoe.settings:Settings"},
        resources=Resources(8000, 8),
        doc="A/E of the runs of a partition together",
    ),
    twin(
        of("par_hit_lq"),
        {"hit": "pht"},
        scope=Scope.PARTITION,
        inputs=(*OF_PARTITION, Input("par_pht_aoe", role="aoe")),
        rule="pars_pht_lqcal",
        resources=Resources(8000, 8),
        doc="late charge of the runs of a partition together",
    ),
    twin(of("par_hit_spms"), {"hit": "pht"}, rule="pars_pht_spms"),
    of("merge", "pht"),
    of("validity", "dsp"),
    of("validity", "hit"),
    of("validity", "pht"),
)

STEPS: tuple[Step, ...] = tuple(with_figures(DECLARED))

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
