"""Which parameters a cycle uses for its data: the files that the plan takes, overrides last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from dataflow.base.textfile import read as read_text_file
from dataflow.base.times import ALWAYS
from dataflow.keys.key import Key
from dataflow.metadata import calibrations as parcatalog
from dataflow.metadata.merge import merged_all
from dataflow.metadata.overrides import check
from dataflow.metadata.validity import ALL, Folder
from dataflow.plan.cycle import Cycle
from dataflow.registry.step import Scope, Step
from dataflow.registry.steps import BY_NAME, STEPS, calibrated_tiers

from .contents import Contents, contents_of

Files = tuple[tuple[Path, ...], tuple[Path, ...]]
"""Files of calibrations, and overrides that are merged over them."""


def parameters(question: Mapping[str, Any]) -> dict[str, Any]:
    """The parameter files that hold for each key.

    Returns
    -------
    dict
        ``runs``: by run, sorted by time, its keys, each with its time. ``held``: by tier and key the number of a set;
        by the name of a step where data have parameters from themselves (SiPMs), of a run's files the first one.
        ``sets``: the files ``made`` by calibrations, those made ``by_hand``, and whether all made ones are ``there``.
    """
    found = ParameterFiles(contents_of(question))
    numbers: dict[Files, int] = {}
    held: dict[str, dict[str, int]] = {}
    for tier in (tier for tier in calibrated_tiers() if tier in found.contents.scheme.all_tiers):
        keys = [key for keys in found.runs.values() for key in keys]
        held[tier] = {str(key): numbers.setdefault(found.held(tier, key), len(numbers)) for key in keys}
        for step in found.own_steps(tier):
            sets = {run: found.of_run(step, of_run) for run, of_run in found.runs.items()}
            numbered = {run: numbers.setdefault(files, len(numbers)) for run, files in sets.items()}
            held[step.name] = {str(key): numbered[run] for run, of_run in found.runs.items() for key in of_run}
    runs = {run: [[str(key), key.timestamp] for key in keys] for run, keys in found.runs.items()}
    return {"runs": runs, "held": held, "sets": [_plain(*files) for files in numbers]}


def _plain(made: tuple[Path, ...], by_hand: tuple[Path, ...]) -> dict[str, Any]:
    there = all(path.is_file() for path in made)
    return {"made": list(map(str, made)), "by_hand": list(map(str, by_hand)), "there": there}


def values(question: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """For each of `sets` (with its ``tier``, or step): what the calibrations say by detector, and what is used.

    Raises
    ------
    UserError
        If a file cannot be read, or an override is of a form that no job could merge.
    """
    return [_values(each) for each in question["sets"]]


def _values(files: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    made = merged_all(_content(path) for path in files["made"])
    texts = [read_text_file(Path(path)) for path in files["by_hand"]]
    step = BY_NAME.get(files["tier"])
    for text in texts:
        check(text, step.tier if step else files["tier"])
    used = merged_all([made, *(text.mapping() for text in texts)])
    return made, {name: used[name] for name in made} if step else used  # others' overrides are those of the tier


@lru_cache(maxsize=8)
def _content(path: str) -> Mapping[str, Any]:
    return read_text_file(Path(path)).mapping()


class ParameterFiles:
    """The parameters of a cycle, of which there need be no more than the parameter files."""

    def __init__(self, contents: Contents) -> None:
        self.contents, self._cycle = contents, Cycle(contents.setup)
        self._foreign: dict[str, Folder] = {}
        self._catalogs: dict[str, parcatalog.ParCatalog] = {}

    @cached_property
    def runs(self) -> Mapping[str, tuple[Key, ...]]:
        """The keys of the runs of which there is anything, sorted by time."""
        ignored = self._cycle.metadata.datasets.ignored
        made = (self.contents.scheme.parse(output.key) for output in self.contents.outputs())
        keys = {*self._cycle.keys, *(key for key in made if key is not None and str(key) not in ignored)}
        runs: dict[str, tuple[Key, ...]] = {}
        for key in sorted(keys, key=lambda key: key.order):
            runs[key.series] = (*runs.get(key.series, ()), key)
        return runs

    def _catalog(self, tier: str, key: Key) -> parcatalog.ParCatalog:
        """The catalog; of runs whose data are gone, as it was when they were still there."""
        if key.series in self._cycle.series:
            return self._cycle.catalog_of(tier)
        if tier not in self._catalogs:
            scheme = self.contents.scheme
            overrides = self._cycle.metadata.datasets.run_overrides if scheme.choice == "time" else ()
            keys = (key for keys in self.runs.values() for key in keys)
            self._catalogs[tier] = parcatalog.build(keys, scheme, overrides, self._cycle.datatypes(tier))
        return self._catalogs[tier]

    def held(self, tier: str, key: Key) -> Files:
        """The files that hold for a key."""
        by_hand = self._cycle.metadata.overrides(tier, key)
        name = f"par_{tier}"
        if not self._cycle.paths.inside(name):
            return self._foreign_folder(tier).files(key.timestamp, key.datatype), by_hand
        return tuple(self._cycle.output(name, each) for each in self._catalog(tier, key).at(key) or ()), by_hand

    def own_steps(self, tier: str) -> tuple[Step, ...]:
        """The steps by which data have parameters of a tier from themselves."""
        return tuple(step for step in STEPS if step.part_of == tier and not step.merged)

    def own(self, step: Step, key: Key) -> Path | None:
        """What a file, or its run, has from its own data; None where that is not there."""
        if key.datatype not in step.datatypes:
            return None
        path = self._cycle.output(step.name, key if step.scope is Scope.FILE else self.runs[key.series][0])
        return path if path.is_file() else None

    def of_run(self, step: Step, keys: Iterable[Key]) -> Files:
        """What the first file of a run that has some has from its own data, and the overrides for that file."""
        there = ((path, key) for key in keys if (path := self.own(step, key)))
        for path, key in there:
            return (path,), self._cycle.metadata.overrides(step.tier, key)
        return (), ()

    def _foreign_folder(self, tier: str) -> Folder:
        if tier not in self._foreign:
            self._foreign[tier] = Folder(self._cycle.setup.path(f"par_{tier}"), self._cycle.metadata.reader)
        return self._foreign[tier]

    def validity(self, tier: str, key: Key) -> tuple[str, str]:
        """From when on, and until when (half-open), the files of a key hold; empty where there is no bound."""
        times = sorted(set(self._times(tier, key)))
        held = self.held(tier, key)
        begin, end = "", ""
        for time in times:
            same = self.held(tier, replace(key, values=(*key.values[:-1], time))) == held
            if time <= key.timestamp:
                begin = (begin or time) if same else ""
            elif not same:
                end = time
                break
        return ("" if begin == ALWAYS else begin), end

    def _times(self, tier: str, key: Key) -> Iterator[str]:
        """The times at which other files may begin to hold for files like one."""
        metadata = self._cycle.metadata
        folders = [metadata.override_folder(tier)]
        if self._cycle.paths.inside(f"par_{tier}"):
            catalog = self._catalog(tier, key)
            yield from (valid.valid_from for valid in catalog.groups.get(catalog.group(key), ()))
        else:
            folders.append(self._foreign_folder(tier))
        for folder in folders:
            for category in (key.datatype, ALL):
                yield from (entry.valid_from for entry in folder.validity.timelines.get(category, ()))
