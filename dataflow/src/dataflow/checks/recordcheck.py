"""Whether a file that carries a lineage has the record that says what it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from dataflow.provenance.records import FOLDER, LENGTH, Records, recipe_file

_DIGEST = re.compile(rf"[0-9a-f]{{{LENGTH}}}")


def record_problems(records: Records, path: Path, carried: str, *, required: bool = True) -> list[str]:
    """What is wrong with the record of a file, as sentences without the name of the file.

    Parameters
    ----------
    records
        The records.
    path
        The file.
    carried
        The lineage that it carries; files of other tools have none, and no record either.
    required
        Whether a file with a lineage must have a record. One that was brought here alone has none.
    """
    recorded = records.lineage(path)
    if recorded is None:
        return ["it carries a lineage and has no record, or more than one"] if carried and required else []
    if carried and carried != recorded:
        return [f"its record is that of another file: {recorded}, not {carried}"]
    record = records.raw(path)
    if record is None:
        return [f"its record in {FOLDER} cannot be read"]
    return [
        f"its record needs {recipe_file(path, digest).name} in {FOLDER}, which is {_state(path, digest)}"
        for digest in sorted({*_digests(record.get("recipe"))})
        if not isinstance(records.part(path, digest), Mapping)
    ]


def _state(path: Path, digest: str) -> str:
    return "damaged: remove that too" if recipe_file(path, digest).exists() else "missing"


def _digests(value: object) -> Iterator[str]:
    """The parts of a recipe that are kept in files of their own."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _digests(item)
    elif isinstance(value, str) and _DIGEST.fullmatch(value):
        yield value
