"""The campaigns of faults run hours; what they start from is checked here."""

from __future__ import annotations

from torture.order import in_order

from dataflow.registry.step import DAQ
from dataflow.registry.steps import REGISTRY


def test_steps_of_the_campaign_come_after_those_that_they_need() -> None:
    order = in_order("raw", "tcm", "dsp", "hit", "evt")
    assert {"par_tcm_pulser", "par_dsp_pz", "par_dsp", "par_hit_ecal", "tier_evt"} <= set(order)
    for place, name in enumerate(order):
        needed = {each.source for each in REGISTRY.by_name[name].inputs if not each.optional} - {DAQ}
        assert needed <= set(order[:place]), name
