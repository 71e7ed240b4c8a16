"""What tier_tcm is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import Input, Scope, Step

STEP = Step(
    "tier_tcm",
    Scope.FILE,
    (Input("raw"),),
    rule="tier_tcm",
    configs={"config": "tier_tcm.settings:TcmSettings"},
    doc="which channels fired together",
)
