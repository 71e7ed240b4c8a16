"""Two cycles side by side: configuration, software, workflow, metadata, data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodenv.base.errors import UserError
from prodenv.base.files import read_data, sha256_of
from prodenv.base.sources import state
from prodenv.cycles.manifest import entries_of
from prodenv.cycles.outputs import Contents
from prodenv.cycles.setups import Setup
from prodenv.software.install import lock_of

ABSENT = None
_SUFFIXES = (".yaml", ".yml", ".json")
MOST_ENTRIES = 20
"""As many changed entries of a file are listed; of more, only the number."""


@dataclass(frozen=True)
class Difference:
    """Something that is not the same.

    Parameters
    ----------
    name
        What it is.
    a, b
        The two values; ``None`` where there is none.
    """

    name: str
    a: Any
    b: Any


def configuration(a: Setup, b: Setup) -> list[Difference]:
    """Entries of the configurations; paths count as they are seen from their cycle."""
    return _differing(_flat(_configured(a)), _flat(_configured(b)))


def _configured(setup: Setup) -> dict[str, Any]:
    told = ("experiment", "keys", "table_format", "pkg_versions", "failing_channels", "settings")
    execenv = {name: value for name, value in setup.values["execenv"].items() if name != "bind"}
    paths = {name: _seen(path, setup.directory) for name, path in setup.paths.items()}
    chosen = {name: setup.values[name] for name in told} | {"paths": paths, "execenv": execenv}
    return {**chosen, **setup.values["options"]}


def _seen(path: Path, root: Path) -> str:
    return f"$_/{path.relative_to(root)}" if path.is_relative_to(root) else str(path)


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """A nested value as one mapping of dotted names."""
    if not isinstance(value, Mapping) or not value:
        return {name: value} if value != {} else {}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flat(item, f"{name}.{key}" if name else str(key))
    return flat


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    return [Difference(name, a.get(name), b.get(name)) for name in sorted({*a, *b}) if a.get(name) != b.get(name)]


def software(a: Setup, b: Setup) -> list[Difference]:
    """Versions of Python, packages and checkouts."""
    return _differing(_versions(a), _versions(b))


def _versions(setup: Setup) -> dict[str, str]:
    """By the lock; where there is none, by what lies in the environment."""
    try:
        lock = json.loads(lock_of(setup).read_text(encoding="utf-8"))
        versions = {entry["name"]: entry.get("version") or entry.get("address", "") for entry in lock["packages"]}
        for checkout in lock["checkouts"]:
            versions[checkout["name"]] = f"checkout {checkout['revision'][:12]} {checkout['changes'][:12]}".rstrip()
        return versions | {"python": lock["python"].get("version", "")}
    except (OSError, ValueError, KeyError, TypeError):
        found = sorted((setup.path("install") / "lib").glob("python3.*/site-packages/*.dist-info"))
        names = (path.name.removesuffix(".dist-info").partition("-") for path in found)
        return {name.lower().replace("_", "-"): version for name, _, version in names}


def workflow(a: Setup, b: Setup) -> list[Difference]:
    """The revision of the workflow, and its files that differ."""
    return _trees(a.path("dataflow"), b.path("dataflow"), entries=False)


def metadata(a: Setup, b: Setup) -> list[Difference]:
    """The revision of the metadata, and the entries of its files that differ."""
    return _trees(a.path("inputs"), b.path("inputs"), entries=True)


def _trees(a: Path, b: Path, *, entries: bool) -> list[Difference]:
    revisions = [Difference("revision", *(state(path).get("revision", "") for path in (a, b)))]
    first, second = _hashes(a), _hashes(b)
    found = [each for each in revisions if each.a != each.b]
    for name in sorted({*first, *second}):
        if name not in first or name not in second:
            found.append(Difference(name, *("there" if name in tree else ABSENT for tree in (first, second))))
        elif first[name] != second[name]:
            found += (
                _file(name, a / name, b / name) if entries else [Difference(name, first[name][:8], second[name][:8])]
            )
    return found


def _hashes(folder: Path) -> dict[str, str]:
    """The sha256 of the files of a folder by name; hidden ones are left out."""
    if not folder.is_dir():
        return {}
    files = [entry for entry in entries_of(folder.resolve()) if entry.hashed and not _is_hidden(entry.name)]
    return {entry.name: sha256_of(Path(entry.path)) for entry in files}


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _file(name: str, a: Path, b: Path) -> Iterator[Difference]:
    """The entries of two metadata files that differ; for other files, that they do."""
    if a.suffix not in _SUFFIXES:
        yield Difference(name, "one content", "another")
        return
    try:
        found = _differing(*(_flat(_as_mapping(read_data(path))) for path in (a, b)))
    except UserError as error:
        yield Difference(name, "one content", error.message)
        return
    for each in found[:MOST_ENTRIES]:
        yield Difference(f"{name}: {each.name}", each.a, each.b)
    if len(found) > MOST_ENTRIES:
        yield Difference(f"{name}: {len(found) - MOST_ENTRIES} more entries", "…", "…")


def _as_mapping(data: Any) -> Any:
    """A list as a mapping of positions."""
    return {f"[{number}]": item for number, item in enumerate(data)} if isinstance(data, list) else data


def data(a: Contents, b: Contents) -> list[Difference]:
    """The numbers of files of each kind and run."""
    return _differing(_counts(a), _counts(b))


def _counts(contents: Contents) -> dict[str, int]:
    counts: dict[str, int] = {}
    counts |= {f"{run} daq": number for run, number in contents.daq.items()}
    for output in contents.outputs():
        if output.run:
            counts[f"{output.run} {output.kind}"] = counts.get(f"{output.run} {output.kind}", 0) + 1
    return counts
