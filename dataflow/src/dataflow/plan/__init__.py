"""The plan: keys, selections, validity, channels, paths. Names and times only; no data is read and nothing written."""

from __future__ import annotations

from .cycle import Cycle, open_cycle
from .errors import UserError
from .model import Channel, Job, Key

__all__ = ["Channel", "Cycle", "Job", "Key", "UserError", "open_cycle"]
