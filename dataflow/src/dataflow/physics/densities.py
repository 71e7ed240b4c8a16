"""pygama's peak shapes, with their compiled code kept beside the sources.

pygama compiles them in each process, seconds every time, unless it is told otherwise before they are first imported:
import them from here. ``dataflow.jobs.warm`` compiles them at installation.
"""

from __future__ import annotations

from typing import Any

from pygama.utils import numba_math_defaults

numba_math_defaults.cache = True

from pygama.math import distributions  # noqa: E402 - after the setting, which is the point
from pygama.math.hpge_peak_fitting import hpge_peak_fwhm  # noqa: E402

__all__ = ["distribution", "hpge_peak_fwhm"]


def distribution(name: str) -> Any:
    """One of pygama's distributions, for example ``hpge_peak``."""
    return getattr(distributions, name)
