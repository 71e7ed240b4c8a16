"""``dataprod config CYCLE STEP [DETECTOR]``: the configuration in force, with the origin of every value."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from prodenv.base.tables import coloured, print_json, print_table
from prodenv.cycles.find import find_cycle
from prodenv.cycles.flow import ask

SHIPPED = "default"
SHOWN = 5
"""Detectors that are named above a table."""


def run(options: argparse.Namespace) -> int:
    """Print what configures a step at a time."""
    values = {name: getattr(options, name) for name in ("step", "detector", "at")}
    found = ask(find_cycle(options.cycle), "in_force", options.setup, **values)
    if options.json:
        print_json(plain(found))
    else:
        show(found)
    return 0


def plain(value: Any) -> Any:
    """A document without what JSON does not have: NaN and infinity are texts, as YAML writes them."""
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return _text(value) if isinstance(value, float) else value


def _text(value: float) -> float | str:
    if value != value:
        return ".nan"
    return {float("inf"): ".inf", float("-inf"): "-.inf"}.get(value, value)


def show(found: dict[str, Any]) -> None:
    """A table for each part: entry, value, origin."""
    print(f"{found['step']} (rule {found['rule']}) at {found['key']}")
    for part in found["parts"]:
        rows = [
            (entry, text, coloured(origin, "dim") if origin == SHIPPED else coloured(origin, "green"))
            for entry, text, origin in lines(part["values"])
        ]
        print_table(["entry", "value", "origin"], rows, title=title(part))


def title(part: dict[str, Any]) -> str:
    """What a part is, and for which detectors."""
    names = part["detectors"]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return str(part["name"]) + (f" of {', '.join(names[:SHOWN])}{more}" if names else "")


def lines(values: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Entry, value and origin; elements of a list that stand one after the other in a file are one line."""
    for (outer, is_list, _), group in groupby(values, _together):
        elements = list(group)
        if is_list:
            text = ", ".join(_json(element["value"]) for element in elements)
            yield outer, f"[{text}]", elements[0]["origin"]
        else:
            yield from ((_dotted(each["place"]), _json(each["value"]), each["origin"]) for each in elements)


def _together(value: dict[str, Any]) -> tuple[str, bool, str]:
    place = value["place"]
    in_list = isinstance(place[-1], int) if place else False
    return (_dotted(place[:-1]), True, value["file"]) if in_list else (_dotted(place), False, value["file"])


def _dotted(place: Any) -> str:
    return ".".join(map(str, place))


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
