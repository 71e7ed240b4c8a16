"""Whether chains are compiled: the setting ``compiled_chains``, which jobs find in their environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dataflow.jobs.compiled import CHAINS


def is_on(chain: Mapping[str, Any]) -> bool:
    """Whether a chain is to be compiled: unless it is switched off, or the chain reads further files."""
    return os.environ.get(CHAINS) != "0" and not chain.get("inputs")
