"""How fast events are built, against pygama's event builder, on dense data; the results are checked to be equal.

Where a file is built in several parts (``--size`` below ``--events``), pygama's ``hit_idx`` counts from the begin of
the part: it is not compared then.

python benchmarks/evt_build.py [--events 100000] [--channels 30] [--size 1000000]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import lh5
import numpy as np
import yaml
from lgdo import Array, Table, VectorOfVectors

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "dataflow/src"))

from dataflow.steps.tier_evt.builder import Sources, build_events  # noqa: E402 - after the path
from dataflow.steps.tier_evt.operations import event_config  # noqa: E402

CONFIG = ROOT / "dataflow/src/dataflow/steps/tier_evt/defaults/evt_config.yaml"
FIRST = 1_000_001


def main() -> int:
    """Time both and compare what they make."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--channels", type=int, default=30)
    parser.add_argument("--size", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "warm").mkdir()
        tables = write(folder / "warm", 10, options.channels)
        build_ours(folder / "warm", configuration(tables), tables, options.size)  # imports are not counted
        build_theirs(folder / "warm", configuration(tables), options.size)
        write(folder, options.events, options.channels)
        config = configuration(tables)
        ours = timed("ours", lambda: build_ours(folder, config, tables, options.size))
        theirs = timed("pygama", lambda: build_theirs(folder, config, options.size))
        differing = compare(folder, parts=options.size < options.events)
    print(f"ratio {theirs / ours:.1f}; differing columns: {', '.join(differing) or 'none'}")
    return 1 if differing else 0


def timed(name: str, work: Callable[[], None]) -> float:
    """CPU seconds that something takes; the wall time is printed beside them."""
    start, wall = time.process_time(), time.perf_counter()
    work()
    seconds = time.process_time() - start
    print(f"{name:8} {seconds:7.2f} s of CPU, {time.perf_counter() - wall:7.2f} s")
    return seconds


def write(folder: Path, events: int, channels: int) -> list[str]:
    """Write dense files: each channel in each event."""
    rng = np.random.default_rng(1)
    start = np.arange(events) * 1e-3 + 1.7e9
    keys = FIRST + np.arange(channels)
    for key in keys:
        dsp = {"timestamp": start + rng.uniform(0, 1e-6, events), "tp_0_est": rng.uniform(4e4, 5e4, events)}
        dsp["trapTmax"] = rng.exponential(100, events)
        energy = rng.exponential(50, events)
        hit = {"cuspEmax_ctc_cal": energy, "energy_sum": energy, "is_valid_0vbb": energy > 3}
        hit["quality_flags"] = rng.integers(0, 8, events).astype("uint8")
        for tier, columns in (("dsp", dsp), ("hit", hit)):
            table = Table({column: Array(values) for column, values in columns.items()})
            lh5.write(table, tier, str(folder / f"{tier}.lh5"), group=f"ch{key}", wo_mode="append")
    ends = np.arange(1, events + 1) * channels
    flat = {"table_key": np.tile(keys, events), "row_in_table": np.repeat(np.arange(events), channels)}
    vectors = {n: VectorOfVectors(flattened_data=v, cumulative_length=ends) for n, v in flat.items()}
    lh5.write(Table(vectors), "tcm", str(folder / "tcm.lh5"), wo_mode="of")
    return [f"ch{key}" for key in keys]


def configuration(tables: list[str]) -> dict[str, Any]:
    """The default configuration over germanium, with a third of the channels as light sensors."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    third, rest = len(tables) // 3, tables[-4:]
    lists = {"geds_on": tables[:third], "geds_no_psd": tables[third : 2 * third], "spms_on": tables[2 * third : -4]}
    lists |= {name: rest[place : place + 1] for place, name in enumerate(("geds_ac", "pulser", "baseline", "muon"))}
    lists["all"] = tables
    return config | {"channels": lists}


def build_ours(folder: Path, config: dict[str, Any], tables: list[str], size: int) -> None:
    """By this package."""
    tiers = {tier: (folder / f"{tier}.lh5", tier) for tier in ("dsp", "hit")}
    sources = Sources(
        (folder / "tcm.lh5", "tcm"), tiers, {t: int(t[2:]) for t in tables}, {t: t for t in tables}, "ch{}"
    )
    for table in build_events(sources, event_config(config, config["channels"]), size):
        lh5.write(table, "evt", str(folder / "ours.lh5"), wo_mode="append")


def build_theirs(folder: Path, config: dict[str, Any], size: int) -> None:
    """By pygama."""
    from pygama.evt import build_evt

    info: dict[str, Any] = {tier: (str(folder / f"{tier}.lh5"), tier, "ch{}") for tier in ("dsp", "hit")}
    info |= {"tcm": (str(folder / "tcm.lh5"), "tcm"), "evt": (str(folder / "theirs.lh5"), "evt")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build_evt(info, config, wo_mode="of", buffer_len=size)


def compare(folder: Path, *, parts: bool) -> list[str]:
    """The datasets that differ."""
    differing = []
    with h5py.File(folder / "ours.lh5") as ours, h5py.File(folder / "theirs.lh5") as theirs:
        names: list[str] = []
        theirs.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
        for name in names:
            if "hit_idx" in name and parts:
                continue
            same = name in ours and np.array_equal(
                ours[name][:], theirs[name][:], equal_nan=ours[name].dtype.kind == "f"
            )
            differing += [] if same else [name]
    return differing


if __name__ == "__main__":
    sys.exit(main())
