"""What data is there: the DAQ and raw files of a cycle and their keys, found by one walk through the folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from dataflow.base.errors import UserError

from .daqforms import form_and_stem
from .key import Key
from .scheme import KeyScheme

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
    formats
        Names of the DAQ files' forms, see :mod:`dataflow.keys.daqforms`.
    left_out
        Files in the folder of DAQ files whose names are those of no known form.
    later
        Keys of files of later tiers, of which neither the DAQ file nor the raw file is there.
    """

    daq: Mapping[Key, Path]
    raw: Mapping[Key, Path]
    formats: Mapping[Key, str] = field(default_factory=dict)
    left_out: tuple[Path, ...] = ()
    later: frozenset[Key] = frozenset()


def scan(
    daq: Path | None,
    raw: Path,
    scheme: KeyScheme,
    foreign: tuple[str, ...] = (),
    tiers: Mapping[str, Path] | None = None,
) -> Inventory:
    """Find the files of a cycle.

    Parameters
    ----------
    daq
        Folder of the DAQ files, None to take raw files only.
    raw
        Folder of the raw files.
    scheme
        What keys look like.
    foreign
        Names of forms of DAQ files that other packages bring.
    tiers
        Folders of later tiers with one file a key.

    Raises
    ------
    UserError
        If a DAQ file has a name that is not a key, or a brace in its path, or two files have one key.
    """
    found = _daq_files(daq, scheme, foreign) if daq else Inventory({}, {})
    known = {str(key) for key in found.daq}
    rest = dict(_raw_files(raw, known, scheme))
    later = frozenset(_later(tiers or {}, known.union(map(str, rest)), scheme))
    return Inventory(found.daq, rest, found.formats, found.left_out, later)


def _later(tiers: Mapping[str, Path], known: set[str], scheme: KeyScheme) -> Iterator[Key]:
    """The keys of files of some tiers that are not known yet."""
    for tier, folder in tiers.items():
        for name, _ in _unknown(folder, f"-tier_{tier}.lh5", known):
            known.add(name)
            key = scheme.parse(name)
            if key is not None:
                yield key


def _unknown(folder: str | Path, ending: str, known: set[str]) -> list[tuple[str, str]]:
    """The files with some ending whose names before it are not known, sorted by folder: name and path."""
    expected = {name + ending for name in known}
    paths = [path for path in files_below(folder, expected) if path.endswith(ending)]
    return [(path.rpartition(os.sep)[2][: -len(ending)], path) for path in paths]


def left_out_note(inventory: Inventory, folder: Path) -> str:
    """One sentence on the files in the folder of DAQ files that are none of a known form, empty if there are none."""
    number = len(inventory.left_out)
    if not number:
        return ""
    names = ", ".join(os.path.relpath(path, folder) for path in inventory.left_out[:SHOWN])
    more = f", and {number - SHOWN} more" if number > SHOWN else ""
    return f"{number} file{'s' * (number > 1)} in {folder} left out, since their form is unknown: {names}{more}"


SHOWN = 3


def _daq_files(folder: Path, scheme: KeyScheme, foreign: tuple[str, ...]) -> Inventory:
    found: dict[Key, Path] = {}
    formats: dict[Key, str] = {}
    unknown, left_out = [], []
    folders: dict[str, Path] = {}  # few: their paths are taken to pieces once each
    for path in files_below(folder):
        place, _, name = path.rpartition(os.sep)
        form = form_and_stem(name, foreign)
        if form is None:
            left_out.append(Path(path))
            continue
        key = scheme.daq_key(form[1])
        if key is None:
            unknown.append(path)
        elif "{" in path or "}" in path:
            message = f"the path of the DAQ file {path} has a brace in it"
            raise UserError(f"{message}, which has a meaning in patterns of file names", hint="rename its folder")
        elif key in found:
            raise UserError(f"two DAQ files for {key}: {found[key]} and {path}", hint="keep one of them there")
        else:
            if place not in folders:
                folders[place] = Path(place)
            found[key], formats[key] = folders[place] / name, form[0].name
    if unknown:
        raise _nameless(unknown, scheme)
    return Inventory(found, {}, formats, tuple(left_out))


def _nameless(paths: list[str], scheme: KeyScheme) -> UserError:
    more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
    hint = f"a DAQ file is named {scheme.daq_form}, for example {scheme.daq_example}.fcio; rename it or move it away"
    return UserError(f"{paths[0]}{more} names no key of the scheme {scheme.name!r}", hint=hint)


def _raw_files(folder: Path, known: set[str], scheme: KeyScheme) -> Iterator[tuple[Key, Path]]:
    for name, path in _unknown(folder, RAW_ENDING, known):
        key = scheme.parse(name)
        if key is not None:
            yield key, Path(path)


def files_below(folder: str | Path, without: AbstractSet[str] = frozenset(), depth: int = 0) -> list[str]:
    """The files in a folder and the folders below it, sorted by folder; hidden ones are left out.

    Parameters
    ----------
    folder
        The folder; it need not exist.
    without
        Names of files that are left out, too: of a hundred thousand, it takes long to look at each.

    Raises
    ------
    UserError
        If a folder cannot be read.
    """
    try:
        # of many names, which most often are all known, it takes a third of the time to look at the names alone
        if without and all(name.startswith(".") for name in {*os.listdir(folder)} - without):  # noqa: PTH208
            return []
        with os.scandir(folder) as found:
            entries = sorted((entry for entry in found if entry.name not in without), key=attrgetter("name"))
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise UserError(f"{folder} cannot be read: {exc.strerror}", hint="see paths in the configuration") from exc
    files = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if not entry.is_dir():
            files.append(entry.path)
        elif depth < DEEPEST:
            files += files_below(entry.path, without, depth + 1)
    return files
