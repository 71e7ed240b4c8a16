"""What tier_hit is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import PROCESSED, Input, Resources, Scope, Step

STEP = Step(
    "tier_hit",
    Scope.FILE,
    (Input("dsp"), Input("par_hit"), Input("par_hit_spms", role="spms", optional=True)),
    rule="tier_hit",
    configs={"hit_config": "tier_hit.settings:HitConfig"},
    options="tier_hit.settings:HitOptions",
    channels=PROCESSED,
    resources=Resources(1500),
    doc="calibrated quantities",
)
