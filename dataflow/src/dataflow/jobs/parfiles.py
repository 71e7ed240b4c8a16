"""Writing parameter files: plain YAML, keys in a fixed order, read by every loader."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dataflow.metadata.merge import merged_all


def plain(value: Any) -> Any:
    """A value as YAML knows it: numpy scalars and arrays become numbers and lists, mappings become dictionaries."""
    if isinstance(value, Mapping):
        return {
            plain(name) if isinstance(name, int | float) else str(name): plain(item) for name, item in value.items()
        }
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


BY_RUN = "by_run"
"""What an entry of a partition's file says of single runs, by run."""


def of_run(entry: Mapping[str, Any], run: str) -> dict[str, Any]:
    """What an entry says of one run: what it says of all, with what it says of that run merged over it."""
    common = {name: value for name, value in entry.items() if name != BY_RUN}
    return dict(merged_all([common, (entry.get(BY_RUN) or {}).get(run) or {}]))


def write_pars(path: Path, pars: Mapping[str, Any]) -> None:
    """Write parameters by detector."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(plain(pars), stream, Dumper=dumper, sort_keys=False, default_flow_style=None, width=120)
