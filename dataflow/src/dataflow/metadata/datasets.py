"""The metadata about data sets: run lists, ignored files, run overrides, groupings of runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from dataflow.base.errors import UserError
from dataflow.base.messages import nearest
from dataflow.base.textfile import SUFFIXES, Reader, TextFile, kind
from dataflow.base.times import is_time
from dataflow.keys.key import Key
from dataflow.keys.scheme import KeyScheme

from .validity import ALL, Entry, read_validity

IGNORED = ("unprocessable", "removed")
_NUMBERED = re.compile(r"([A-Za-z]+)(\d+)")
Runs = Mapping[str, Mapping[str, tuple[str, ...] | None]]
"""Runs by the first two levels of a run list; None stands for all runs."""


def runs_of(spec: object) -> tuple[str, ...] | None:
    """The runs that ``r000..r005``, a list of runs and ranges, or ``all`` stands for; None for all.

    Raises
    ------
    ValueError
        If the text has another form; the message says which part.
    """
    if spec == "all":
        return None
    parts = [spec] if isinstance(spec, str) else spec
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError(f"runs are r000..r005, a list of those, or all, not {spec!r}")
    return tuple(dict.fromkeys(run for part in parts for run in _range(part)))


def _range(text: str) -> list[str]:
    first, dots, last = text.partition("..")
    begin, end = _NUMBERED.fullmatch(first), _NUMBERED.fullmatch(last if dots else first)
    if not begin or not end or begin[1] != end[1] or int(begin[2]) > int(end[2]):
        raise ValueError(f"{text!r} is neither a run nor a range like r000..r005")
    width = len(begin[2])
    return [f"{begin[1]}{number:0{width}d}" for number in range(int(begin[2]), int(end[2]) + 1)]


class Datasets:
    """The files of ``inputs/datasets``; each is optional and read when it is asked for."""

    def __init__(self, folder: Path, scheme: KeyScheme, reader: Reader) -> None:
        self.folder = folder
        self._scheme, self._reader = scheme, reader

    @cached_property
    def ignored(self) -> frozenset[str]:
        """Keys of files that are left out, unprocessable and removed ones."""
        return frozenset(self._ignored_yaml()) | frozenset(self._ignored_keylist())

    @cached_property
    def runlists(self) -> Mapping[str, Runs]:
        """The run lists by name."""
        return self._run_lists("runlists")

    @cached_property
    def cal_groupings(self) -> Mapping[str, Runs]:
        """Partitions: runs by section (``default`` or a detector), partition and period; None stands for all runs."""
        return self._run_lists("cal_groupings")

    @cached_property
    def runinfo(self) -> Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]:
        """Begin and live time by period, run and datatype."""
        text = self._text("runinfo")
        if text is None:
            return {}
        for period, runs in text.mapping().items():
            for run, kinds in _mapping(text, runs, period).items():
                for datatype, info in _mapping(text, kinds, period, run).items():
                    start = _mapping(text, info, period, run, datatype).get("start_key")
                    if start is not None and not is_time(str(start)):
                        place = (period, run, datatype, "start_key")
                        raise text.error(f"start_key must be a time YYYYmmddTHHMMSSZ, not {start!r}", *place)
        return text.mapping()

    @cached_property
    def run_overrides(self) -> tuple[Entry, ...]:
        """Which calibration keys replace the usual ones, from when on."""
        file = self._find("run_override")
        if file is None:
            return ()
        timelines = read_validity(file, self._reader).timelines
        line = next((timelines[name] for name in (*self._scheme.calibration, ALL) if name in timelines), ())
        for entry in line:
            for name in entry.files:
                if self._scheme.parse(name) is None:
                    raise UserError(f"{entry.place}: {name!r} is not a key {self._scheme.form}")
        return tuple(line)

    def runlist(self, name: str) -> Runs:
        """The run list called `name`.

        Raises
        ------
        UserError
            If there is none of that name.
        """
        if name not in self.runlists:
            choices = ["all", *self.runlists]
            where = self._find("runlists")
            known = f"in {where}" if where else f"({self.folder / 'runlists.yaml'} is not there)"
            raise UserError(f"there is no run list {name!r} {known}", hint=nearest(name, choices))
        return self.runlists[name]

    def listed(self, key: Key, runs: Runs) -> bool:
        """Whether a run list holds a key's run."""
        first, second, run = (key[name] for name in self._scheme.runlist)
        if first not in runs or second not in runs[first]:
            return False
        chosen = runs[first][second]
        return chosen is None or run in chosen

    def file(self, stem: str) -> Path:
        """The file of that name, there or not."""
        return self._find(stem) or self.folder / f"{stem}.yaml"

    def _find(self, stem: str) -> Path | None:
        return next((path for suffix in SUFFIXES if (path := self.folder / f"{stem}{suffix}").is_file()), None)

    def _text(self, stem: str) -> TextFile | None:
        path = self._find(stem)
        return self._reader(path) if path else None

    def _ignored_yaml(self) -> list[str]:
        text = self._text("ignored_daq_cycles")
        if text is None:
            return []
        keys: list[str] = []
        for section, values in text.mapping().items():
            if section not in IGNORED:
                raise text.error(f"unknown section {section!r}", section, hint=nearest(str(section), IGNORED))
            if not isinstance(values or [], list):
                raise text.error(f"a list of keys is expected here, not {kind(values)}", section)
            for position, value in enumerate(values or []):
                if self._scheme.parse(str(value)) is None:
                    raise text.error(f"{value!r} is not a key {self._scheme.form}", section, position)
            keys += [str(value) for value in values or []]
        return keys

    def _ignored_keylist(self) -> list[str]:
        """The legacy form: one key a line, ``#`` begins a comment."""
        path = self.folder / "ignored_daq_cycles.keylist"
        if not path.is_file():
            return []
        keys = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            name = line.partition("#")[0].strip()
            if name and self._scheme.parse(name) is None:
                raise UserError(f"{path}:{number}: {name!r} is not a key {self._scheme.form}")
            keys += [name] if name else []
        return keys

    def _run_lists(self, stem: str) -> Mapping[str, Runs]:
        text = self._text(stem)
        if text is None:
            return {}
        return {str(name): self._levels(text, value, [name]) for name, value in text.mapping().items()}

    def _levels(self, text: TextFile, value: object, names: Sequence[str]) -> Runs:
        """Two levels of mappings with runs below, checked."""
        found: dict[str, dict[str, tuple[str, ...] | None]] = {}
        for first, inner in _mapping(text, value, *names).items():
            found[str(first)] = {}
            for second, spec in _mapping(text, inner, *names, first).items():
                try:
                    found[str(first)][str(second)] = runs_of(spec)
                except ValueError as exc:
                    raise text.error(str(exc), *names, first, second) from exc
        return found


def _mapping(text: TextFile, value: object, *names: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise text.error(f"{'.'.join(map(str, names))} must be a mapping, not {kind(value)}", *names)
    return value
