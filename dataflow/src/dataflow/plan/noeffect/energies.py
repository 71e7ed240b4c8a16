"""Energies that events are made of, and that no calibration makes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..model import Channel, Key
from ..words import few, listing
from .finding import Finding, at
from .held import Held

COLUMN = re.compile(r"\bhit\.([A-Za-z_]\w*)")
EXPRESSIONS = ("expression", "query", "sort", "aggregation_mode")
GERMANIUM = "geds"


def missing(held: Held) -> Iterator[Finding]:
    """Columns of hit that evt uses, and that are NaN for want of a calibration, or not in hit at all."""
    if "evt" not in held.cycle.scheme.tiers:
        return
    for key in held.moments:
        yield from _at(held, key)


def _at(held: Held, key: Key) -> Iterator[Finding]:
    layers = held.metadata.config("tier_evt", key).layers("evt_config")
    channels = [c for c in held.metadata.channels(key) if c.system == GERMANIUM and c.processable]
    for column, places in _used(layers.data).items():
        lacking = {channel.name: why for channel in channels if (why := _why(held, key, channel, column))}
        if lacking:
            names = few(dict.fromkeys(str(place[1]) for place in places))
            message = (
                f"evt makes {names} of hit.{column}, which {few(lacking)} will not have: {listing(lacking.values())}"
            )
            hint = "name it in energy_params of ecal_config, or use another column in evt_config"
            origin = layers.origin(*places[0])
            yield at(origin.text, origin.place, message, hint) if origin else Finding(message, hint)


def _used(config: Mapping[str, Any]) -> dict[str, list[tuple[str, ...]]]:
    """The columns of hit that operations on germanium detectors name, with the places of their expressions."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for name, operation in (config.get("operations") or {}).items():
        if isinstance(operation, Mapping) and _is_of_germanium(operation, config.get("channels") or {}):
            for place, column in _columns(operation):
                found.setdefault(column, []).append(("operations", name, place))
    return found


def _is_of_germanium(operation: Mapping[str, Any], lists: Mapping[str, Any]) -> bool:
    named = operation.get("channels") or []
    chosen = [lists.get(name) for name in ([named] if isinstance(named, str) else named)]
    return any(isinstance(one, Mapping) and one.get("system") == GERMANIUM for one in chosen)


def _columns(operation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for place in EXPRESSIONS:
        for column in dict.fromkeys(COLUMN.findall(str(operation.get(place, "")))):
            yield place, column


def _why(held: Held, key: Key, channel: Channel, column: str) -> str:
    """Why a detector will have no values of a column, empty if it will."""
    hit = held.metadata.config("tier_hit", key).shared("hit_config", channel) or {}
    if column not in (hit.get("outputs") or ()):
        return "it is not among the outputs of hit_config"
    operation = (hit.get("operations") or {}).get(column)
    if not isinstance(operation, Mapping) or not _waits(operation):
        return ""
    ecal = held.metadata.config("pars_hit_ecal", key).shared("ecal_config", channel) or {}
    made = [str(name) for name in ecal.get("energy_params") or ()]
    calibrated = {name.removesuffix("_ctc") for name in made}
    return (
        "" if column.removesuffix("_cal").removesuffix("_ctc") in calibrated else f"only {listing(made)} is calibrated"
    )


def _waits(operation: Mapping[str, Any]) -> bool:
    """Whether an operation is NaN until a calibration gives its parameters."""
    values = (operation.get("parameters") or {}).values()
    return any(isinstance(value, float) and math.isnan(value) for value in values)
