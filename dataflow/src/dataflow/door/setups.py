"""The configuration of a cycle as values, and what follows from it alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataflow.base.errors import UserError
from dataflow.keys.scheme import scheme_of
from dataflow.setup.config import ExecEnv, Setup, read_config
from dataflow.setup.execenv import wrap
from dataflow.setup.schema import PATHS, TABLE_FORMAT, spelled_out
from dataflow.setup.wishes import not_installed

_UNWRITTEN = frozenset({"orig", "cache", "par_ecal"})
"""Paths that are read for older files' sake, and that a new file does without."""
_TEST_STAND_TABLES = {"raw": "raw", "dsp": "dsp", "hit": "hit", "tcm": "hardware_tcm_1", "evt": "evt", "skm": "skm"}


def setup_of(question: Mapping[str, Any]) -> Setup:
    """The setup that a question is about."""
    return read_config(question["config"], question.get("experiment"))


def setup(question: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with every default filled in. With `lenient`, entries of other flows are taken as they are."""
    if question.get("lenient"):
        return plain(read_config(question["config"], question.get("experiment"), lenient=True)) | {"scheme": ""}
    found = setup_of(question)
    scheme = scheme_of(found.keys, f"{found.file}: keys")
    return plain(found) | {"scheme": scheme.name, "tiers": list(scheme.tiers)}


def plain(found: Setup) -> dict[str, Any]:
    """A setup as values."""
    env = found.execenv
    return {
        "experiment": found.experiment,
        "file": str(found.file),
        "directory": str(found.directory),
        "paths": {name: str(path) for name, path in found.paths.items()},
        "table_format": dict(found.table_format),
        "keys": found.keys,
        "failing_channels": found.failing_channels,
        "settings": found.settings,
        "execenv": {"name": env.name, "cmd": env.cmd, "arg": env.arg, "env": dict(env.env), "bind": env.bind},
        "pkg_versions": dict(found.pkg_versions),
        "options": dict(found.options),
    }


def form(question: Mapping[str, Any]) -> dict[str, Any]:
    """A complete configuration in the collaboration's form, of a setup `experiment` with keys of `scheme`."""
    tables = dict(TABLE_FORMAT) if question["scheme"] == "l200" else _TEST_STAND_TABLES
    new: dict[str, Any] = {
        "keys": question["scheme"],
        "paths": {name: spelled_out(name) for name in PATHS if name not in _UNWRITTEN},
        "execenv": {"bare": {}},
        "table_format": tables,
        "pkg_versions": {},
        "failing_channels": "record",
        "settings": {},
    }
    return {"setups": {question["experiment"]: new}}


def wrapped(question: Mapping[str, Any]) -> dict[str, Any]:
    """The command `argv` and the environment `environ` as they run in the execution environment of a `setup`."""
    found = _again(question["setup"])
    interactive, tty = bool(question.get("interactive")), bool(question.get("tty"))
    argv, environ = wrap(found, question["argv"], question["environ"], interactive=interactive, tty=tty)
    return {"argv": argv, "environ": environ}


def _again(values: Mapping[str, Any]) -> Setup:
    """A setup from its values, as far as running commands needs it."""
    env = values["execenv"]
    return Setup(
        experiment=values["experiment"],
        file=Path(values["file"]),
        directory=Path(values["directory"]),
        paths={name: Path(path) for name, path in values["paths"].items()},
        table_format={},
        keys="",
        failing_channels="record",
        settings={},
        execenv=ExecEnv(env["name"], tuple(env["cmd"]), tuple(env["arg"]), env["env"], tuple(env["bind"])),
        pkg_versions={},
        options={},
    )


def software(question: Mapping[str, Any]) -> dict[str, str] | None:
    """What is to be said if the installed software is not what the configuration asks for; None if nothing."""
    return said(not_installed(setup_of(question)))


def said(error: UserError | None) -> dict[str, str] | None:
    """A sentence as values."""
    return {"message": error.message, "hint": error.hint} if error else None


def here(path: str | os.PathLike[str], found: Setup) -> str:
    """A path relative to the cycle where it lies in it."""
    return os.fspath(path).removeprefix(f"{found.directory}{os.sep}")
