"""What par_hit_qc is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import GERMANIUM, PART_AND_FIGURES, Input, Resources, Scope, Step

STEP = Step(
    "par_hit_qc",
    Scope.RUN,
    (
        Input("dsp"),
        Input("dsp", role="noise", datatypes=("fft",), optional=True),
        Input("par_tcm_pulser", role="masks"),
    ),
    PART_AND_FIGURES,
    part_of="hit",
    rule="pars_hit_qc",
    configs={"qc_config": "par_hit_qc.settings:Settings"},
    channels=GERMANIUM,
    resources=Resources(4000, 8),
    doc="quality cuts, their classifiers and survival fractions",
)
