"""Writing parameter files: plain YAML, keys in a fixed order, read by every loader."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml


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


def write_pars(path: Path, pars: Mapping[str, Any]) -> None:
    """Write parameters by detector."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(plain(pars), stream, Dumper=dumper, sort_keys=False, default_flow_style=None, width=120)
