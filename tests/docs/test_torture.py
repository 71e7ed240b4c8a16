"""The campaigns of faults run hours; what they start from is checked here."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from torture.order import WITH_WORKERS, in_order

from dataflow.registry.step import DAQ
from dataflow.registry.steps import REGISTRY, STEPS


def test_steps_of_the_campaign_come_after_those_that_they_need() -> None:
    order = in_order("raw", "tcm", "dsp", "hit", "evt")
    assert {"par_tcm_pulser", "par_dsp_pz", "par_dsp", "par_hit_ecal", "tier_evt"} <= set(order)
    for place, name in enumerate(order):
        needed = {each.source for each in REGISTRY.by_name[name].inputs if not each.optional} - {DAQ}
        assert needed <= set(order[:place]), name


def test_the_campaign_knows_the_steps_that_have_workers() -> None:
    """Those whose module spreads germanium detectors over processes, but for those that only some targets ask for."""
    planned = set(in_order("dsp", "hit"))
    found = set()
    for step in STEPS:
        source = Path(import_module(f"dataflow.{step.module}").__file__ or "").read_text(encoding="utf-8")
        if "calibrate_detectors(" in source or "build_by_channel(" in source:
            found.add(step.name)
    assert set(WITH_WORKERS) == {name for name in found & planned if "spms" not in name}
