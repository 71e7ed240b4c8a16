"""Settings of skm: which events and which fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from dataflow.base.errors import UserError
from dataflow.metadata.expressions import parsed
from dataflow.metadata.settings import Nowhere, Place, StepSettings


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

    @classmethod
    def read(cls, config: Mapping[str, Any], name: str = "", place: Place | None = None) -> Self:
        """Settings whose filter has been checked."""
        found = super().read(config, name, place)
        if found.evt_filter is not None:
            try:
                parsed(found.evt_filter, "evt_filter")
            except UserError as error:
                raise (place or Nowhere()).error(error.message, "evt_filter", hint=error.hint) from None
        return found
