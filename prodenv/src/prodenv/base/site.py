"""Site configuration: where the sources of new cycles come from.

``site.yaml`` beside ``setup.sh`` has the addresses; the file that ``$PRODENV_SITE`` names is laid over it, entry by
entry; options of the commands take precedence over both.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from .errors import UserError


@dataclass(frozen=True)
class Site:
    """Where things come from at this place.

    Parameters
    ----------
    sources
        Address of ``dataflow``, ``simflow`` and ``metadata``.
    dataflows
        Address of each workflow that can be given by its name.
    software
        Address of each package that can be checked out by its name.
    """

    sources: Mapping[str, str]
    dataflows: Mapping[str, str]
    software: Mapping[str, str]


def read_site(root: Path) -> Site:
    """Read the site configuration of the production environment at `root`.

    Raises
    ------
    UserError
        If a file cannot be read or does not have the form.
    """
    merged: dict[str, dict[str, str]] = {"sources": {}, "dataflows": {}, "software": {}}
    override = os.environ.get("PRODENV_SITE", "")
    for file in [root / "site.yaml", *([Path(override)] if override else [])]:
        for section, entries in _read(file).items():
            merged[section] |= entries
    return Site(**merged)


def _read(file: Path) -> dict[str, dict[str, str]]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except OSError as error:
        hint = "set PRODENV_SITE to a YAML file, or unset it"
        raise UserError(f"cannot read the site configuration {file}: {error.strerror}", hint=hint) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(f"{file}{line}: not valid YAML: {getattr(error, 'problem', error)}") from None
    return {section: _section(file, section, entries) for section, entries in _mapping(file, content).items()}


def _mapping(file: Path, content: object) -> dict[str, object]:
    if not isinstance(content, dict):
        raise UserError(f"{file}: a mapping with `sources`, `dataflows` and `software` is expected")
    unknown = sorted(set(content) - {"sources", "dataflows", "software"})
    if unknown:
        raise UserError(f"{file}: unknown key {unknown[0]!r}", hint="known are: dataflows, software, sources")
    return content


def _section(file: Path, section: str, entries: object) -> dict[str, str]:
    if entries is None:
        return {}
    if not isinstance(entries, dict) or not all(isinstance(value, str) for value in entries.values()):
        raise UserError(f"{file}: {section} must be a mapping of names to addresses")
    unknown = sorted(set(entries) - {"dataflow", "simflow", "metadata"})
    if section == "sources" and unknown:
        raise UserError(f"{file}: unknown key 'sources.{unknown[0]}'", hint="known are: dataflow, metadata, simflow")
    return {str(name): value for name, value in entries.items()}
