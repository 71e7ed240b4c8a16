"""The steps of a production in the order in which they can be run, as the registry has them.

Without those that are planned only where the metadata ask for them.
"""

from __future__ import annotations

from dataflow.registry.steps import REGISTRY, STEPS, parts_of


def in_order(*tiers: str) -> tuple[str, ...]:
    """All steps of some tiers: the parts of a tier's parameters, their merge, the tier."""
    found: list[str] = []
    for tier in tiers:
        merge = [f"par_{tier}"] if f"par_{tier}" in REGISTRY.by_name else []
        found += [*(part.name for part in parts_of(tier) if not part.only_with), *merge] if merge else []
        found.append(f"tier_{tier}")
    assert set(found) <= {step.name for step in STEPS}
    return tuple(found)
