"""Looking into production cycles from Python.

>>> import dataprod
>>> cycle = dataprod.open("ref/v1")
>>> cycle.keys("p03-r00*-cal")
>>> cycle.load("hit", ["trapEmax_ctc_cal", "timestamp"], where="period == 'p03'", detectors=["V02160A"])
>>> cycle.par("hit", "p03-r000-cal", "V02160A").results.ecal

Names, keys and parameters need no more than the tools of the production environment; loading data needs the software
of a cycle (``dataprod load-sw CONFIG python``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dataflow.base.errors import UserError
from dataflow.keys.channel import Channel
from dataflow.keys.key import Key

from .condition import Condition
from .location import open_production as open  # noqa: A004 - dataprod.open, like gzip.open
from .par import Par
from .production import NothingFound, Production, TierFile

if TYPE_CHECKING:
    from .tables import units

__all__ = [
    "Channel", "Condition", "Key", "NothingFound", "Par", "Production", "TierFile", "UserError", "open", "units",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "units":  # needs numpy, which names and keys do without
        from .tables import units

        return units
    raise AttributeError(f"dataprod has no {name!r}; it has: {', '.join(__all__)}")
