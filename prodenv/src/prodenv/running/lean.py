"""``python -m prodenv.running.lean``: Snakemake, which loads pandas and numpy when something of them is used.

At each start Snakemake imports all executors that are installed, and that for SLURM imports both for a report: 0.3 s
and 70 MB. ``tests/workflow/test_lean.py`` tells when this is not needed any more.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

LATER = ("pandas", "numpy")
"""Packages that are loaded when something of them is used."""


class Later:
    """Finds some packages so that an import by their name alone loads nothing; the first attribute does."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The package as Python finds it, None for all others."""
        found = PathFinder.find_spec(name, path, target) if name in LATER else None
        if found and found.loader:
            found.loader = LazyLoader(found.loader)
        return found


def main() -> None:
    """Be Snakemake."""
    sys.meta_path.insert(0, Later)
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
