"""Where the production environment and its tools are. Standard library only, and syntax of Python 3.7."""

from __future__ import annotations

from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parents[4]
"""The production environment that this file belongs to."""


def tools_python() -> Path:
    """The interpreter of the tools, installed or not."""
    return ROOT / "tools" / "env" / "bin" / "python"
