"""Settings of evt: channels, operations and outputs in the form of :func:`pygama.evt.build_evt`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field

from dataflow.metadata.settings import Nowhere, Place, StepOptions, StepSettings

from .operations import event_config


class ChannelList(StepSettings):
    """The channels of a system, or of all.

    Attributes
    ----------
    system
        Such as geds; without it, the channels of all systems.
    selectors
        What else they have in common: ``analysis.usability: "on"``.
    """

    system: str | None = None
    selectors: dict[str, Any] | None = None


class EvtOperation(StepSettings):
    """One column of the events.

    Attributes
    ----------
    channels
        Names of lists of channels.
    exclude_channels
        Names of lists of channels that get the initial value.
    aggregation_mode
        How the channels of an event become one value or a list; without it, an expression of other columns.
    expression
        Of columns of dsp, hit, tcm and evt.
    query
        Which hits count.
    sort
        Order of a list: ``ascend_by:dsp.tp_0_est``.
    parameters
        Numbers that the expression names.
    initial
        The value of an event without hits.
    dtype
        Type of the numbers.
    lgdo_attrs
        Attributes of the column, such as its units.
    description
        What it is.
    """

    channels: str | tuple[str, ...] | None = None
    exclude_channels: str | tuple[str, ...] | None = None
    aggregation_mode: str | None = None
    expression: str
    query: str | None = None
    sort: str | None = None
    parameters: dict[str, Any] | None = None
    initial: bool | float | str | None = None
    dtype: str | None = None
    lgdo_attrs: dict[str, Any] | None = None
    description: str | None = None


class EvtConfig(StepSettings):
    """What an event consists of.

    Attributes
    ----------
    channels
        Lists of channels by name: a system with selectors, a table, or a list of tables.
    operations
        Columns by name; ``a___b`` is the column b of the table a, what begins with ``_`` is not written.
    outputs
        Columns of the result.
    """

    channels: dict[str, ChannelList | str | tuple[str, ...]]
    operations: dict[str, EvtOperation]
    outputs: tuple[str, ...]

    @classmethod
    def read(cls, config: Mapping[str, Any], name: str = "", place: Place | None = None) -> Self:
        """Settings whose expressions, modes and names have been checked."""
        found = super().read(config, name, place)
        event_config(config, dict.fromkeys(found.channels, ()), (place or Nowhere()).error)
        return found


class EvtOptions(StepOptions):
    """Options of the rule.

    Attributes
    ----------
    buffer_len
        Events in memory.
    """

    buffer_len: int | None = Field(None, ge=1)
