"""Detectors that no channel map has: what is said of them reaches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dataflow.base.messages import nearest
from dataflow.base.textfile import TextFile
from dataflow.keys.channel import SYSTEMS
from dataflow.metadata.stepconfig import DEFAULT, NESTED, RULES, SHARED

from .finding import Finding, of_many
from .held import Held

Places = dict[str, tuple[str | int, ...]]


def unknown(held: Held) -> Iterator[Finding]:
    """Detectors in statuses, overrides and step configuration that are in no channel map."""
    if held.with_map:
        for text in held.texts(held.metadata.statuses):
            yield from _named(held, text, _top(text), "a status")
    for tier, folder in held.overrides.items():
        for text in held.texts(folder):
            yield from _named(held, text, _top(text), f"{tier} overrides")
    for text in held.texts(held.config):
        yield from _named(held, text, _configured(text), "a configuration of its own")


def _top(text: TextFile) -> Places:
    return {str(name): (name,) for name in text.data} if isinstance(text.data, Mapping) else {}


def _configured(text: TextFile) -> Places:
    """The detectors that rules name, each at its first place."""
    found: Places = {}
    rules = text.data.get(RULES) if isinstance(text.data, Mapping) else None
    for rule, entry in _items(rules):
        for name, value in _items(entry.get("inputs") if isinstance(entry, Mapping) else None):
            if name not in (*NESTED, *SHARED):
                for detector, _ in _items(value):
                    found.setdefault(detector, (RULES, rule, "inputs", name, detector))
    return {name: place for name, place in found.items() if name not in (DEFAULT, *SYSTEMS)}


def _items(value: object) -> Iterable[tuple[str, object]]:
    return value.items() if isinstance(value, Mapping) else ()


def _named(held: Held, text: TextFile, places: Places, what: str) -> Iterator[Finding]:
    strangers = {name: place for name, place in places.items() if name not in held.detectors}
    message = f"{{names}} {{is}} in no channel map, but has {what}: nothing takes it"
    if len(strangers) > 1:
        message = f"{{names}} {{is}} in no channel map, but have {what}: nothing takes them"
    yield from of_many(text, strangers, message, lambda name: nearest(name, held.detectors))
