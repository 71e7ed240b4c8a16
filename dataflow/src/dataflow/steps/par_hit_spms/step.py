"""What par_hit_spms is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import DATA, LIGHT, OWN_PARS, SIPMS, Input, Output, Resources, Scope, Step

STEP = Step(
    "par_hit_spms",
    Scope.RUN,
    (Input("dsp"),),
    {**OWN_PARS, DATA: Output(".lh5", "plot")},
    datatypes=LIGHT,
    part_of="hit",
    merged=False,
    rule="pars_hit_spms",
    configs={"spms_config": "par_hit_spms.settings:Settings"},
    channels=SIPMS,
    resources=Resources(3000, 8),
    doc="photo-electron scale, dark rate and cross-talk of each SiPM",
)
