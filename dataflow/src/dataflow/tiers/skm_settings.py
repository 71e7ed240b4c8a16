"""Settings of skm: which events and which fields."""

from __future__ import annotations

from dataflow.plan.settings import StepSettings


class SkmConfig(StepSettings):
    """What an analysis starts from.

    Attributes
    ----------
    evt_filter
        An expression over flattened fields such as ``geds_multiplicity == 1``; without it, all events.
    keep_fields
        Names of fields or groups of fields; without it, all.
    """

    evt_filter: str | None = None
    keep_fields: tuple[str, ...] | None = None
