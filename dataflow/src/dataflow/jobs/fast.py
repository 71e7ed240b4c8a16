"""Whether tiers are made by whole columns: the setting ``fast_tiers``, which jobs find in their environment."""

from __future__ import annotations

import os

FAST = "DATAPROD_FAST_TIERS"
"""Environment variable: ``0`` if tcm, hit and tables of numbers are to be made by the libraries' functions."""


def choose(is_wanted: bool) -> None:
    """Tell this process and its workers."""
    os.environ[FAST] = str(int(is_wanted))


def is_on() -> bool:
    """Whether it is not switched off."""
    return os.environ.get(FAST) != "0"
