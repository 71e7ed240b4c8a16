"""The name of one DAQ file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .scheme import KeyScheme

PARTITION = "partition"
"""The field of a partition's name in path templates."""


@dataclass(frozen=True)
class Key:
    """The name of one DAQ file: the values of the scheme's fields."""

    values: tuple[str, ...]
    scheme: KeyScheme = field(compare=False, repr=False)

    def __hash__(self) -> int:
        return hash(self.values[-1])  # the times differ; a plan hashes keys a million times, all fields take long

    def __str__(self) -> str:
        return "-".join(self.values)

    def __getitem__(self, name: str) -> str:
        return self.values[self.scheme.names.index(name)]

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """The values by field name."""
        return dict(zip(self.scheme.names, self.values, strict=True))

    @property
    def timestamp(self) -> str:
        """The begin of the file, ``YYYYmmddTHHMMSSZ``."""
        return self.values[-1]

    @property
    def datatype(self) -> str:
        """The category of metadata validity: the datatype, or the measurement of a test stand."""
        return self.values[self.scheme.category_place]

    @property
    def series(self) -> str:
        """The files of one run and one datatype: the key without its time."""
        return "-".join(self.values[:-1])

    @property
    def run(self) -> str:
        """The run that the file belongs to, with all its datatypes: ``l200-p03-r000``."""
        return "-".join([self.values[place] for place in self.scheme.run_places])

    @property
    def order(self) -> tuple[str, tuple[str, ...]]:
        """What keys are sorted by: the time, then the name."""
        return self.values[-1], self.values
