"""``dataprod find CYCLE KEYS``: keys and files, for people, scripts and pipes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import dataprod
from dataflow.plan.words import listing
from prodenv.cycles import find_cycle
from prodenv.errors import UserError
from prodenv.render import print_json


def run(options: argparse.Namespace) -> int:
    """Print the keys that fit, or the files of a tier; returns 1 if there are none."""
    production = dataprod.open(find_cycle(options.cycle).config, options.setup)
    if options.missing and not options.tier:
        raise UserError("--missing files of which tier?", hint="add --tier hit, for example")
    found, why = _missing(production, options) if options.missing else _there(production, options)
    if options.json:
        print_json(found)
    else:
        for each in found:
            print(each.get("path") or each["key"])
    if not found:
        sys.stderr.write(why + "\n")
    return 0 if found else 1


def _there(production: dataprod.Production, options: argparse.Namespace) -> tuple[list[dict[str, Any]], str]:
    """What fits, and what to say if nothing does."""
    if not options.tier:
        keys = production.keys(options.pattern, where=options.where)
        return [{"key": str(key), **key.fields} for key in keys], _no_key(production, options)
    try:
        files = production.files(options.tier, options.pattern, where=options.where)
    except dataprod.NothingFound as nothing:
        return [], str(nothing)
    found = [{"key": str(file), **file.fields, "path": str(file.path), "size": _size(file.path)} for file in files]
    return found, ""


def _no_key(production: dataprod.Production, options: argparse.Namespace) -> str:
    wanted = " and ".join(filter(None, [options.pattern, options.where]))
    return f"no key fits {wanted!r} (there are runs: {listing(production.runs)})"


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


def _missing(production: dataprod.Production, options: argparse.Namespace) -> tuple[list[dict[str, Any]], str]:
    """The files that the tier would have if everything was made, and what to say if there are none."""
    per_run = (production.cycle.scheme.run_files or {}).get(options.tier)
    keys = production.keys(options.pattern, where=options.where)
    if not keys:
        return [], _no_key(production, options)
    expected: dict[Path, dict[str, Any]] = {}
    for key in keys:
        if per_run is None or key.datatype in per_run:
            path = production.expected(options.tier, key)
            expected.setdefault(path, {"key": str(key), **key.fields, "path": str(path)})
    return [entry for path, entry in expected.items() if not path.exists()], f"no {options.tier} file is missing"
