"""Whether a parameter file says why what it does not know is not known, and the figures as well."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Place = tuple[str, ...]
P_VALUES = {"p_value": "chi_square", "p_val": "csqr"}
"""Names of probabilities, which need degrees of freedom, and of what holds their number beside them."""
SIDES = {"low": "high", "high": "low"}
REASONS = ("_failed", "_left_out")
"""How names end that say why a result is absent."""


def unexplained(entry: Mapping[str, Any]) -> list[str]:
    """Places of a detector's entry that are empty, or no numbers, without a reason in the entry."""
    warnings = " ".join(map(str, _values(entry.get("warnings"))))
    return [".".join(path) for path, beside in _empty(entry, ()) if not _is_explained(path, beside, entry, warnings)]


def _values(warnings: Any) -> list[Any]:
    return list(warnings.values()) if isinstance(warnings, Mapping) else list(warnings or ())


def _empty(node: Any, path: Place) -> Iterator[tuple[Place, Any]]:
    """Paths of what is no number, with what stands beside it."""
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for name, value in items:
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            yield (*path, str(name)), node
        yield from _empty(value, (*path, str(name)))


def _is_explained(path: Place, beside: Any, entry: Mapping[str, Any], warnings: str) -> bool:
    name = path[-1]
    if not isinstance(beside, Mapping) or beside.get(name, 0) is not None:
        return False  # NaN and infinity, holes in lists, and what has no name, say nothing to a reader
    if name in P_VALUES:
        return bool(beside[P_VALUES[name]][1] <= 0)
    if "qc_levels" in path and name in SIDES:
        return beside[SIDES[name]] is not None
    if "dt_correction" in path:
        return not _at(entry, path[:-2]).get("rt_correction", True)
    if name in {"sf", "sf_err"}:
        return any(f"{float(path[-2]):g}" in each for each in warnings.split("survival fraction at")[1:])
    return "fwhm" in name and any(each in path for each in warnings.split())


def _at(node: Any, path: Place) -> Any:
    for name in path:
        node = node[name]
    return node


def reasons(entry: Mapping[str, Any]) -> list[str]:
    """All that an entry says about what is absent: of the detector, of a step, of a result."""
    found = [str(entry["status"]["reason"])] if "status" in entry else []
    for name, value in _named(entry):
        if name in {"failed", "not_made"} or (name.endswith(REASONS) and isinstance(value, str)):
            found.append(str(value))
    return found


def _named(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield str(name), value
            yield from _named(value)


def texts(data: Path, detector: str) -> str:
    """What stands on the pages of a detector, by the data of the figures."""
    found: list[str] = []

    def take(name: str, node: Any) -> None:
        if name.endswith(("texts", "title")) and isinstance(node, h5py.Dataset):
            found.extend(each.decode() for each in np.ravel(node[()]))

    with h5py.File(data) as file:
        file[detector].visititems(take)
    return " ".join(" ".join(found).split())
