"""What data is there: the DAQ and raw files of a cycle and their keys, found by one walk through the folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import UserError
from .model import Key
from .scheme import KeyScheme

FORMATS = ("fcio", "orca")
PACKED = ("", ".gz", ".bz2")
RAW_ENDING = "-tier_raw.lh5"
DEEPEST = 20
"""Folders below folders that are searched: a link to a parent folder must not keep us for ever."""


@dataclass(frozen=True)
class Inventory:
    """The files that are there, by key.

    Attributes
    ----------
    daq
        DAQ files.
    raw
        Raw files whose DAQ file is not there.
    """

    daq: Mapping[Key, Path]
    raw: Mapping[Key, Path]


def scan(daq: Path | None, raw: Path, scheme: KeyScheme) -> Inventory:
    """Find the files of a cycle.

    Parameters
    ----------
    daq
        Folder of the DAQ files, None to take raw files only.
    raw
        Folder of the raw files.
    scheme
        What keys look like.

    Raises
    ------
    UserError
        If a DAQ file has a name that is no key, or two files have one key.
    """
    found = _daq_files(daq, scheme) if daq else {}
    return Inventory(found, {key: path for key, path in _raw_files(raw, scheme) if key not in found})


def daq_format(path: Path) -> str:
    """``fcio`` or ``orca``."""
    return next(name for name in FORMATS if f".{name}" in path.suffixes)


def _daq_files(folder: Path, scheme: KeyScheme) -> dict[Key, Path]:
    found: dict[Key, Path] = {}
    unknown = []
    for path in files_below(folder):
        stem = _daq_stem(path.rpartition(os.sep)[2])
        if stem is None:
            continue
        key = scheme.daq_key(stem)
        if key is None:
            unknown.append(path)
        elif key in found:
            raise UserError(f"two DAQ files for {key}: {found[key]} and {path}", hint="keep one of them there")
        else:
            found[key] = Path(path)
    if unknown:
        raise _nameless(unknown, scheme)
    return found


def _daq_stem(name: str) -> str | None:
    """A DAQ file's name without its extensions, None if the name is not that of a DAQ file."""
    for packed in PACKED:
        for form in FORMATS:
            ending = f".{form}{packed}"
            if name.endswith(ending):
                return name[: -len(ending)]
    return None


def _nameless(paths: list[str], scheme: KeyScheme) -> UserError:
    more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
    hint = f"a DAQ file is named {scheme.daq_form}, for example {scheme.daq_example}.fcio; rename it or move it away"
    return UserError(f"{paths[0]}{more} names no key of the scheme {scheme.name!r}", hint=hint)


def _raw_files(folder: Path, scheme: KeyScheme) -> Iterator[tuple[Key, Path]]:
    for path in files_below(folder):
        if path.endswith(RAW_ENDING):
            key = scheme.parse(path.rpartition(os.sep)[2][: -len(RAW_ENDING)])
            if key is not None:
                yield key, Path(path)


def files_below(folder: str | Path, depth: int = 0) -> Iterator[str]:
    """The files in a folder and the folders below it, sorted by folder; hidden ones are left out."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise UserError(f"{folder} cannot be read: {exc.strerror}", hint="see paths in the configuration") from exc
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if depth < DEEPEST:
                yield from files_below(entry.path, depth + 1)
        else:
            yield entry.path
