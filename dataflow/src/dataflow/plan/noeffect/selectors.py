"""Lists of channels in ``evt_config`` that no channel can be on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataflow.base.messages import nearest
from dataflow.keys.channel import SYSTEMS
from dataflow.metadata.layers import Layers, Location

from .entries import USABILITY
from .finding import Finding, at
from .held import Held

KNOWN = ("name", "system", "daq", "analysis")
ANALYSIS = ("usability", "processable", "psd")
"""What can be selected by, and its entries from the statuses."""


def impossible(held: Held) -> Iterator[Finding]:
    """Systems, selectors and usabilities that there are not."""
    if "evt" in held.cycle.scheme.tiers:
        for key in held.moments:
            layers = held.metadata.config("tier_evt", key).layers("evt_config")
            for name, value in (layers.data.get("channels") or {}).items():
                if isinstance(value, Mapping):
                    yield from _of_list(layers, name, value)


def _of_list(layers: Layers, name: str, value: Mapping[str, Any]) -> Iterator[Finding]:
    system = value.get("system")
    if system is not None and system not in SYSTEMS:
        message = f"the channels {name!r} are of the system {system!r}, which there is not: the list is empty"
        yield _at(layers, ("channels", name, "system"), message, nearest(system, SYSTEMS))
    for path, wanted in (value.get("selectors") or {}).items():
        found = _why(str(path), wanted)
        if found:
            message = f"the channels {name!r} are selected by {path}: {wanted!r}, {found[0]}: the list is empty"
            yield _at(layers, ("channels", name, "selectors", path), message, found[1])


def _why(path: str, wanted: object) -> tuple[str, str] | None:
    """Why no channel has a value at a path, and a hint."""
    first, _, rest = path.partition(".")
    if first not in KNOWN:
        return "which no channel has", nearest(first, KNOWN)
    if first == "analysis" and rest.partition(".")[0] not in ANALYSIS:
        return "which no channel has", nearest(rest, [f"analysis.{name}" for name in ANALYSIS])
    if path == "analysis.usability" and wanted not in USABILITY:
        hint = (
            "quote it: YAML takes an unquoted on for true" if isinstance(wanted, bool) else nearest(wanted, USABILITY)
        )
        return f"which is none of {', '.join(USABILITY)}", hint
    return None


def _at(layers: Layers, place: Location, message: str, hint: str) -> Finding:
    origin = layers.origin(*place)
    return at(origin.text, origin.place, message, hint) if origin else Finding(message, hint)
