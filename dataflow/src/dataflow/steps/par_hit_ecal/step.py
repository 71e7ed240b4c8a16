"""What par_hit_ecal is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import GERMANIUM, PART_AND_FIGURES, Input, Resources, Scope, Step

STEP = Step(
    "par_hit_ecal",
    Scope.RUN,
    (Input("dsp"), Input("par_tcm_pulser", role="masks"), Input("par_dsp"), Input("par_hit_qc", role="qc")),
    PART_AND_FIGURES,
    part_of="hit",
    rule="pars_hit_ecal",
    configs={"ecal_config": "par_hit_ecal.settings:Settings", "sources": "par_hit_ecal.settings:Sources"},
    check="par_hit_ecal.source:calibration_of",
    channels=GERMANIUM,
    resources=Resources(4000, 8),
    doc="energy calibration",
)
