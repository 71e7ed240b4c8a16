"""The forms of DAQ files: by which names they are found. How they are read is :mod:`dataflow.tiers.daqfile`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

GROUP = "dataprod.daq_formats"
"""Entry points of packages that bring a form of their own. The name of the entry is that of the form and, after a dot,
the ending of its files; what it points to is a :class:`dataflow.tiers.formats.form.Form`."""
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


def form_and_stem(name: str, foreign: Iterable[str] = ()) -> tuple[DaqForm, str] | None:
    """The form of a file and its name without endings, None if the name is not that of a DAQ file."""
    for packed in PACKED:
        for form in all_forms(foreign):
            for ending in form.endings:
                if name.endswith(ending + packed) and len(name) > len(ending + packed):
                    return form, name[: -len(ending + packed)]
    return None
