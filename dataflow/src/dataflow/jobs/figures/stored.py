"""Pages as nested mappings of arrays and texts, as LH5 files have them, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed

from .page import ARRAYS, LABELS, LIMITS, SCALES, Curve, Limits, Look, Page, Panel, Text, Ticks

LOOKS = frozenset({
    "alpha", "baseline", "capsize", "cmap", "color", "family", "fill", "fmt", "fontsize", "ha", "linespacing", "ls",
    "lw", "marker", "mfc", "ms", "rasterized", "rotation", "va", "vmax", "vmin", "within", "wrap", "zorder",
})  # fmt: skip
"""How curves and texts can look: arguments of matplotlib's methods; ``within``: a text's place is relative to axes."""
OPTIONAL = frozenset({"y_error"})


def values_of(page: Page) -> dict[str, Any]:
    """All of a page, None for what is not there.

    Returns
    -------
    dict
        ``title``, ``texts``, ``texts_look``, and ``axes0`` … each with ``place``, labels, scales, limits (NaN where
        they are to be found), ``curve0`` … with ``kind``, ``label``, ``look`` and the arrays of its kind, ``xticks``,
        ``yticks`` and ``look``. Looks are JSON.
    """
    return {
        "title": page.title,
        **_texts(page.texts),
        **{f"axes{number}": _panel(panel) for number, panel in enumerate(page.panels)},
    }


def _texts(texts: Sequence[Text]) -> dict[str, Any]:
    if not texts:
        return {}
    looks = [json.dumps({"x": text.x, "y": text.y, **text.look}) for text in texts]
    return {"texts": [text.text for text in texts], "texts_look": looks}


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "place": np.array(panel.place, dtype=float),
        "shares_x": panel.shares_x,
        **{name: panel.labels.get(name, "") for name in LABELS},
        **{name: panel.scales.get(name, "linear") for name in SCALES},
        **{name: _limits(panel.limits.get(name, (None, None))) for name in LIMITS},
        **_texts(panel.texts),
        **{f"{axis}ticks": _ticks(ticks) for axis, ticks in panel.ticks.items()},
        "look": json.dumps(panel.look),
        **{f"curve{number}": _curve(curve) for number, curve in enumerate(panel.curves)},
    }


def _limits(limits: Limits) -> NDArray[np.float64]:
    return np.array([math.nan if end is None else end for end in limits])


def _ticks(ticks: Ticks) -> dict[str, Any]:
    return {"places": np.array(ticks.places), "labels": list(ticks.labels) or None, "look": json.dumps(ticks.look)}


def _curve(curve: Curve) -> dict[str, Any]:
    return {"kind": curve.kind, "label": curve.label or None, "look": json.dumps(curve.look), **curve.arrays}


def from_values(values: Mapping[str, Any]) -> Page:
    """A page from what :func:`values_of` gives, after it was written and read.

    Raises
    ------
    WorkFailed
        If it is none, or asks for what no page has.
    """
    try:
        panels = [_to_panel(axes) for axes in _numbered(values, "axes")]
        page = Page(str(values["title"]), _to_texts(values), panels)
    except (KeyError, TypeError, ValueError) as error:
        raise WorkFailed(f"what is to be drawn is incomplete: {type(error).__name__}: {error}") from error
    for number, panel in enumerate(page.panels):
        if panel.shares_x is not None and not 0 <= panel.shares_x < number:
            raise WorkFailed(f"what is to be drawn is invalid: axes {number} share those of {panel.shares_x}")
    return page


def _numbered(values: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    for number in count():
        if f"{name}{number}" not in values:
            return
        yield values[f"{name}{number}"]


def _to_panel(values: Mapping[str, Any]) -> Panel:
    left, bottom, width, height = map(float, values["place"])
    limits = {name: tuple(None if math.isnan(end) else float(end) for end in values[name]) for name in LIMITS}
    return Panel(
        (left, bottom, width, height),
        None if values.get("shares_x") is None else int(values["shares_x"]),
        [_to_curve(curve) for curve in _numbered(values, "curve")],
        _to_texts(values),
        {name: text for name in LABELS if (text := str(values[name]))},
        {name: scale for name in SCALES if (scale := str(values[name])) != "linear"},
        {name: (low, high) for name, (low, high) in limits.items() if not low is high is None},
        {axis: _to_ticks(values[f"{axis}ticks"]) for axis in "xy" if f"{axis}ticks" in values},
        json.loads(values["look"]),
    )


def _to_texts(values: Mapping[str, Any]) -> list[Text]:
    looks = [json.loads(look) for look in values.get("texts_look", ())]
    return [
        Text(float(look.pop("x")), float(look.pop("y")), str(text), _checked(look))
        for text, look in zip(values.get("texts", ()), looks, strict=True)
    ]


def _to_ticks(values: Mapping[str, Any]) -> Ticks:
    labels = [str(label) for label in values.get("labels") or ()]
    return Ticks(list(map(float, values["places"])), labels, _checked(json.loads(values["look"])))


def _to_curve(values: Mapping[str, Any]) -> Curve:
    kind = str(values["kind"])
    if kind not in ARRAYS:
        raise WorkFailed(f"what is to be drawn is invalid: {kind} is no kind of curve")
    arrays = {name: values[name] for name in ARRAYS[kind] if name in values or name not in OPTIONAL}
    return Curve(kind, arrays, str(values.get("label") or ""), _checked(json.loads(values["look"])))


def _checked(look: Look) -> Look:
    unknown = look.keys() - LOOKS
    if unknown:
        raise WorkFailed(f"what is to be drawn is invalid: {', '.join(sorted(unknown))}")
    return look
