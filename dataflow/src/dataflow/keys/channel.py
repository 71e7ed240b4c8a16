"""One readout channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SYSTEMS = ("geds", "spms", "puls", "bsln", "auxs", "pmts", "muon")


@dataclass(frozen=True)
class Channel:
    """One readout channel at one time.

    Attributes
    ----------
    name
        The detector, for example ``V02160A``.
    system
        ``geds``, ``spms``, ``puls``, ``bsln``, ``auxs``, ``pmts`` or ``muon``.
    rawid
        Number of its tables in LH5 files, None where tables have no channel prefix.
    fcid
        Number in the DAQ system's event records, None if the map does not tell.
    processable
        Whether it is processed beyond raw.
    usability
        ``on``, ``ac`` (anti-coincidence only), ``off`` or ``no_psd``.
    psd
        Which pulse-shape classifiers are valid.
    daq
        The entry ``daq`` of the channel map.
    """

    name: str
    system: str
    rawid: int | None = None
    fcid: int | None = None
    processable: bool = True
    usability: str = "on"
    psd: Mapping[str, Any] = field(default_factory=dict, compare=False)
    daq: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def adc_bits(self) -> int | None:
        """The depth of its digitizer, None if the map does not tell: then the DAQ file does."""
        return self.daq.get("adc_bits")

    def lacks(self, classifier: str) -> bool:
        """Whether its status says that it has no such pulse-shape classifier: ``psd.status.low_aoe: missing``."""
        status = self.psd.get("status")
        return isinstance(status, Mapping) and status.get(classifier) == "missing"
