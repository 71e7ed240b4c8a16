"""Units that dspeed looks up again and again while it makes a chain: looked up once.

For each name and each argument of a chain dspeed asks pint whether it is a unit and whether units can be converted, and
spells out variables with their units for a log that nobody reads; that is half of the time of making a chain, which is
a tenth of a second for each channel of each file.
:func:`install` puts a registry that remembers into the place of dspeed's. Needless as soon as pint or dspeed remember.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any


class Remembering:
    """A registry of units that keeps the answers to questions about texts.

    Parameters
    ----------
    registry
        The registry that is asked.
    """

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self._is_unit = cache(registry.__contains__)
        self._parsed = cache(registry.__call__)
        self._compatible = cache(registry.is_compatible_with)

    def __contains__(self, name: Any) -> bool:
        return bool(self._is_unit(name) if isinstance(name, str) else name in self._registry)

    def __call__(self, text: str) -> Any:
        return self._parsed(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)

    def is_compatible_with(self, one: Any, other: Any) -> bool:
        """Whether one unit can be converted into another; of a quantity, its unit alone counts."""
        return bool(self._compatible(getattr(one, "units", one), getattr(other, "units", other)))


def install() -> None:
    """Have dspeed use a registry that remembers, and describe variables only where that is logged; once is enough."""
    from dspeed import processing_chain

    if isinstance(processing_chain.ureg, Remembering):
        return
    processing_chain.ureg = Remembering(processing_chain.ureg)
    described = processing_chain.ProcChainVar.description

    def description(self: Any) -> str:
        return str(described(self)) if processing_chain.log.isEnabledFor(logging.DEBUG) else ""

    processing_chain.ProcChainVar.description = description
