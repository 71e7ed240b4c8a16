"""Entries that are almost the names of such that are read, where foreign entries may stand beside them, and words that
nothing can be: categories of validity, values of pulse-shape statuses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import accumulate
from typing import Any

from dataflow.base.messages import nearest
from dataflow.base.textfile import TextFile
from dataflow.metadata.expressions import parsed
from dataflow.metadata.validity import ALL

from .finding import Finding, at
from .held import Held

DAQ = ("rawid", "fcid", "adc_bits")
"""What is read of ``daq`` in a channel map."""
PSD = ("status", "is_bb_like")
PSD_VALUES = ("valid", "present", "missing")
CLOSE, CLOSE_NAME = 0.8, 0.9
CHAIN = "processing_chain"
_PARAMETER = re.compile(r"\bdb\.(\w+(?:\.\w+)*)")


def categories(held: Held) -> Iterator[Finding]:
    """Categories of validity lists that no file can have."""
    form = held.cycle.scheme.patterns.get("datatype")
    folders = (held.metadata.statuses, held.metadata.channelmaps, held.config, *held.overrides.values())
    for folder in folders if form else ():
        for name in sorted(folder.validity.timelines):
            if name != ALL and not re.fullmatch(str(form), name):
                known = sorted({ALL, *(key.datatype for key in held.cycle.keys)})
                said = f"{folder.file}: no file can have the category {name!r}: its entries hold for nothing"
                yield Finding(said, nearest(name, known))


def daq(held: Held) -> Iterator[Finding]:
    """Entries of ``daq`` in channel maps that are almost ones that are read."""
    for text in held.texts(held.metadata.channelmaps) if held.with_map else ():
        for name, entry in text.mapping().items():
            node = entry.get("daq") if isinstance(entry, Mapping) else None
            for word in node if isinstance(node, Mapping) else ():
                close = [] if word in DAQ else get_close_matches(str(word), DAQ, n=1, cutoff=CLOSE)
                if close:
                    said = f"the entry 'daq.{word}' of {name} is not known: nothing reads it"
                    yield at(text, (name, "daq", word), said, f"did you mean {close[0]!r}?")


def psd(held: Held) -> Iterator[Finding]:
    """Entries and values of pulse-shape statuses that nothing selects by."""
    for text in held.texts(held.metadata.statuses) if held.with_map else ():
        for name, status in text.mapping().items():
            found = status.get("psd") if isinstance(status, Mapping) else None
            if isinstance(found, Mapping):
                yield from _psd(text, str(name), found)


def _psd(text: TextFile, name: str, found: Mapping[str, Any]) -> Iterator[Finding]:
    for word in found:
        if word not in PSD:
            said = f"the entry 'psd.{word}' in the status of {name} is not known"
            yield at(text, (name, "psd", word), said, nearest(word, PSD))
    classifiers = found.get("status")
    for word, value in classifiers.items() if isinstance(classifiers, Mapping) else ():
        if value not in PSD_VALUES:
            said = f"the psd status {value!r} of {word} of {name} is none of {', '.join(PSD_VALUES)}"
            yield at(text, (name, "psd", "status", word), said, nearest(str(value), PSD_VALUES))


def overrides(held: Held) -> Iterator[Finding]:
    """Hand-made dsp parameters that no chain reads, and that are almost ones that a chain reads."""
    folder = held.overrides.get("dsp")
    read = sorted(_read_by_chains(held)) if folder and folder.validity.timelines else []
    for text in held.texts(folder) if folder and read else ():
        for detector, entry in text.mapping().items():
            for place in _leaves(entry, ()):
                name = ".".join(place)
                close = [] if name in read else get_close_matches(name, read, n=1, cutoff=CLOSE)
                if close:
                    said = f"no processing chain reads {name!r}, which {detector} has"
                    yield at(text, (detector, *place), said, f"did you mean {close[0]!r}?")


def operations(held: Held) -> Iterator[Finding]:
    """Hand-made operations of hit that are almost the name of one that is there."""
    for tier, folder in held.overrides.items():
        if tier in ("hit", "pht") and folder.validity.timelines:
            known = sorted(_operations(held, f"tier_{tier}"))
            for text in held.texts(folder):
                for detector, entry in text.mapping().items():
                    for place in _own_operations(entry):
                        name = place[-1]
                        close = [] if name in known else get_close_matches(name, [*known, "operations"], 1, CLOSE_NAME)
                        if close:
                            said = f"nothing reads {name!r}, which {detector} has"
                            yield at(text, (detector, *place), said, f"did you mean {close[0]!r}?")


def _own_operations(entry: object) -> Iterator[tuple[str, ...]]:
    """The places of the operations in a detector's overrides."""
    pars = entry.get("pars") if isinstance(entry, Mapping) else None
    for name in pars if isinstance(pars, Mapping) else ():
        if name != "operations":
            yield "pars", str(name)
    found = pars.get("operations") if isinstance(pars, Mapping) else None
    yield from (("pars", "operations", str(name)) for name in (found if isinstance(found, Mapping) else ()))


def _operations(held: Held, rule: str) -> set[str]:
    """All that hit is configured to make, for any detector."""
    found: set[str] = set()
    for key in held.moments:
        for channel in held.metadata.channels(key):
            config = held.metadata.config(rule, key).shared("hit_config", channel) or {}
            for part in ("operations", "outputs", "outputs_if_calibrated"):
                found.update(map(str, config.get(part) or ()))
    return found


def skims(held: Held) -> Iterator[Finding]:
    """Fields that skm asks for and that are almost ones of evt; the job would say so at the end of a production."""
    for key in held.moments if "skm" in held.cycle.scheme.tiers else ():
        layers = held.metadata.config("tier_skm", key).layers("skm_config")
        made = held.metadata.config("tier_evt", key).shared("evt_config") or {}
        places = [str(name).split("___") for name in made.get("outputs") or ()]
        fields = {group for parts in places for group in accumulate(parts, "{}_{}".format)}
        for place, name in _asked_for(layers.data) if layers.own else ():
            field = name.removeprefix("evt.").replace(".", "_")
            close = [] if field in fields else get_close_matches(field, sorted(fields), n=1, cutoff=CLOSE)
            origin = layers.origin(*place) if close else None
            if origin:
                said = f"skm asks for {name!r}, which evt does not make"
                yield at(origin.text, origin.place, said, f"did you mean {close[0]!r}?")


def _asked_for(config: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The fields of evt that a skim names, with their places."""
    if config.get("evt_filter"):
        yield from ((("evt_filter",), name) for name in sorted(parsed(config["evt_filter"], "evt_filter").names))
    for number, name in enumerate(config.get("keep_fields") or ()):
        yield ("keep_fields", number), str(name)


def _read_by_chains(held: Held) -> set[str]:
    """The parameters that chains of the detectors read, without ``db.``."""
    found: set[str] = set()
    seen: set[int] = set()
    for key in held.moments:
        config = held.metadata.config("tier_dsp", key)
        for channel in held.metadata.channels(key):
            layers = config.layers(CHAIN, channel)
            if id(layers) not in seen and layers.files:
                found.update(_PARAMETER.findall(json.dumps(layers.data, default=str)))
            seen.add(id(layers))
    return found


def _leaves(node: object, place: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(node, Mapping):
        for name, item in node.items():
            yield from _leaves(item, (*place, str(name)))
    elif place:
        yield place
