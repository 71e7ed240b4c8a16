"""Where a cycle is that is called ``ref/v1``."""

from __future__ import annotations

import os
from pathlib import Path

from dataflow.base.errors import UserError
from dataflow.plan.cycle import open_cycle

from .production import Production

CONFIGS = ("config.json", "config.yaml", "config.yml")


def open_production(name: str | os.PathLike[str], experiment: str | None = None) -> Production:
    """Open a production cycle for reading; nothing is ever written.

    Parameters
    ----------
    name
        The folder of the cycle or its configuration file; relative to the current folder or to ``$PRODENV``.
    experiment
        Name of the setup in the configuration; default: its only one.

    Raises
    ------
    UserError
        If there is no such cycle, or its configuration is wrong.
    """
    if not isinstance(name, str | os.PathLike) or not os.fspath(name):
        hint = "for example dataprod.open('ref/v1'); `dataprod list` shows them"
        raise UserError(f"a cycle is named by its folder or its configuration file, not by {name!r}", hint=hint)
    return Production(open_cycle(_config(Path(os.path.expanduser(name))), experiment))  # noqa: PTH111 - never raises


def _config(path: Path) -> Path:
    bases = [Path.cwd(), *([Path(os.environ["PRODENV"])] if os.environ.get("PRODENV") else [])]
    for base in bases:
        place = base / path
        if place.is_file():
            return place
        for config in CONFIGS:
            if (place / config).is_file():
                return place / config
    looked = " and ".join(map(str, bases))
    hint = "give the folder of a cycle; `dataprod list` shows them"
    if len(bases) == 1 and not path.is_absolute():
        hint = "PRODENV is not set: source setup.sh, or give the whole path"
    raise UserError(f"there is no cycle {str(path)!r} (looked in {looked})", hint=hint)
