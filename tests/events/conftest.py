"""Files of channels with random columns: dense (each channel in each event) and sparse ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lh5
import numpy as np
import pytest
from lgdo import Array, Table, VectorOfVectors
from numpy.typing import NDArray

from dataflow.steps.tier_evt.builder import Sources, build_events
from dataflow.steps.tier_evt.operations import event_config

Hits = list[list[tuple[int, int]]]
"""By event, (channel, row in its table)."""


def op(mode: str, expression: str, channels: Any = "all", **more: Any) -> dict[str, Any]:
    """An operation that aggregates over channels."""
    return {"channels": channels, "aggregation_mode": mode, "expression": expression} | more


GATHERED = {
    "rawid": op("gather", "tcm.table_key", query="hit.energy > 60", sort="ascend_by:dsp.tp"),
    "index": op("gather", "tcm.index", query="hit.energy > 60", sort="ascend_by:dsp.tp"),
    "energy": op("keep_at_ch:evt.rawid", "hit.energy"),
    "energy_idx": op("keep_at_idx:evt.index", "hit.energy"),
    "bits": op("keep_at_ch:evt.rawid", "hit.bits"),
}
"""Lists of an event, in the order of a filter's time."""


@dataclass
class Data:
    """Files, and what is in them."""

    folder: Path
    channels: Sequence[int]
    hits: Hits
    columns: dict[int, dict[str, NDArray[Any]]]

    @property
    def tables(self) -> list[str]:
        """Names of the channels' tables."""
        return [f"ch{channel}" for channel in self.channels]

    @property
    def sources(self) -> Sources:
        """As the event builder takes them."""
        return Sources(
            (self.folder / "tcm.lh5", "tcm"),
            {tier: (self.folder / f"{tier}.lh5", tier) for tier in ("dsp", "hit")},
            {f"ch{channel}": channel for channel in self.channels},
            {f"ch{channel}": f"V{channel}A" for channel in self.channels},
            "ch{}",
        )

    @property
    def datainfo(self) -> dict[str, tuple[str | None, ...]]:
        """As pygama's event builder takes them."""
        info = {tier: (str(self.folder / f"{tier}.lh5"), tier, "ch{}") for tier in ("dsp", "hit")}
        return {"tcm": (str(self.folder / "tcm.lh5"), "tcm"), "evt": (None, "evt")} | info  # type: ignore[dict-item]

    @property
    def lists(self) -> dict[str, list[str]]:
        """All channels, and two of them."""
        return {"all": self.tables, "two": self.tables[1:3]}

    def build(self, operations: dict[str, Any], size: int = 1000, lists: Any = None, **more: Any) -> Any:
        """The events, joined, as an awkward array of nested records."""
        import awkward as ak

        config = event_config({"operations": operations} | more, lists or {"all": self.tables})
        return ak.concatenate([table.view_as("ak") for table in build_events(self.sources, config, size)])

    def by_pygama(self, operations: dict[str, Any], size: int = 1000) -> Any:
        """The events as pygama builds them."""
        from pygama.evt import build_evt

        config = {"channels": self.lists, "operations": operations}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pandas
            return build_evt(self.datainfo, config, buffer_len=size).view_as("ak")


def column(events: Any, name: str) -> Any:
    """A column of nested records by the name of its operation."""
    for part in name.split("___"):
        events = events[part]
    return events


def make_data(folder: Path, channels: Sequence[int], hits: Hits, seed: int = 1) -> Data:
    """Write the files of given hits; rows count from 0 in each channel."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    columns = {}
    for channel in channels:
        rows = max((row + 1 for event in hits for c, row in event if c == channel), default=0)
        columns[channel] = random_columns(rng, rows)
    _set_times(hits, columns, rng)
    for channel in channels:
        _write(folder, channel, columns[channel])
    flat = [hit for event in hits for hit in event]
    ends = np.cumsum([len(event) for event in hits]).astype("uint32")
    key, row = (np.array([hit[i] for hit in flat], dtype=np.int64) for i in (0, 1))
    table = Table(
        {
            name: VectorOfVectors(flattened_data=values, cumulative_length=ends)
            for name, values in (("table_key", key), ("row_in_table", row))
        },
        size=len(hits),
    )
    lh5.write(table, "tcm", str(folder / "tcm.lh5"), wo_mode="of")
    return Data(folder, channels, hits, columns)


def random_columns(rng: np.random.Generator, rows: int) -> dict[str, NDArray[Any]]:
    """Columns of all types for one channel."""
    return {
        "tp": rng.permutation(rows).astype(float) * 16 + rng.uniform(0, 1, rows),
        "n": rng.integers(1, 30_000, rows).astype(np.int32),
        "energy": rng.exponential(100, rows),
        "small": rng.exponential(100, rows).astype(np.float32),
        "flag": rng.uniform(size=rows) < 0.5,
        "bits": rng.integers(0, 16, rows).astype(np.uint8),
    }


def _set_times(hits: Hits, columns: dict[int, dict[str, NDArray[Any]]], rng: np.random.Generator) -> None:
    """Times follow the order of hits, as in a time coincidence map."""
    for values in columns.values():
        values["timestamp"] = np.zeros(len(values["n"]))
    for number, event in enumerate(hits):
        for place, (channel, row) in enumerate(event):
            columns[channel]["timestamp"][row] = 1.7e9 + number + 1e-6 * place + rng.uniform(0, 1e-7)


def pulses(energy: NDArray[np.float64]) -> VectorOfVectors:
    """A list a row: as many shares of its energy as its energy has whole hundreds of keV."""
    counts = (energy // 100).astype(int)
    flat = np.repeat(energy / np.maximum(counts, 1), counts)
    return VectorOfVectors(flattened_data=flat, cumulative_length=np.cumsum(counts))


def _write(folder: Path, channel: int, columns: dict[str, NDArray[Any]]) -> None:
    units = {"timestamp": {"units": "s"}, "energy": {"units": "keV"}, "bits": {"bit_names": "a,b"}}
    for tier, names in (("dsp", ("timestamp", "tp", "n")), ("hit", ("energy", "small", "flag", "bits"))):
        table = Table({name: Array(columns[name], attrs=units.get(name, {})) for name in names})
        if tier == "hit":
            table.add_field("pulses", pulses(columns["energy"]))
        lh5.write(table, tier, str(folder / f"{tier}.lh5"), group=f"ch{channel}", wo_mode="append")


def dense_hits(channels: Sequence[int], events: int) -> Hits:
    """Each channel once in each event."""
    return [[(channel, number) for channel in channels] for number in range(events)]


def sparse_hits(channels: Sequence[int], events: int, *, repeat: float, shuffled: bool, seed: int = 3) -> Hits:
    """Some channels in each event, at least one; a share of the hits is followed by another of the same channel."""
    rng = np.random.default_rng(seed)
    hits: list[list[int]] = []
    for _ in range(events):
        fired = list(rng.permutation(channels)[: rng.integers(1, len(channels) + 1)])
        fired += [channel for channel in fired if rng.uniform() < repeat]
        hits.append([int(channel) for channel in fired])
    count = {channel: sum(event.count(channel) for event in hits) for channel in channels}
    rows = {c: iter(rng.permutation(n) if shuffled else range(n)) for c, n in count.items()}
    return [[(channel, int(next(rows[channel]))) for channel in event] for event in hits]


@pytest.fixture
def data_of(tmp_path: Path) -> Callable[..., Data]:
    """Makes files: ``data_of(channels, hits)``."""

    def made(channels: Sequence[int], hits: Hits, name: str = "data", seed: int = 1) -> Data:
        return make_data(tmp_path / name, channels, hits, seed)

    return made


@pytest.fixture
def dense() -> Callable[..., Hits]:
    """Hits of dense data."""
    return dense_hits


@pytest.fixture
def sparse() -> Callable[..., Hits]:
    """Hits of sparse data."""
    return sparse_hits
