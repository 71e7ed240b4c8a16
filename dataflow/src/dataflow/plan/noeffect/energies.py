"""Energies that events are made of, and that no calibration makes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dataflow.base.messages import few, listing, nearest
from dataflow.keys.channel import Channel
from dataflow.keys.key import Key
from dataflow.metadata.layers import Value

from .finding import Finding, at
from .held import Held

COLUMN = re.compile(r"\bhit\.([A-Za-z_]\w*)")
EXPRESSIONS = ("expression", "query", "sort", "aggregation_mode")
GERMANIUM = "geds"


def missing(held: Held) -> Iterator[Finding]:
    """Columns of hit that evt uses, and that are NaN for lack of a calibration, or not in hit at all."""
    if "evt" not in held.cycle.scheme.tiers:
        return
    for key in held.moments:
        yield from _at(held, key)


def _at(held: Held, key: Key) -> Iterator[Finding]:
    layers = held.metadata.config("tier_evt", key).layers("evt_config")
    channels = [c for c in held.metadata.channels(key) if c.system == GERMANIUM and c.processable]
    for column, places in columns_used(layers.data).items():
        names = few(dict.fromkeys(str(place[1]) for place in places))
        absent = [channel for channel in channels if column not in _outputs(held, key, channel)]
        if absent:
            why = "it is not among the outputs of hit_config"
            hint = "add it there, or use another column in evt_config"
            yield _finding(layers.origin(*places[0]), names, column, absent, why, hint)
        raw = [
            channel for channel in channels if channel not in absent and _is_not_calibrated(held, key, channel, column)
        ]
        if raw:
            ecal = held.metadata.config("pars_hit_ecal", key).layers("ecal_config", raw[0])
            said = ecal.origin("energy_params")
            origin = said if said and said.text in ecal.own else layers.origin(*places[0])
            why = f"only {listing(_energies(ecal.data))} is calibrated"
            hint = "name it in energy_params of ecal_config, or use another column in evt_config"
            yield _finding(origin, names, column, raw, why, hint)


def unknown(held: Held) -> Iterator[Finding]:
    """Energies that the metadata ask to be calibrated, and that neither dsp nor an operation of hit makes."""
    if not held.cycle.paths.inside("tier_dsp"):  # files of others have columns of their own
        return
    for key in held.moments:
        for channel in (c for c in held.metadata.channels(key) if c.system == GERMANIUM and c.processable):
            yield from _nobodys(held, key, channel)


def _nobodys(held: Held, key: Key, channel: Channel) -> Iterator[Finding]:
    ecal = held.metadata.config("pars_hit_ecal", key).layers("ecal_config", channel)
    chain = held.metadata.config("tier_dsp", key).shared("processing_chain", channel) or {}
    hit = held.metadata.config("tier_hit", key).shared("hit_config", channel) or {}
    known = {*(chain.get("outputs") or ()), *(hit.get("operations") or ())}
    for number, name in enumerate(_energies(ecal.data) if chain.get("outputs") else ()):
        origin = ecal.origin("energy_params", number)
        if name not in known and origin and origin.text in ecal.own:
            message = f"energy_params names {name!r}, which neither dsp nor hit_config makes: it is not calibrated"
            yield at(origin.text, origin.place, message, nearest(name, known))


def _finding(
    origin: Value | None, names: str, column: str, channels: Iterable[Channel], why: str, hint: str
) -> Finding:
    lacking = few(channel.name for channel in channels)
    message = f"evt makes {names} of hit.{column}, which {lacking} will not have: {why}"
    return at(origin.text, origin.place, message, hint) if origin else Finding(message, hint)


def columns_used(config: Mapping[str, Any]) -> dict[str, list[tuple[str, ...]]]:
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


def _outputs(held: Held, key: Key, channel: Channel) -> list[str]:
    hit = held.metadata.config("tier_hit", key).shared("hit_config", channel) or {}
    return [*(hit.get("outputs") or []), *(hit.get("outputs_if_calibrated") or [])]


def _is_not_calibrated(held: Held, key: Key, channel: Channel, column: str) -> bool:
    """Whether a column is NaN because neither a calibration nor an override gives its parameters."""
    hit = held.metadata.config("tier_hit", key).shared("hit_config", channel) or {}
    operation = (hit.get("operations") or {}).get(column)
    if not isinstance(operation, Mapping) or not _waits(operation):
        return False
    ecal = held.metadata.config("pars_hit_ecal", key).shared("ecal_config", channel) or {}
    made = {f"{name.removesuffix('_ctc')}_cal" for name in _energies(ecal)}
    made |= {*(ecal.get("copy_calibration") or ()), *(ecal.get("extra_blocks") or ())}
    own = (held.metadata.override_content("hit", key).get(channel.name) or {}).get("pars") or {}
    made |= {*(own.get("operations") or own)}
    return not {column, column.replace("_ctc_cal", "_cal")} & made


def _energies(ecal: Mapping[str, Any]) -> list[str]:
    return [str(name) for name in ecal.get("energy_params") or ()]


def _waits(operation: Mapping[str, Any]) -> bool:
    """Whether an operation is NaN until a calibration gives its parameters."""
    values = (operation.get("parameters") or {}).values()
    return any(isinstance(value, float) and math.isnan(value) for value in values)
