"""What tier_evt is made from, and what it needs."""

from __future__ import annotations

from dataclasses import replace

from dataflow.registry.step import PROCESSED, Input, Resources, Scope, Step

STEP = Step(
    "tier_evt",
    Scope.FILE,
    (Input("tcm"), Input("dsp"), Input("hit"), Input("par_hit")),
    rule="tier_evt",
    configs={"evt_config": "tier_evt.settings:EvtConfig", "muon_config": ""},
    options="tier_evt.settings:EvtOptions",
    channels=replace(PROCESSED, with_status=True),
    resources=Resources(2000),
    doc="events",
)
