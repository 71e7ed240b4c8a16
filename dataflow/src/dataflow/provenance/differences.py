"""Two recipes side by side: what is another, old → new, by its place in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NOTHING = "nothing"
SECTIONS = ("content", "code", "packages", "config", "channels", "pulsers", "tables", "settings", "overrides", "daq")
_WORDS: Mapping[str, str] = {
    "content": "the list itself",
    "code": "code",
    "packages": "version of",
    "config": "configuration",
    "channels": "channel",
    "pulsers": "pulsers",
    "tables": "table names",
    "settings": "settings of the cycle",
    "overrides": "override",
    "daq": "DAQ file",
}
_LONGEST = 60


@dataclass(frozen=True)
class Difference:
    """One thing that is another in two recipes.

    Attributes
    ----------
    section
        What kind of thing: one of `SECTIONS`, or ``inputs``.
    place
        The names that lead to it.
    old, new
        The values, None where there is none.
    also
        Further channels with the same difference.
    """

    section: str
    place: tuple[str, ...]
    old: Any
    new: Any
    also: tuple[str, ...] = ()

    def sentence(self) -> str:
        """``version of dspeed: 2.4.3 → 2.5.0``."""
        words = " ".join(filter(None, (_WORDS.get(self.section, self.section), ".".join(self.place))))
        if self.section == "code":
            return f"{words} {_came_or_went(self)}"
        more = f" (also {', '.join(self.also[:3])}{', …' if len(self.also) > 3 else ''})" if self.also else ""
        return f"{words}{more}: {shown(self.old)} → {shown(self.new)}"

    def plain(self) -> dict[str, Any]:
        """As values for scripts."""
        place, also = list(self.place), list(self.also)
        made = {"section": self.section, "place": place, "old": self.old, "new": self.new, "also": also}
        return made | {"sentence": self.sentence()}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """What is another in two recipes with their parts in place, in the order of `SECTIONS`."""
    left, right = _arranged(old), _arranged(new)
    found = [
        Difference(section, place, before, after)
        for section in SECTIONS
        for place, before, after in _compared(left.get(section), right.get(section))
    ]
    return _gathered(found)


def shown(value: object) -> str:
    """A value for a line of text."""
    if value is None:
        return NOTHING
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _came_or_went(difference: Difference) -> str:
    if difference.old is None:
        return "is used now"
    return "is not used any more" if difference.new is None else "has changed"


def _arranged(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe by sections, the configuration of each channel in its place."""
    shared = recipe.get("shared")
    parts = dict(shared) if isinstance(shared, Mapping) else {"config": shared}
    configs = parts.pop("configs", {})
    channels = parts.get("channels")
    if isinstance(channels, Mapping):
        parts["channels"] = {name: _with_config(value, configs) for name, value in channels.items()}
    return parts | {name: recipe[name] for name in ("content", "overrides", "daq") if name in recipe}


def _with_config(channel: Mapping[str, Any], configs: Any) -> dict[str, Any]:
    found = dict(channel)
    name = found.pop("config", None)
    return found | dict(configs.get(name) or {}) if name else found


def _compared(old: object, new: object, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({str(n) for n in old} | {str(n) for n in new}):
            yield from _compared(_get(old, name), _get(new, name), (*place, name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _compared(before, after, (*place, str(number)))
    else:
        yield place, old, new


def _get(values: Mapping[Any, Any], name: str) -> object:
    return values.get(name) if name in values else next((v for key, v in values.items() if str(key) == name), None)


def _gathered(found: list[Difference]) -> list[Difference]:
    """Differences that several channels share told once."""
    first: dict[str, int] = {}
    kept: list[Difference] = []
    for each in found:
        same = repr((each.place[1:], each.old, each.new)) if each.section == "channels" and len(each.place) > 1 else ""
        if same and same in first:
            told = kept[first[same]]
            kept[first[same]] = Difference(told.section, told.place, told.old, told.new, (*told.also, each.place[0]))
            continue
        if same:
            first[same] = len(kept)
        kept.append(each)
    return kept
