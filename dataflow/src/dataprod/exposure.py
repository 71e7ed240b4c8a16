"""Live time and exposure, from the files of events and the masses in the metadata.

Real time
    Of a file: where a pulser fires at a fixed rate, the number of its pulses that were due times its period; else the
    time from the first event to the last. Gaps between files do not count.
Live time
    The number of pulses that were recorded times the period. A pulse that should have come and is not there is dead
    time. Without a pulser, the real time. It is right to one period a file.
Exposure
    Of a detector: its mass times the live time of the files in which it could be analysed. Efficiencies of cuts, the
    active volume and enrichment are not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lh5
import numpy as np
from numpy.typing import NDArray

from dataflow.base.errors import UserError
from dataflow.base.textfile import SUFFIXES
from dataflow.door.contents import Contents
from dataflow.door.parameters import ParameterFiles
from dataflow.keys.channel import Channel
from dataflow.keys.key import Key
from dataflow.metadata.merge import merged_all
from dataflow.metadata.quantities import number
from dataflow.plan.noeffect.energies import columns_used

from .partable import of_columns
from .production import Production, TierFile
from .reading import event_tables, opened

YEAR = 365.25 * 24 * 3600
"""Seconds of a Julian year."""
USABLE = ("on", "no_psd")
"""Usabilities of detectors whose events are analysed."""
LEAST_PULSES = 10
"""With fewer pulses there is no period."""
TOLERANCE = 0.01
"""How far from a whole number of periods the time between two pulses may be, in periods."""
DIODES = "germanium/diodes"
GRAMS = 1000.0


@dataclass(frozen=True)
class Live:
    """How long a file was measured.

    Attributes
    ----------
    begin, end
        Times of its first and last event, seconds since 1970.
    real, live
        Real and live time in seconds.
    pulses, missing
        Pulses that were recorded, and those that should have come between them and did not.
    period
        Seconds between two pulses; NaN where none fires regularly: then the times are those of events.
    """

    begin: float
    end: float
    real: float
    live: float
    pulses: int
    missing: int
    period: float

    @property
    def method(self) -> str:
        """What the live time is from: ``pulser``, or ``events``."""
        return "pulser" if np.isfinite(self.period) else "events"


def live_time(times: NDArray[np.float64], is_pulser: NDArray[np.bool_]) -> Live:
    """The live time of a file.

    Parameters
    ----------
    times
        Times of its events, seconds, shape (events,).
    is_pulser
        Which of them have the pulser in them, shape (events,).

    Returns
    -------
    Live
        All zero where there is no event.
    """
    finite = np.isfinite(times)
    times, is_pulser = times[finite], is_pulser[finite]
    if not len(times):
        return Live(0.0, 0.0, 0.0, 0.0, 0, 0, np.nan)
    begin, end = float(times.min()), float(times.max())
    pulses = np.sort(times[is_pulser])
    period, missing = _rhythm(pulses)
    if not np.isfinite(period):
        return Live(begin, end, end - begin, end - begin, len(pulses), 0, np.nan)
    return Live(begin, end, (len(pulses) + missing) * period, len(pulses) * period, len(pulses), missing, period)


def _rhythm(pulses: NDArray[np.float64]) -> tuple[float, int]:
    """Period of pulses and how many are missing between them; NaN where they do not come at a fixed rate."""
    if len(pulses) < LEAST_PULSES:
        return np.nan, 0
    distances = np.diff(pulses)
    period = float(np.median(distances))
    if period <= 0:
        return np.nan, 0
    whole = np.round(distances / period)
    off = np.abs(distances / period - whole)
    if np.any(whole < 1) or np.any(off > TOLERANCE * np.maximum(whole, 1)):
        return np.nan, 0
    return float(np.sum(distances) / np.sum(whole)), int(np.sum(whole) - len(distances))


def of_file(production: Production, file: TierFile) -> Live:
    """The live time of a file of events.

    Raises
    ------
    UserError
        If its events have no times.
    """
    with opened(file) as node:
        tables = event_tables(production, file, node)
        if not tables:
            raise UserError(f"{file.path} has no table of events")
        if f"{tables[0]}/trigger/timestamp" not in node:
            hint = "live times need trigger/timestamp in the configuration of evt"
            raise UserError(f"the events of {file} have no trigger/timestamp", hint=hint)
        times = np.asarray(lh5.read(f"{tables[0]}/trigger/timestamp", node).nda, dtype=np.float64)
        name = f"{tables[0]}/coincident/puls"
        pulser = lh5.read(name, node).nda.astype(bool) if name in node else np.zeros(len(times), dtype=bool)
    return live_time(times, pulser)


def livetime(production: Production, files: Sequence[TierFile], library: str) -> Any:
    """A table of live times by file; see :meth:`Production.livetime`."""
    found = [of_file(production, file) for file in files]
    columns: dict[str, list[Any]] = {
        "key": [str(file) for file in files],
        "run": [file.series for file in files],
        "from": [live.begin for live in found],
        "to": [live.end for live in found],
        "realtime_in_s": [live.real for live in found],
        "livetime_in_s": [live.live for live in found],
        "pulses": [live.pulses for live in found],
        "missing_pulses": [live.missing for live in found],
        "method": [live.method for live in found],
    }
    return of_columns(columns, ("run", "method"), library)


def exposure(production: Production, files: Sequence[TierFile], usability: Iterable[str], library: str) -> Any:
    """A table of exposures by run and detector; see :meth:`Production.exposure`."""
    wanted, masses = tuple(usability), _Masses(production)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    par = _Calibrated(production)
    for file in files:
        seconds = of_file(production, file).live
        for channel in _germanium(production, file):
            row = found.setdefault((file.series, channel.name), {"seconds": 0.0, "why": []})
            why = _why_not(channel, wanted) or par.failure(file, channel)
            row["seconds"] += 0.0 if why else seconds
            row["why"] += [why] if why and why not in row["why"] else []
    mass = {name: masses.of(name) for _, name in found}
    columns: dict[str, list[Any]] = {
        "run": [run for run, _ in found],
        "detector": [name for _, name in found],
        "mass_in_kg": [mass[name] for _, name in found],
        "livetime_in_s": [row["seconds"] for row in found.values()],
        "exposure_in_kg_yr": [mass[name] * row["seconds"] / YEAR for (_, name), row in found.items()],
        "left_out": ["; ".join(row["why"]) for row in found.values()],
    }
    return of_columns(columns, ("run", "detector"), library)


def _germanium(production: Production, file: TierFile) -> Iterator[Channel]:
    return (channel for channel in production.channels(file, None) if channel.system == "geds")


def _why_not(channel: Channel, usability: Sequence[str]) -> str:
    """Why events of a detector are not analysed; empty if they are."""
    if not channel.processable:
        return "not processable"
    return "" if channel.usability in usability else f"usability {channel.usability}"


class _Calibrated:
    """Which detectors have a calibration, as far as the parameters of the cycle tell."""

    def __init__(self, production: Production) -> None:
        cycle = production.cycle
        self._production = production
        self._files = ParameterFiles(Contents(cycle.setup, cycle.scheme))
        self._read: dict[tuple[Path, ...], Mapping[Any, Any]] = {}

    def failure(self, file: TierFile, channel: Channel) -> str:
        """Why a detector has no energies in a file; empty where it has, or where nothing is known of parameters."""
        if file.key is None:
            return ""
        made, by_hand = self._files.held("pht" if file.tier == "pet" else "hit", file.key)
        paths = (*made, *by_hand)
        if not all(path.is_file() for path in paths):
            return ""
        if paths not in self._read:
            reader = self._production.cycle.metadata.reader
            self._read[paths] = merged_all(reader(path).mapping() for path in paths)
        entry = self._read[paths].get(channel.name, {}) if paths else {}
        status = entry.get("status") if isinstance(entry, Mapping) else None
        failed = isinstance(status, Mapping) and status.get("state") == "failed" and not entry.get("pars")
        if failed and status:
            return f"no calibration: {status.get('reason', '')}".rstrip(": ")
        return self._no_energy(file.key, entry if isinstance(entry, Mapping) else {})

    def _no_energy(self, key: Key, entry: Mapping[str, Any]) -> str:
        """Why the energy by which events are made could not be calibrated, where others could."""
        results, pars = entry.get("results"), entry.get("pars")
        failed = results.get("ecal_failed") if isinstance(results, Mapping) else None
        if not failed:
            return ""
        own = pars.get("operations", pars) if isinstance(pars, Mapping) else {}
        used = columns_used(self._production.cycle.metadata.config("tier_evt", key).shared("evt_config") or {})
        reasons = (
            f"no calibration of {name}_cal: {reason}"
            for name, reason in failed.items()
            if f"{name}_cal" in used and f"{name}_cal" not in own
        )
        return next(reasons, "")


class _Masses:
    """Masses of germanium detectors by the metadata."""

    def __init__(self, production: Production) -> None:
        self._folder = production.cycle.setup.path("detector_db") / DIODES
        self._reader = production.cycle.metadata.reader

    def of(self, name: str) -> float:
        """The mass of a detector in kg.

        Raises
        ------
        UserError
            If the metadata do not say it.
        """
        path = next(
            (self._folder / f"{name}{end}" for end in SUFFIXES if (self._folder / f"{name}{end}").is_file()), None
        )
        if path is None:
            hint = f"write it to {self._folder / name}.yaml: {{production: {{mass_in_g: 2000.0}}}}"
            raise UserError(f"the metadata do not say the mass of {name}", hint=hint)
        production = self._reader(path).mapping().get("production")
        value = number(production.get("mass_in_g")) if isinstance(production, Mapping) else None
        if value is None or not value.value > 0:
            raise self._reader(path).error("production.mass_in_g must be a mass in grams", "production", "mass_in_g")
        return value.value / GRAMS
