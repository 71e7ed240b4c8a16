"""Keys and files, as the reader of the cycle's flow finds them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dataprod
from dataflow.base.messages import listing


def find(question: Mapping[str, Any]) -> dict[str, Any]:
    """What fits `pattern` and `where`: keys, or files of `tier`, or those that are `missing`; and why nothing does."""
    production = dataprod.open(question["config"], question.get("experiment"))
    found, why = _missing(production, question) if question["missing"] else _there(production, question)
    return {"found": found, "why": why}


def _there(production: dataprod.Production, question: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """What fits, and what to say if nothing does."""
    pattern, where = question["pattern"], question["where"]
    if not question["tier"]:
        keys = production.keys(pattern, where=where)
        return [{"key": str(key), **key.fields} for key in keys], _no_key(production, question)
    try:
        files = production.files(question["tier"], pattern, where=where)
    except dataprod.NothingFound as nothing:
        return [], str(nothing)
    found = [{"key": str(file), **file.fields, "path": str(file.path), "size": _size(file.path)} for file in files]
    return found, ""


def _no_key(production: dataprod.Production, question: Mapping[str, Any]) -> str:
    wanted = " and ".join(filter(None, [question["pattern"], question["where"]]))
    return f"no key fits {wanted!r} (there are runs: {listing(production.runs)})"


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


def _missing(production: dataprod.Production, question: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """The files that the tier would have if everything was made, and what to say if there are none."""
    tier = question["tier"]
    per_run = (production.cycle.scheme.run_files or {}).get(tier)
    keys = production.keys(question["pattern"], where=question["where"])
    if not keys:
        return [], _no_key(production, question)
    expected: dict[Path, dict[str, Any]] = {}
    for key in keys:
        if per_run is None or key.datatype in per_run:
            path = production.expected(tier, key)
            expected.setdefault(path, {"key": str(key), **key.fields, "path": str(path)})
    return [entry for path, entry in expected.items() if not path.exists()], f"no {tier} file is missing"
