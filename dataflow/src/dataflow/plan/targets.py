"""Targets as users write them: ``all-l200-p03-r001-cal-hit.gen``.

``<selection>-<field>-…-<tier>.gen``: the selection is ``all`` or a run list, the fields are those of the key, in order;
missing ones at the end stand for all. A field is a value, ``*``, a pattern such as ``r00*``, or several of these joined
with underscores. What has the wrong form, is unknown, or matches no data is an error that names the choices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from dataflow.base.errors import UserError
from dataflow.base.messages import listing, nearest
from dataflow.keys.key import Key
from dataflow.keys.scheme import KeyScheme
from dataflow.metadata.datasets import Runs
from dataflow.registry.step import Scope

from .job import Unit

if TYPE_CHECKING:
    from .cycle import Cycle

ENDING = ".gen"
ALL = "all"
ANY = "*"


@dataclass(frozen=True)
class Target:
    """What a target asks for.

    Attributes
    ----------
    text
        As the user wrote it.
    jobs
        The jobs whose outputs are wanted: step and unit.
    """

    text: str
    jobs: tuple[tuple[str, Unit], ...]


def is_target(text: str) -> bool:
    """Whether a word of the command line is a target of this grammar, not a path or an option."""
    return text.endswith(ENDING) and not text.startswith("-") and "/" not in text and "=" not in text


def resolve(text: str, cycle: Cycle) -> Target:
    """The jobs that a target stands for.

    Raises
    ------
    UserError
        If a part of it is wrong or unknown, or no data matches.
    """
    words = text.removesuffix(ENDING).split("-")
    if len(words) < 2 or not all(words):
        raise UserError(f"{text!r} is not a target", hint=f"write {form(cycle.scheme, cycle.keys)}")
    selection, *fields, tier = words
    step = _step(text, tier, cycle)
    runlist = None if selection == ALL else _runlist(text, selection, cycle)
    if not cycle.keys:
        raise _no_data(text, cycle)
    keys = _Matching(text, cycle).match(fields)
    if runlist is not None:
        keys = [key for key in keys if cycle.metadata.datasets.listed(key, runlist)]
        if not keys:
            raise UserError(f"{text}: no data of the run list {selection!r} is among the rest of the target")
    return Target(text, tuple((step, unit) for unit in _made(text, step, keys, cycle)))


def _runlist(text: str, selection: str, cycle: Cycle) -> Runs:
    """The run list that the first word names; a key in its place is what beginners write."""
    datasets = cycle.metadata.datasets
    if selection not in datasets.runlists and selection in {key[cycle.scheme.names[0]] for key in cycle.keys}:
        raise UserError(f"{text}: there is no run list {selection!r}", hint=f"did you mean '{ALL}-{text}'?")
    return datasets.runlist(selection)


def form(scheme: KeyScheme, keys: Sequence[Key] = ()) -> str:
    """The form of a target, for hints; the example is of data that are there, if any are."""
    fields = "-".join(f"[{name}]" if name == scheme.optional else name for name in scheme.names)
    values = [keys[0][name] if keys else scheme.example_values[name] for name in scheme.series_fields]
    example = "-".join(["all", *values, "hit" if "hit" in scheme.tiers else scheme.tiers[-1]]) + ENDING
    return f"all-{fields}-TIER{ENDING} (missing fields at the end and * stand for all), for example {example}"


def _step(text: str, tier: str, cycle: Cycle) -> str:
    """The step that makes what the last word of a target names."""
    scheme = cycle.scheme
    pars = [f"par_{name}" for name in cycle.registry.calibrated_tiers() if name in scheme.all_tiers]
    if tier in pars:
        return tier
    known = scheme.tier(tier)
    if known is None:
        choices = [*scheme.all_tiers, *(scheme.aliases or {}), *pars]
        hint = nearest(tier.removeprefix("tier_"), choices)
        raise UserError(f"{text}: there is no tier {tier!r}; there are {', '.join(choices)}", hint=hint)
    return f"tier_{known}"


def _made(text: str, step: str, keys: Sequence[Key], cycle: Cycle) -> list[Unit]:
    """The units of a step that the data in `keys` are in."""
    kind = cycle.step(step)
    if cycle.units.scope(kind) is Scope.FILE:
        units = [cycle.units.at(kind, key) for key in keys]
        return [unit for unit in units if cycle.is_possible(step, unit)] or units
    series = {key.series for key in keys}
    found = [unit for unit in cycle.units.of(kind) if not series.isdisjoint(unit.series)]
    if not found:
        there, wanted = listing(key.datatype for key in keys), cycle.units.datatypes(kind)
        raise UserError(f"{text}: {step} is made from {' or '.join(wanted)} data; the target matches {there}")
    return found


def no_data(cycle: Cycle) -> str:
    """That a cycle has no data, and where they were looked for."""
    ignored = " that is not ignored" if cycle.inventory.daq or cycle.inventory.raw else ""
    where = " and ".join(str(cycle.setup.path(name)) for name in ("tier_daq", "tier_raw"))
    return f"there is no data{ignored} in {where}"


def _no_data(text: str, cycle: Cycle) -> UserError:
    return UserError(f"{text}: {no_data(cycle)}", hint="put DAQ files there, or see paths.tier_daq")


class _Matching:
    """Narrows the keys of a cycle down, field by field."""

    def __init__(self, text: str, cycle: Cycle) -> None:
        self.text, self.cycle, self.scheme = text, cycle, cycle.scheme

    def match(self, words: Sequence[str]) -> list[Key]:
        """The keys that have the given values in the first fields."""
        fields = self._fields(words)
        if len(words) > len(fields):
            hint = f"write {form(self.scheme, self.cycle.keys)}"
            raise UserError(f"{self.text}: {words[len(fields)]!r} is one part too many", hint=hint)
        keys: list[Key] = list(self.cycle.keys)
        for field, word in zip(fields, words, strict=False):
            keys = self._narrowed(keys, field, word)
        return keys

    def _fields(self, words: Sequence[str]) -> tuple[str, ...]:
        """The fields that the words stand for: the optional one is there if its word is a value of it."""
        names, optional = self.scheme.names, self.scheme.optional
        if not optional or not words or len(words) == len(names):
            return names
        position = names.index(optional)
        short = tuple(name for name in names if name != optional)
        if position >= len(words):
            return names
        # whether the optional word was left out cannot be seen by counting, since words at the end may be missing too:
        # the data decide, which have few values of this field
        word = words[position]
        known = {key[optional] for key in self.cycle.keys}
        if word == ANY:
            after = [word for word in words[position + 1 : position + 2] if word != ANY]
            values = {key[names[position + 1]] for key in self.cycle.keys}
            return names if all(_chosen(item, values) for item in after) else short
        return names if _chosen(word, known) else short

    def _narrowed(self, keys: list[Key], field: str, word: str) -> list[Key]:
        if word == ANY:
            return keys
        everywhere = {key[field] for key in self.cycle.keys}
        values = _chosen(word, everywhere)
        if values is None:
            raise self._absent(field, word, everywhere)
        chosen = [key for key in keys if key[field] in values]
        if not chosen:
            there = {key[field] for key in keys}
            raise self._absent(field, word, there, " for the fields before it")
        return chosen

    def _absent(self, field: str, word: str, there: Iterable[str], where: str = "") -> UserError:
        wrong = [item for item in word.split("_") if not _is_pattern(item) and not self.scheme.fits(field, item)]
        example = self.scheme.example_values[field]
        example = example if self.scheme.fits(field, example) else ""
        if wrong and not self.scheme.fits(field, word):
            looks = f"a {field} looks like {example}" if example else f"its form is {self.scheme.fields[field]}"
            said = f"{self.text}: {wrong[0]!r} is not a valid {field}: {looks}"
            return UserError(said, hint=f"there are: {listing(there)}")
        missing = [item for item in word.split("_") if _chosen(item, set(there)) is None]
        shown = missing[0] if len(missing) == 1 and self.scheme.fits(field, missing[0]) else word
        message = f"{self.text}: there is no data of {field} {shown!r}{where}; there are {listing(there)}"
        return UserError(message, hint=nearest(shown, there) if not _is_pattern(shown) else "")


def _is_pattern(word: str) -> bool:
    return any(sign in word for sign in "*?[")


def _chosen(word: str, values: set[str]) -> set[str] | None:
    """The values that a word stands for: one, a pattern, or several joined with underscores; None if one is unknown.

    Values may contain underscores themselves, so the longest known beginning is taken first.
    """
    parts = word.split("_")
    for length in range(len(parts), 0, -1):
        head, rest = "_".join(parts[:length]), "_".join(parts[length:])
        found = {value for value in values if fnmatchcase(value, head)} if _is_pattern(head) else {head} & values
        if found:
            others = _chosen(rest, values) if rest else set()
            if others is not None:
                return found | others
    return None
