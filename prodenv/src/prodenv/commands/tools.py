"""``prodenv-tools``: uv, Snakemake and what the commands need."""

from __future__ import annotations

from prodenv.software.tools import run

__all__ = ["run"]
