"""``dataprod-install-sw``: the software of a cycle."""

from __future__ import annotations

from prodenv.software.install import run

__all__ = ["run"]
