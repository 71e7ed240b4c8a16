"""What tier_raw is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import DAQ, Input, Resources, Scope, Step

STEP = Step(
    "tier_raw",
    Scope.FILE,
    (Input(DAQ),),
    rule="tier_raw_{daq}",
    configs={"settings": "tier_raw.settings:RawSettings", "out_spec": "tier_raw.settings:OutSpec"},
    options="tier_raw.settings:RawOptions",
    resources=Resources(2000),
    doc="DAQ file to LH5",
)
