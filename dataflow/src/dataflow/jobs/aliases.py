"""Names of detectors beside the numbers of channels: the collaboration's ``raw/V07302A`` for ``ch1105600/raw``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py

from dataflow.keys.channel import Channel
from dataflow.plan.job import Job

from .lh5files import name_members

SETTING = "aliases"


def link_names(
    job: Job, tier: str, path: Path, channels: Iterable[Channel], settings: Mapping[str, Any] | None = None
) -> None:
    """Add the hard links ``raw/NAME`` and ``NAME/raw`` to each table of a file, unless the settings say ``false``.

    They are second names of the same data, and no copies. Analyses of the collaboration find detectors by them.

    Parameters
    ----------
    job
        Its rule and the configuration may say ``aliases`` in their ``settings``.
    tier
        Of the file, such as ``raw``.
    path
        The file; a table without a channel of its own, as at test stands, gets no second name.
    channels
        Those whose tables are named; tables that the file lacks are left out.
    settings
        All settings, where a step has others too.
    """
    if settings is None:
        settings = dict(job.config.options.get("settings") or {}) | dict(job.settings or {})
    tables = {job.table(tier, channel): channel.name for channel in channels if channel.rawid is not None}
    if settings.get(SETTING, True) is not False:
        link(path, [(table, name) for table, name in tables.items() if "/" in table])


def link(path: Path, names: Iterable[tuple[str, str]]) -> None:
    """Add the links to a file: pairs of a table and a name."""
    with h5py.File(path, "a") as file:
        for table, name in names:
            top = table.rpartition("/")[2]
            for place, member in ((top, name), (name, top)) if table in file else ():
                if f"{place}/{member}" not in file:
                    group = file.require_group(place)
                    group[member] = file[table]
                    name_members(group)
        name_members(file)
