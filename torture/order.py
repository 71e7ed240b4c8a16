"""The steps of a production in the order in which they can be run, as the registry has them.

Without those that are planned only where the metadata ask for them.
"""

from __future__ import annotations

from dataflow.registry.steps import REGISTRY, STEPS, parts_of

WITH_WORKERS = (
    *("par_dsp_pz", "par_dsp_evtsel", "par_dsp_nopt", "par_dsp_eopt", "par_dsp_dplms", "tier_dsp"),
    *("par_hit_qc", "par_hit_ecal", "par_hit_aoe", "par_hit_lq", "tier_hit"),
)
"""Steps of a production that work on germanium detectors in several processes."""


def in_order(*tiers: str) -> tuple[str, ...]:
    """All steps of some tiers: the parts of a tier's parameters, their merge, the tier.

    Parts without a merge (the masks of tcm) are made of the tier.
    """
    found: list[str] = []
    for tier in tiers:
        parts = [part.name for part in parts_of(tier) if not part.only_with]
        merge = f"par_{tier}"
        found += [*parts, merge, f"tier_{tier}"] if merge in REGISTRY.by_name else [f"tier_{tier}", *parts]
    assert set(found) <= {step.name for step in STEPS}
    return tuple(found)
