"""Which parameters two cycles use for the same data: the files that the plan takes, overrides last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from dataflow.plan import parcatalog
from dataflow.plan.cycle import Cycle
from dataflow.plan.merge import merged_all
from dataflow.plan.model import Key
from dataflow.plan.overrides import check
from dataflow.plan.steps import calibrated_tiers
from dataflow.plan.textfile import read as read_text_file
from dataflow.plan.validity import Folder
from prodenv.outputs import Contents


@dataclass(frozen=True)
class Held:
    """The parameter files that hold for a key.

    Parameters
    ----------
    made
        Those of calibrations.
    by_hand
        The overrides, which are merged over them.
    """

    made: tuple[Path, ...]
    by_hand: tuple[Path, ...]

    @property
    def there(self) -> bool:
        """Whether the calibrations have been done."""
        return all(path.is_file() for path in self.made)

    def read(self, tier: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """What the calibrations for a tier say by detector, and what is used.

        Raises
        ------
        dataflow.plan.errors.UserError
            If a file cannot be read, or an override is of a form that no job could merge.
        """
        made = merged_all(_content(path) for path in self.made)
        texts = [read_text_file(path) for path in self.by_hand]
        for text in texts:
            check(text, tier)
        return made, merged_all([made, *(text.mapping() for text in texts)])


@lru_cache(maxsize=8)
def _content(path: Path) -> Mapping[str, Any]:
    return read_text_file(path).mapping()


@dataclass(frozen=True)
class Moment:
    """From when on two cycles use a pair of parameters.

    Parameters
    ----------
    tier
        The tier that is made with them.
    run
        The first run for which they hold, with a time where they do not from its begin.
    a, b
        The files.
    """

    tier: str
    run: str
    a: Held
    b: Held


def moments(a: Contents, b: Contents) -> Iterator[Moment]:
    """Every pair of parameters that holds for data of both cycles, where its first run begins; sorted by time."""
    first, second = _Parameters(a), _Parameters(b)
    runs = [run for run in first.runs if run in second.runs]
    for tier in (tier for tier in calibrated_tiers() if tier in a.scheme.tiers and tier in b.scheme.tiers):
        seen: set[tuple[Held, Held]] = set()
        for run in runs:
            for number, (ours, theirs) in enumerate(_pairs(first.runs[run], second.runs[run])):
                pair = first.held(tier, ours), second.held(tier, theirs)
                if pair not in seen:
                    seen.add(pair)
                    yield Moment(tier, f"{run} from {ours.timestamp}" if number else run, *pair)


def _pairs(ours: tuple[Key, ...], theirs: tuple[Key, ...]) -> list[tuple[Key, Key]]:
    """The keys that both have; of a run without such, the first ones."""
    named = {str(key): key for key in theirs}
    return [(key, named[str(key)]) for key in ours if str(key) in named] or [(ours[0], theirs[0])]


class _Parameters:
    """The parameters of a cycle, of which there need be no more than the parameter files."""

    def __init__(self, contents: Contents) -> None:
        self._contents, self._cycle = contents, Cycle(contents.setup)
        self._foreign: dict[str, Folder] = {}

    @cached_property
    def runs(self) -> Mapping[str, tuple[Key, ...]]:
        """The keys of the runs of which there is anything, sorted by time."""
        ignored = self._cycle.metadata.datasets.ignored
        made = (self._contents.scheme.parse(output.key) for output in self._contents.outputs())
        keys = {*self._cycle.keys, *(key for key in made if key is not None and str(key) not in ignored)}
        runs: dict[str, tuple[Key, ...]] = {}
        for key in sorted(keys, key=lambda key: key.order):
            runs[key.series] = (*runs.get(key.series, ()), key)
        return runs

    @cached_property
    def _catalog(self) -> parcatalog.ParCatalog:
        """The catalog as it was when the data were still there."""
        scheme = self._contents.scheme
        overrides = self._cycle.metadata.datasets.run_overrides if scheme.choice == "time" else ()
        return parcatalog.build((key for keys in self.runs.values() for key in keys), scheme, overrides)

    def held(self, tier: str, key: Key) -> Held:
        """The files that hold for a key."""
        by_hand = self._cycle.metadata.overrides(tier, key)
        name = f"par_{tier}"
        if not self._cycle.paths.inside(name):
            if name not in self._foreign:
                self._foreign[name] = Folder(self._cycle.setup.path(name), self._cycle.metadata.reader)
            return Held(self._foreign[name].files(key.timestamp, key.datatype), by_hand)
        catalog = self._cycle.catalog if key.series in self._cycle.series else self._catalog
        return Held(tuple(self._cycle.output(name, each) for each in catalog.at(key) or ()), by_hand)
