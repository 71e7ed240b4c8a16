"""``dataprod-init-cycle``: a new production cycle."""

from __future__ import annotations

from prodenv.cycles.create import run

__all__ = ["run"]
