"""The configuration of a new cycle, written out in full so that it can be read and changed."""

from __future__ import annotations

import json
from typing import Any

from dataflow.plan.config_schema import PATHS, TABLE_FORMAT, spelled_out

_UNWRITTEN = frozenset({"orig", "cache"})
"""Paths that are read for older files' sake, and that a new file does without."""

_TEST_STAND_TABLES = {"raw": "raw", "dsp": "dsp", "hit": "hit", "tcm": "hardware_tcm_1", "evt": "evt", "skm": "skm"}


def config_of_new_cycle(experiment: str, scheme: str) -> dict[str, Any]:
    """A complete configuration in the collaboration's form.

    Parameters
    ----------
    experiment
        Name of the setup.
    scheme
        Scheme of the file names, ``l200`` or ``teststand``.
    """
    tables = dict(TABLE_FORMAT) if scheme == "l200" else _TEST_STAND_TABLES
    setup: dict[str, Any] = {
        "keys": scheme,
        "paths": {name: spelled_out(name) for name in PATHS if name not in _UNWRITTEN},
        "execenv": {"bare": {}},
        "table_format": tables,
        "pkg_versions": {},
        "failing_channels": "record",
        "settings": {},
    }
    return {"setups": {experiment: setup}}


def config_text(experiment: str, scheme: str) -> str:
    """The text of ``config.json``."""
    return json.dumps(config_of_new_cycle(experiment, scheme), indent=2) + "\n"
