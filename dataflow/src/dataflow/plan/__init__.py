"""The plan: keys, selections, validity, channels, paths. Names and times only; no data is read and nothing written."""

from __future__ import annotations

from dataflow.base.errors import UserError
from dataflow.keys.channel import Channel
from dataflow.keys.key import Key

from .cycle import Cycle, open_cycle
from .job import Job

__all__ = ["Channel", "Cycle", "Job", "Key", "UserError", "open_cycle"]
