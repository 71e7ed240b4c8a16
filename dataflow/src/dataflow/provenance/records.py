"""The records beside the outputs: what each file was made by.

In every folder with outputs there is a hidden folder ``.lineage``, which goes with it when the folder is moved or
copied, and which the readers of tiers and parameters do not look into. For an output ``NAME`` it holds

``NAME.<lineage>.json``
    how the file was made; the lineage is in the name so that a listing of the folder tells what is up to date.
``NAME.failed.json``
    how the last attempt failed.
``NAME.<digest>.notes.json``
    what the job left out, could not do, or warned of, by detector; only where there is something to say. The digest is
    that of the content, so that the same words about ten thousand files are read once.
``NAME.unfinished.json``
    a job is about to put this output in its place, or was killed while it did.
``<digest>.recipe.json``
    parts of recipes, by their hash; many outputs share one.

A record is removed before its output is made anew and written after it is whole; as long as there is none, the mark
``unfinished`` tells that the output is not to be taken for good. An output of which nothing at all is recorded is
*foreign*: somebody else made it. It is read, and never made again or written over.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = ".lineage"
FAILED = "failed"
UNFINISHED = "unfinished"
RECIPE = ".recipe.json"
NOTES = ".notes.json"
LENGTH = 32
_DIGITS = "0123456789abcdef"
_NOTES = re.compile(rf"(?P<name>.+)\.(?P<digest>[0-9a-f]{{{LENGTH}}}){re.escape(NOTES)}")


def record_file(output: Path, lineage: str) -> Path:
    """Where the record of an output is that was made by this lineage (or ``failed``)."""
    return output.parent / FOLDER / f"{output.name}.{lineage}.json"


def recipe_file(output: Path, digest: str) -> Path:
    """Where a part of the recipe of an output is."""
    return output.parent / FOLDER / f"{digest}{RECIPE}"


def notes_file(output: Path, digest: str) -> Path:
    """Where the notes of an output are whose content has this digest."""
    return output.parent / FOLDER / f"{output.name}.{digest}{NOTES}"


@dataclass(frozen=True)
class Listing:
    """What is in a folder of outputs.

    Attributes
    ----------
    names, links
        All names, and those of links among them.
    lineages
        The lineage of each output that has one record.
    failed
        Outputs whose last attempt failed.
    ours
        Outputs that a job of ours made, or began to.
    notes
        The digest of the notes of each output that has some.
    """

    names: frozenset[str]
    links: frozenset[str]
    lineages: Mapping[str, str]
    failed: frozenset[str]
    ours: frozenset[str]
    notes: Mapping[str, str]


class Records:
    """Looks at outputs and their records; each folder is listed once."""

    def __init__(self) -> None:
        self._folders: dict[str, Listing] = {}
        self._notes: dict[str, Mapping[str, Any]] = {}

    def is_there(self, output: str | Path) -> bool:
        """Whether there is an output; a link that leads nowhere is none."""
        folder, name = self._look(output)
        return name in folder.names and (name not in folder.links or os.path.exists(output))  # noqa: PTH110

    def lineage(self, output: str | Path) -> str | None:
        """The lineage that an output was made by, None if there is no record or more than one.

        An output that is a link to a file elsewhere, as in a derived cycle, has a lineage as long as the record beside
        that file agrees: the other cycle may have made the file anew.
        """
        folder, name = self._look(output)
        found = folder.lineages.get(name)
        if found is None or (name in folder.links and self._behind(output) != found):
            return None
        return found

    def has_record(self, output: str | Path) -> bool:
        """Whether it is recorded, even if not clearly, that a job of ours made an output, or began to."""
        folder, name = self._look(output)
        return name in folder.ours

    def is_foreign(self, output: str | Path) -> bool:
        """Whether there is an output that no job of ours made."""
        return self.is_there(output) and not self.has_record(output)

    def has_failed(self, output: str | Path) -> bool:
        """Whether the last attempt to make an output failed."""
        folder, name = self._look(output)
        return name in folder.failed

    def read(self, output: Path) -> Mapping[str, Any] | None:
        """The record of an output, with the parts of its recipe in place; None if there is none."""
        record = self.raw(output)
        if record is None:
            return None
        parts = {name: self.part(output, value) for name, value in dict(record.get("recipe", {})).items()}
        return dict(record) | {"recipe": parts}

    def raw(self, output: Path) -> Mapping[str, Any] | None:
        """The record of an output as it is written, None if there is none or it is not a record."""
        lineage = self.lineage(output)
        content = _read(record_file(output, lineage)) if lineage else None
        return content if content is not None and _is_record(content) else None

    def unreadable(self, output: Path) -> Path | None:
        """The record of an output if it tells nothing: damaged, or not readable."""
        lineage = self.lineage(output)
        return record_file(output, lineage) if lineage and self.raw(output) is None else None

    def failure(self, output: Path) -> Mapping[str, Any] | None:
        """How the last attempt failed, None if it did not."""
        return _read(record_file(output, FAILED)) if self.has_failed(output) else None

    def notes(self, output: str | Path) -> Mapping[str, Any]:
        """What the job of an output noted: ``channels`` and ``warnings`` by detector; empty if nothing."""
        folder, name = self._look(output)
        digest = folder.notes.get(name)
        if digest is None:
            return {}
        if digest not in self._notes:
            self._notes[digest] = _read(notes_file(Path(output), digest)) or {}
        return self._notes[digest]

    def noted(self, output: str | Path) -> str:
        """The digest of the notes of an output, empty if it has none."""
        folder, name = self._look(output)
        return folder.notes.get(name, "")

    def part(self, output: Path, value: object) -> object:
        """A part of a recipe: the content of its file where there is one, else the value itself."""
        if isinstance(value, Mapping):
            return {name: self.part(output, item) for name, item in value.items()}
        if isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{LENGTH}}}", value):
            return _read(recipe_file(output, value)) or value
        return value

    def _behind(self, link: str | Path) -> str | None:
        """The lineage of the file that a link leads to; None if it leads nowhere."""
        if not os.path.exists(link):  # noqa: PTH110 - texts, and many of them; links in a circle end here too
            return None
        return self.lineage(os.path.join(os.path.dirname(link), os.readlink(link)))  # noqa: PTH115, PTH118, PTH120

    def _look(self, output: str | Path) -> tuple[Listing, str]:
        """What is in the folder of an output, and the output's name there."""
        folder, _, name = os.fspath(output).rpartition(os.sep)
        return self.listing(folder), name

    def listing(self, folder: str) -> Listing:
        """What is in a folder, as it was when it was looked at first."""
        found = self._folders.get(folder)
        if found is None:
            found = self._folders[folder] = _listing(folder)
        return found


def _listing(folder: str) -> Listing:
    names, links = _names(folder)
    lineages: dict[str, str] = {}
    notes: dict[str, str] = {}
    failed: set[str] = set()
    unfinished: set[str] = set()
    twice: set[str] = set()
    files = _files(f"{folder}/{FOLDER}")
    for noted in filter(None, (_NOTES.fullmatch(file) for file in files if file.endswith(NOTES))):
        notes[noted["name"]] = noted["digest"]
    others = [file for file in files if file.endswith(".json") and not file.endswith((NOTES, RECIPE))]
    for name, _, said in [file[: -len(".json")].rpartition(".") for file in others]:
        if len(said) == LENGTH and not said.strip(_DIGITS):  # no expression: there are a hundred thousand of them
            if lineages.setdefault(name, said) != said:
                twice.add(name)
        elif said == FAILED:
            failed.add(name)
        elif said == UNFINISHED:
            unfinished.add(name)
    told = {name: lineage for name, lineage in lineages.items() if name not in twice} if twice else lineages
    return Listing(names, links, told, frozenset(failed), frozenset({*lineages, *unfinished}), notes)


def _files(folder: str) -> list[str]:
    """The names of what is in a folder of records."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - names alone, and many of them
    except OSError:
        return []


def _names(folder: str) -> tuple[frozenset[str], frozenset[str]]:
    """The names of what is in a folder, and of the links among them."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:
        return frozenset(), frozenset()
    return frozenset(entry.name for entry in entries), frozenset(e.name for e in entries if e.is_symlink())


def _is_record(content: Mapping[str, Any]) -> bool:
    """Whether a record has the form that its readers take for granted."""
    inputs = content.get("inputs", {})
    found = isinstance(content.get("recipe"), Mapping) and isinstance(inputs, Mapping)
    return found and all(isinstance(names, Mapping) for names in inputs.values())


def _read(file: Path) -> Mapping[str, Any] | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
