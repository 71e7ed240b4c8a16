"""What par_hit_aoe is made from, and what it needs."""

from __future__ import annotations

from dataclasses import replace

from dataflow.registry.step import GERMANIUM, PART_AND_FIGURES, Input, Resources, Scope, Step

LOW_AOE = "low_aoe"
"""The classifier in the pulse-shape status of a detector."""

CONFIGS = {"pars_hit_aoecal": "aoecal_config", "pars_pht_aoecal": "par_pht_aoecal_config"}
"""The input with the settings, by rule."""

STEP = Step(
    "par_hit_aoe",
    Scope.RUN,
    (
        Input("dsp"),
        Input("par_tcm_pulser", role="masks"),
        Input("par_hit_qc", role="qc"),
        Input("par_hit_ecal", role="ecal"),
    ),
    PART_AND_FIGURES,
    part_of="hit",
    rule="pars_hit_aoecal",
    configs={"aoecal_config": "par_hit_aoe.settings:Settings"},
    channels=replace(GERMANIUM, classifiers=(LOW_AOE,)),
    resources=Resources(4000, 8),
    doc="A/E: corrections, cut and survival fractions",
)
