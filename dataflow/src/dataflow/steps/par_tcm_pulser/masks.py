"""Which hits of an event builder's map belong to pulser events and forced triggers, and which follow a discharge."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .settings import PulserSettings

log = logging.getLogger(__name__)

Mask = NDArray[np.bool_]
Ids = NDArray[np.int64]

EVERYWHERE = 0.9
"""A channel that is in more than this part of the events is read out with every trigger and marks none."""


@dataclass(frozen=True)
class Hits:
    """The hits of a file, event by event.

    Attributes
    ----------
    keys, rows
        Number of the channel, and row in its table, shape (hits,).
    ends
        How many hits there are up to the end of each event, shape (events,).
    """

    keys: Ids
    rows: Ids
    ends: Ids

    @property
    def events(self) -> Ids:
        """The event of each hit, shape (hits,)."""
        return np.repeat(np.arange(len(self.ends)), np.diff(self.ends, prepend=0))

    def with_any(self, channels: Ids) -> Mask:
        """Which events have one of some channels, shape (events,)."""
        found = np.zeros(len(self.ends), dtype=bool)
        found[self.events[np.isin(self.keys, channels)]] = True
        return found

    def multiplicity(self, channels: Ids) -> Ids:
        """How many hits of some channels each event has, shape (events,)."""
        return np.bincount(self.events[np.isin(self.keys, channels)], minlength=len(self.ends)).astype(np.int64)


def pulser_events(hits: Hits, pulsers: Ids, germanium: Ids, settings: PulserSettings, name: str = "") -> Mask:
    """The events of the pulser: those with its channel, or where none tells, those with many detectors.

    Parameters
    ----------
    hits
        Of a file.
    pulsers, germanium
        Numbers of channels.
    settings
        From how many detectors on.
    name
        Of the file, for the log.

    Returns
    -------
    numpy.ndarray
        Shape (events,).
    """
    marked = _unless_everywhere(hits.with_any(pulsers), "pulser", name)
    least = settings.pulser_multiplicity_threshold
    if marked.any() or least is None:
        return marked
    return np.asarray(hits.multiplicity(germanium) > least)


def forced_events(hits: Hits, baselines: Ids, name: str = "") -> Mask:
    """The events that were triggered without a pulse: those with a baseline channel, shape (events,)."""
    return _unless_everywhere(hits.with_any(baselines), "baseline", name)


def _unless_everywhere(marked: Mask, what: str, name: str) -> Mask:
    if len(marked) and marked.mean() > EVERYWHERE:
        log.warning("%s: the %s channel is in every event, so it marks none", name, what)
        return np.zeros_like(marked)
    return marked


def rows_of(hits: Hits, channel: int, marked: Mask) -> Mask:
    """Which rows of a channel's table are in marked events, shape (rows,).

    A map without some of the rows gives a mask up to the last that it has: who reads the data finds that out.
    """
    mine = hits.keys == channel
    rows = hits.rows[mine]
    mask = np.zeros(max(len(rows), int(rows.max(initial=-1)) + 1), dtype=bool)
    mask[rows] = marked[hits.events[mine]]
    return mask


def recovering(times: NDArray[np.float64], discharges: Mask, after: float) -> Mask:
    """Which rows follow a discharge of the same detector.

    Parameters
    ----------
    times
        In seconds, shape (rows,), in any order.
    discharges
        Which rows are discharges, shape (rows,).
    after
        For how long in seconds; the discharge itself, and what has its time, does not count.

    Returns
    -------
    numpy.ndarray
        Shape (rows,).
    """
    begins = np.sort(times[discharges])
    if len(begins) == 0:
        return np.zeros(len(times), dtype=bool)
    last = np.searchsorted(begins, times, side="left") - 1
    since = times - begins[np.maximum(last, 0)]
    return np.asarray((last >= 0) & (since > 0) & (since < after))
