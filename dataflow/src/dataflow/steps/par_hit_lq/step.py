"""What par_hit_lq is made from, and what it needs."""

from __future__ import annotations

from dataclasses import replace

from dataflow.registry.step import GERMANIUM, PART_AND_FIGURES, Input, Resources, Scope, Step

LQ = "lq"
"""The classifier in the pulse-shape status of a detector."""

CONFIG = "lqcal_config"
"""The input with the settings."""

STEP = Step(
    "par_hit_lq",
    Scope.RUN,
    (
        Input("dsp"),
        Input("par_tcm_pulser", role="masks"),
        Input("par_hit_qc", role="qc"),
        Input("par_hit_ecal", role="ecal"),
        Input("par_hit_aoe", role="aoe"),
    ),
    PART_AND_FIGURES,
    part_of="hit",
    rule="pars_hit_lqcal",
    configs={CONFIG: "par_hit_lq.settings:Settings"},
    channels=replace(GERMANIUM, classifiers=(LQ,)),
    resources=Resources(4000, 8),
    doc="late charge: drift-time correction, cut and survival fractions",
)
