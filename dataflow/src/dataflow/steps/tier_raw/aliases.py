"""Names of detectors beside the numbers of channels: the collaboration's ``raw/V07302A`` for ``ch1105600/raw``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py

TOP = "raw"


def link_names(path: Path, names: Mapping[str, str]) -> None:
    """Add a hard link ``raw/NAME`` to each table of a file: the same data under a second name, and no copy of it.

    Parameters
    ----------
    path
        A raw file.
    names
        Name of the detector by table; tables that the file lacks are left out.
    """
    with h5py.File(path, "a") as file:
        tables = {table: name for table, name in names.items() if table in file and table != TOP}
        if not tables:
            return
        group = file.require_group(TOP)
        for table, name in tables.items():
            group[name] = file[table]
        for node in (group, file):
            node.attrs["datatype"] = f"struct{{{','.join(node)}}}"
