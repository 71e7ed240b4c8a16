"""``simprod-init-cycle``: a new cycle of simulated data."""

from __future__ import annotations

from prodenv.cycles.create import run_simulation as run

__all__ = ["run"]
