"""tcm, hit and evt, each against the libraries' own driver: CPU seconds of one core, results checked to be equal.

    python benchmarks/tiers.py [--events 100000] [--channels 30] [--rounds 3] [--json FILE]

Ours are the functions that a job calls, from file to file; the libraries' are ``pygama.evt.build_tcm``,
``pygama.hit.build_hit`` as the published scripts call it (3,200 rows at a time) and ``pygama.evt.build_evt``. Both
sides run in one process, in turns, after a small file that is not counted; the best of some rounds counts. The files
are dense, each channel in each event, for in others pygama's events are wrong (docs/differences.md).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ["NUMEXPR_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "dataflow/src"), str(ROOT / "benchmarks")]

import h5py  # noqa: E402 - after the path
import numpy as np  # noqa: E402
import yaml  # noqa: E402
from goals import add_option, ratio, save  # noqa: E402
from lgdo import Array, Table, VectorOfVectors  # noqa: E402

from dataflow.jobs.lh5files import join_shards  # noqa: E402
from dataflow.jobs.lh5tables import write_table  # noqa: E402
from dataflow.metadata.expressions import parsed  # noqa: E402
from dataflow.metadata.stepconfig import shipped_folder  # noqa: E402
from dataflow.steps.tier_evt.builder import Sources, build_events  # noqa: E402
from dataflow.steps.tier_evt.operations import event_config  # noqa: E402
from dataflow.steps.tier_hit.build import calibrate  # noqa: E402
from dataflow.steps.tier_tcm.build import DEFAULTS, by_columns  # noqa: E402

FIRST = 1_000_001
GOAL = 5.0
MAP = "hardware_tcm_1"
Side = Callable[[], None]


class Files:
    """Dense files of some channels and events, and what both sides make of them.

    Parameters
    ----------
    folder
        Where they are.
    events, channels
        How many.
    """

    def __init__(self, folder: Path, events: int, channels: int) -> None:
        self.folder, self.events = folder, events
        self.tables = [f"ch{FIRST + number}" for number in range(channels)]
        folder.mkdir(parents=True, exist_ok=True)
        self.hit_config = hit_config()
        self._write(np.random.default_rng(1))

    def path(self, name: str) -> Path:
        """A file by its name."""
        return self.folder / f"{name}.lh5"

    def _write(self, random: np.random.Generator) -> None:
        start = np.arange(self.events) * 1e-3 + 1.7e9
        columns = sorted(columns_of(self.hit_config) | self.named("dsp"))
        for table in self.tables:
            times = start + random.uniform(0, 1e-6, self.events)
            dsp = {name: random.normal(100, 10, self.events).astype("f4") for name in columns}
            dsp |= {"timestamp": times, "tp_0_est": random.uniform(4e4, 5e4, self.events)}
            hit: dict[str, Any] = {name: random.exponential(50, self.events) for name in sorted(self.named("hit"))}
            hit |= {name: values > 3 for name, values in hit.items() if name.startswith("is_") or name.endswith("_Cut")}
            hit["quality_flags"] = random.integers(0, 8, self.events).astype("uint8")
            for tier, found in (("raw", {"timestamp": times}), ("dsp", dsp), ("hit", hit)):
                shard = self.folder / f"{tier}-{table}.lh5"
                write_table(Table({name: Array(values) for name, values in found.items()}), f"{table}/{tier}", shard)
        for tier in ("raw", "dsp", "hit"):
            shards = [self.folder / f"{tier}-{table}.lh5" for table in self.tables]
            join_shards(shards, self.path(tier))
            for shard in shards:
                shard.unlink()
        write_table(self._map(), "tcm", self.path("tcm"))

    def named(self, tier: str) -> set[str]:
        """The columns of a tier that events are made of."""
        return set(re.findall(rf"\b{tier}\.(\w+)", json.dumps(self.evt_config())))

    def _map(self) -> Table:
        count = len(self.tables)
        ends = np.arange(1, self.events + 1) * count
        keys, row = FIRST + np.arange(count), np.repeat(np.arange(self.events), count)
        flat = {"table_key": np.tile(keys, self.events), "row_in_table": row}
        return Table({n: VectorOfVectors(flattened_data=v, cumulative_length=ends) for n, v in flat.items()})

    def sides(self) -> dict[str, tuple[Side, Side]]:
        """By tier, ours and theirs."""
        return {
            "tcm": (self._our_tcm, self._their_tcm),
            "hit": (self._our_hit, self._their_hit),
            "evt": (self._our_evt, self._their_evt),
        }

    def _our_tcm(self) -> None:
        tables = [f"{table}/raw" for table in self.tables]
        assert not by_columns(self.path("raw"), tables, dict(DEFAULTS), (self.path("tcm-ours"), MAP))

    def _their_tcm(self) -> None:
        from pygama.evt import build_tcm

        tables = [f"{table}/raw" for table in self.tables]
        target = {"out_file": str(self.path("tcm-theirs")), "out_name": MAP, "out_fields": "timestamp"}
        build_tcm([(str(self.path("raw")), tables)], wo_mode="of", **target, **DEFAULTS)

    def _our_hit(self) -> None:
        shards = [self.path(f"hit-{table}") for table in self.tables]
        for table, shard in zip(self.tables, shards, strict=True):
            calibrate(self.path("dsp"), f"{table}/dsp", self.hit_config, shard, f"{table}/hit")
        join_shards(shards, self.path("hit-ours"))

    def _their_hit(self) -> None:
        from pygama.hit import build_hit

        configs = {f"{table}/dsp": dict(self.hit_config) for table in self.tables}
        build_hit(str(self.path("dsp")), str(self.path("hit-theirs")), lh5_tables_config=configs, wo_mode="of")

    def _our_evt(self) -> None:
        tiers = {tier: (self.path(tier), tier) for tier in ("dsp", "hit")}
        keys, names = {t: int(t[2:]) for t in self.tables}, {t: t for t in self.tables}
        sources, config = Sources((self.path("tcm"), "tcm"), tiers, keys, names, "ch{}"), self.evt_config()
        for number, table in enumerate(build_events(sources, event_config(config, config["channels"]), 1_000_000)):
            write_table(table, "evt", self.path("evt-ours"), new=number == 0, everywhere=True)

    def _their_evt(self) -> None:
        from pygama.evt import build_evt

        info: dict[str, Any] = {tier: (str(self.path(tier)), tier, "ch{}") for tier in ("dsp", "hit")}
        info |= {"tcm": (str(self.path("tcm")), "tcm"), "evt": (str(self.path("evt-theirs")), "evt")}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            build_evt(info, self.evt_config(), wo_mode="of", buffer_len=1_000_000)

    def evt_config(self) -> dict[str, Any]:
        """The default configuration over germanium, with a third of the channels as light sensors."""
        config: dict[str, Any] = yaml.safe_load((shipped_folder("tier_evt") / "evt_config.yaml").read_text())
        tables, third = self.tables, len(self.tables) // 3
        lists = {"geds_on": tables[:third], "geds_no_psd": tables[third : 2 * third], "spms_on": tables[2 * third : -4]}
        rest = ("geds_ac", "pulser", "baseline", "muon")
        lists |= {name: tables[-4:][place : place + 1] for place, name in enumerate(rest)}
        return config | {"channels": lists | {"all": tables}}


def hit_config() -> dict[str, Any]:
    """The default configuration of germanium, with some calibration."""
    config: dict[str, Any] = yaml.safe_load((shipped_folder("tier_hit") / "hit_config-geds.yaml").read_text())
    config.pop("outputs_if_calibrated")
    operations = {}
    for name, operation in config["operations"].items():
        numbers = dict.fromkeys(operation.get("parameters") or {}, 1.0)
        operations[name] = operation | {"expression": parsed(operation["expression"]).rewritten, "parameters": numbers}
    return config | {"operations": operations}


def columns_of(config: Mapping[str, Any]) -> set[str]:
    """The columns of dsp that a configuration of hit takes."""
    names = set(config["outputs"])
    for operation in config["operations"].values():
        names |= parsed(operation["expression"]).names - set(operation["parameters"])
    return names - set(config["operations"]) - set(config["aggregations"])


def best(sides: tuple[Side, Side], targets: tuple[Path, Path], rounds: int) -> tuple[float, float]:
    """The least CPU seconds of each in some rounds, in turns."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for work, target, times in zip(sides, targets, found, strict=True):
            target.unlink(missing_ok=True)
            begin = time.process_time()
            work()
            times.append(time.process_time() - begin)
    return min(found[0]), min(found[1])


def differing(ours: Path, theirs: Path) -> list[str]:
    """The datasets that differ, or are not there."""
    found = []
    with h5py.File(ours) as one, h5py.File(theirs) as other:
        names: list[str] = []
        other.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
        for name in names:
            is_float = other[name].dtype.kind == "f"
            if name not in one or not np.array_equal(one[name][:], other[name][:], equal_nan=is_float):
                found.append(name)
    return found


def measured(files: Files, rounds: int) -> dict[str, dict[str, Any]]:
    """By tier, seconds of both, their ratio, and what differs."""
    found = {}
    for tier, sides in files.sides().items():
        targets = files.path(f"{tier}-ours"), files.path(f"{tier}-theirs")
        ours, theirs = best(sides, targets, rounds)
        found[tier] = {"ours": ours, "pygama": theirs, "ratio": theirs / ours, "differing": differing(*targets)}
    return found


def main() -> int:
    """Measure, compare, print; returns 1 if results differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--channels", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3, help="the best of how many rounds counts (default: 3)")
    add_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        measured(Files(Path(name) / "warm", 20, options.channels), 1)  # imports are not counted
        found = measured(Files(Path(name) / "files", options.events, options.channels), options.rounds)
    print(f"{options.channels} channels, {options.events} events, CPU seconds of one core")
    for tier, each in found.items():
        mark = "" if each["ratio"] >= GOAL else f"  (goal {GOAL:g})"
        differ = ", ".join(each["differing"]) or "none"
        print(
            f"{tier}  ours {each['ours']:7.3f}  pygama {each['pygama']:7.3f}  ratio {each['ratio']:5.1f}{mark}", end=""
        )
        print(f"  differing columns: {differ}")
    results = [ratio(3, f"{tier}, a core", each["ours"], each["pygama"], GOAL) for tier, each in found.items()]
    if any(each["differing"] for each in found.values()):
        return 1
    save(options.json, results, tiers=found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
