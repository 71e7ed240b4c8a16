"""The hashes of many values that differ in a few texts only: as fast as the hashes themselves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring

from .recipe import normal_text
from .records import LENGTH


class Each:
    """A place in a value at which another part stands for each of many.

    Parameters
    ----------
    parts
        What stands there, as JSON text.
    """

    def __init__(self, parts: Sequence[str]) -> None:
        self.parts = parts

    def __str__(self) -> str:
        """What stands there in the text for all: nothing that a value could have by itself."""
        return f"\0{id(self)}\0"


def texts(values: Iterable[str]) -> Each:
    """A place for texts."""
    return Each(list(map(encode_basestring, values)))


def digests(value: object, places: Sequence[Each]) -> list[str]:
    """The :func:`~.recipe.digest` of a value for each of many.

    Parameters
    ----------
    value
        A nested value in which `places` stand, each once, and not as a key of a mapping.
    places
        These, all with as many parts; at least one.
    """
    text = normal_text(value)
    marks = {json.dumps(str(place)): place for place in places}
    order = sorted(marks, key=text.index)
    form = text.replace("%", "%%")
    for mark in marks:
        form = form.replace(mark, "%s")
    rows = zip(*(marks[mark].parts for mark in order), strict=True)
    whole = ((form % row).encode("utf-8", "surrogateescape") for row in rows)
    return [hashlib.sha256(each).hexdigest()[:LENGTH] for each in whole]
