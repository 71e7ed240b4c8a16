"""The forms of DAQ files, by their names; :mod:`dataflow.steps.tier_raw.daqfile` reads them."""

from __future__ import annotations

import configparser
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

GROUP = "dataprod.daq_formats"
"""Entry points of packages that bring a form of their own. The name of the entry is that of the form and, after a dot,
the ending of its files; what it points to is a :class:`dataflow.steps.tier_raw.formats.form.Form`."""
PACKED = ("", ".gz", ".bz2")


@dataclass(frozen=True)
class DaqForm:
    """A form of DAQ files.

    Attributes
    ----------
    name
        Short name; its rule in the metadata is ``tier_raw_NAME``.
    endings
        What the names of its files end in, beside ``.gz`` and ``.bz2``.
    doc
        What writes such files.
    """

    name: str
    endings: tuple[str, ...]
    doc: str = ""


FORMS = (
    DaqForm("fcio", (".fcio",), "FlashCam"),
    DaqForm("orca", (".orca",), "ORCA, with FlashCam's records of either kind or SIS3302, SIS3316"),
    DaqForm("compass", (".BIN", ".bin"), "CAEN CoMPASS"),
    DaqForm("llama", (".llama",), "llamaDAQ, with SIS3316"),
)


def all_forms(foreign: Iterable[str] = ()) -> tuple[DaqForm, ...]:
    """The forms that there are, with those of other packages by their names."""
    own = {form.name for form in FORMS}
    return FORMS + tuple(DaqForm(name, (f".{name}",)) for name in sorted(set(foreign)) if name not in own)


def form_and_stem(name: str, foreign: tuple[str, ...] = ()) -> tuple[DaqForm, str] | None:
    """The form of a file and its name without endings, None if the name is not that of a DAQ file."""
    for ending, form in _endings(foreign):
        if name.endswith(ending) and len(name) > len(ending):
            return form, name[: -len(ending)]
    return None


@cache
def _endings(foreign: tuple[str, ...]) -> tuple[tuple[str, DaqForm], ...]:
    """All endings of names, with their forms."""
    return tuple((ending + pack, form) for form in all_forms(foreign) for ending in form.endings for pack in PACKED)


def foreign_names(install: Path) -> tuple[str, ...]:
    """The forms that packages bring: those installed in a cycle's software, and those that this process can import."""
    places = {*map(str, install.glob("lib/python*/site-packages")), *filter(None, sys.path)}
    return tuple(sorted({name for place in places for name in _declared(place)}))


@cache
def _declared(place: str) -> tuple[str, ...]:
    """What the packages in a folder declare; read as text, as a plan imports nothing of them."""
    found: list[str] = []
    for file in Path(place).glob("*.dist-info/entry_points.txt"):
        text = file.read_text(encoding="utf-8", errors="replace")
        if GROUP in text:
            parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
            parser.optionxform = str  # type: ignore[assignment,method-assign]
            parser.read_string(text)
            found += parser[GROUP] if parser.has_section(GROUP) else []
    return tuple(found)
