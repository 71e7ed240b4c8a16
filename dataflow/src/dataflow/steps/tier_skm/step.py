"""What tier_skm is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import Input, Resources, Scope, Step

STEP = Step(
    "tier_skm",
    Scope.RUN,
    (Input("evt"),),
    rule="tier_skm",
    configs={"skm_config": "tier_skm.settings:SkmConfig"},
    resources=Resources(2000),
    doc="events for analysis",
)
