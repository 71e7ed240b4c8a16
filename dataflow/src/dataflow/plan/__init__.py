"""The plan: keys, selections, validity, channels, paths. Names and times only; no data is read and nothing written."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataflow.base.errors import UserError
    from dataflow.keys.channel import Channel
    from dataflow.keys.key import Key

    from .cycle import Cycle, open_cycle
    from .job import Job

__all__ = ["Channel", "Cycle", "Job", "Key", "UserError", "open_cycle"]

_PLACES = {
    "Channel": "dataflow.keys.channel",
    "Cycle": "dataflow.plan.cycle",
    "Job": "dataflow.plan.job",
    "Key": "dataflow.keys.key",
    "UserError": "dataflow.base.errors",
    "open_cycle": "dataflow.plan.cycle",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: each job imports this package for its ticket, and most plan nothing."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
