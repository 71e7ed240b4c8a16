"""Whether the parameter files of a cycle are what they were, can be read, and belong to their records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dataflow.base.errors import UserError
from dataflow.base.textfile import read as read_text_file
from dataflow.checks.recordcheck import record_problems
from dataflow.jobs.stamp import ATTRIBUTE
from dataflow.provenance.identity import hashed
from dataflow.provenance.records import Records

from .contents import contents_of

_LINEAGE = f"# {ATTRIBUTE}: "
"""What the last line of a parameter file begins with."""
CHANGED = "it is not what its job wrote"


def parameter_files(question: Mapping[str, Any]) -> dict[str, Any]:
    """Read the parameter files; `known` are hashes by path that need not be found again.

    Returns
    -------
    dict
        ``files`` and ``bytes`` that were looked at, and ``problems``: a ``file``, the ``problem``, and whether it is
        ``foreign``.
    """
    found = contents_of(question)
    root, known, records = found.setup.directory, question.get("known", {}), Records()
    outputs = [output.path for output in found.outputs() if output.path.endswith((".yaml", ".json"))]
    problems = [
        {"file": name, "problem": problem, "foreign": _is_foreign(root / name, records)}
        for name in outputs
        for problem in _problems(root / name, records, known.get(name))
    ]
    return {"files": len(outputs), "bytes": sum(_size(root / name) for name in outputs), "problems": problems}


def _problems(path: Path, records: Records, known: str | None) -> Iterator[str]:
    """What is wrong with a file, as sentences without its name."""
    try:
        read_text_file(path)
        carried = _lineage(path)
        sha256 = (records.raw(path) or {}).get("sha256")
        if sha256 and sha256 != (known or hashed(path)):
            yield CHANGED
        yield from record_problems(records, path, carried)
    except OSError as error:
        yield f"it cannot be read: {error.strerror}"
    except UserError as error:
        yield error.message.removeprefix(str(path)).lstrip(": ")


def _is_foreign(path: Path, records: Records) -> bool:
    """Whether no job of ours made a file: nothing is recorded of it, and it carries no lineage."""
    try:
        return records.is_foreign(path) and not _lineage(path)
    except (OSError, ValueError):
        return records.is_foreign(path)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _lineage(path: Path) -> str:
    """The lineage that a parameter file carries in its last line; empty if there is none."""
    last = (path.read_text(encoding="utf-8").rstrip().splitlines() or [""])[-1]
    return last.removeprefix(_LINEAGE) if last.startswith(_LINEAGE) else ""
