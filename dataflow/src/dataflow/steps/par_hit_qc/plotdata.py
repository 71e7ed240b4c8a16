"""Quality cuts as the collaboration's dashboard draws them: ``qc/<cut>_data`` with edges, counts and levels."""

from __future__ import annotations

from typing import Any

import numpy as np

from .figure import BINS, counts_in, range_of
from .result import Result


def plot_data(found: Result) -> dict[str, Any]:
    """By cut; the classifier in widths of its quantity, levels NaN on a side without one."""
    made = {}
    for name, levels in found.levels.items():
        edges = np.linspace(*range_of(levels), BINS + 1)
        cuts = [np.nan if level is None else level for level in (levels.low, levels.high)]
        made[f"{name}_data"] = {
            "edges": edges,
            "counts": counts_in(found.cal_values.get(name, np.empty(0)), edges),
            "cuts": np.array(cuts),
            "xlabel": f"({levels.quantity} - {levels.mode:.4g}) / {levels.width:.3g}",
        }
    return {"qc": made}
