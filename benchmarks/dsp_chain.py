"""Signal processing of a raw file: the flow's compiled chain, and dspeed with the same chain; CPU seconds of one core.

    python benchmarks/dsp_chain.py [RAW.lh5 --pars PAR_DSP.yaml] [--rows N] [--json FILE]

Without files, those of a small simulated calibration are made. Both sides run in one process, in turns, with everything
compiled before; the best of some rounds counts. `processors` is what the calls of a chain take, from samples in memory
to columns in memory; `whole pass` is from the raw file to the dsp file: opening, making the chains, reading,
processing, writing, of all germanium detectors. All columns are compared, value by value.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "dataflow/src"), str(ROOT / "demo/src"), str(ROOT / "benchmarks")]

import h5py  # noqa: E402
import lh5  # noqa: E402
import numpy as np  # noqa: E402
import yaml  # noqa: E402
from goals import add_option, ratio, save  # noqa: E402

from dataflow.metadata.stepconfig import shipped_folder  # noqa: E402
from dataflow.physics import chains  # noqa: E402
from dataflow.physics.compiled.passes import WIDTH  # noqa: E402
from dataflow.physics.compiled.planner import compile_chain  # noqa: E402
from dataflow.physics.rawtables import column_names, digitizer  # noqa: E402

NEAR, FAR = 1e-6, 0.05
"""Relative difference from which on values are counted as different, and that in ADC counts for :data:`TRANSFORMED`."""
TRANSFORMED = ("cuspEmax", "cuspEftp", "zacEmax", "zacEftp", "dplmsEmax")
"""Columns that dspeed makes by Fourier transforms in float32, whose rounding follows the largest sample of a trace."""
FEW = 1e-3
"""Part of the traces in which rounding may decide at a threshold."""
PROCESSORS, WHOLE_PASS = 6.0, 5.0
"""Goals."""
Values = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """A raw file, its germanium tables with their parameters, the chain, and how often each side is measured."""

    rounds: int
    path: Path
    tables: Mapping[str, Mapping[str, Any]]
    chain: Mapping[str, Any]

    def known(self, table: str) -> Values:
        """What ``db.`` stands for."""
        return {**digitizer(self.path, table, None), **self.tables[table]}


def main() -> int:
    """Measure, compare, print."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("raw", nargs="?", type=Path)
    made.add_argument("--pars", type=Path, help="parameters of dsp; without them the chain's own values hold")
    made.add_argument("--rows", type=int, default=2000, help="traces of one detector for the times of processors")
    made.add_argument("--tables", type=int, default=100, help="detectors for the whole pass")
    made.add_argument("--rounds", type=int, default=3, help="the best of how many rounds counts")
    add_option(made)
    options = made.parse_args()
    with tempfile.TemporaryDirectory() as name:
        source = source_of(options.raw or simulated(Path(name)), options.pars, options.tables, options.rounds)
        found = {"processors": processors(source, options.rows), "whole pass": whole_pass(source, Path(name))}
    report(found)
    calls, full = found["processors"]["us a trace"], found["whole pass"]["seconds"]
    results = [
        ratio(2, "processors of dsp, a core", 1e-6 * calls["compiled"], 1e-6 * calls["dspeed"], PROCESSORS),
        ratio(2, "raw to dsp file, a core", full["compiled"], full["dspeed"], WHOLE_PASS),
    ]
    traces = found["whole pass"]["traces"]
    far = [name for name, each in found["whole pass"]["differences"].items() if is_far(each, traces)]
    if far:
        print(f"different: {', '.join(far)}", file=sys.stderr)
        return 1
    save(options.json, results, **found)
    return 0


def is_far(each: Values, traces: int) -> bool:
    """Whether values of a column differ by more than rounding in float32.

    It decides in few traces which of two samples is the first beyond a threshold, and what follows from that.
    """
    return bool(each["far"] > FEW * traces)


def simulated(folder: Path) -> Path:
    """The raw file of one simulated calibration file."""
    from dsp_job import job, run

    (folder / "config.json").write_text(json.dumps({"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}}))
    run(["-m", "gebox", "metadata", "--out", str(folder / "inputs")])
    place = ["--metadata", str(folder / "inputs"), "--daq", str(folder / "generated/tier/daq")]
    run(["-m", "gebox", "simulate", *place, "--truth", str(folder / "truth"), "--only", "r000-cal-20240301T080000Z"])
    run(job(folder, "tier_raw", next(folder.rglob("*.fcio")).stem))
    return next((folder / "generated/tier/raw").rglob("*.lh5"))


def source_of(path: Path, pars: Path | None, most: int, rounds: int) -> Source:
    """The tables with whole traces of more than a few events; the parameters are given to them in their order."""
    found = yaml.safe_load(pars.read_text()) if pars else {}
    with h5py.File(path) as file:
        names = [f"{name}/raw" for name, node in file.items() if name[:2] == "ch" and "waveform" in node["raw"]]
        long = [name for name in names if file[name]["waveform/values"].shape[0] > 200][:most]
    given = [dict(entry) for entry in found.values()][: len(long)] or [{}]
    tables = {name: given[number % len(given)] for number, name in enumerate(long)}
    chain = yaml.safe_load((shipped_folder("tier_dsp") / "processing_chain-geds.yaml").read_text())
    chains.install()
    return Source(rounds, path, tables, chains.fitted(chain, column_names(path, long[0])))


def processors(source: Source, rows: int) -> Values:
    """Times of the calls of a chain, and of the chain, on traces in memory."""
    table = next(iter(source.tables))
    read = lh5.read(table, str(source.path), n_rows=rows)
    sides = {"dspeed": built(source, table, read, 16), "compiled": built(source, table, read, WIDTH)}
    left = compile_chain(sides["compiled"][0]).left
    for chain, out in sides.values():
        chain(read, out)
    chains_alone = best({name: partial(chain, read, out) for name, (chain, out) in sides.items()}, source.rounds)
    calls = {name: by_call(chain, read, out) for name, (chain, out) in sides.items()}
    dspeeds, ours = (as_arrays(out) for _, out in sides.values())
    per_trace = {name: seconds / len(read) * 1e6 for name, seconds in chains_alone.items()}
    each = {call: {name: calls[name].get(call, 0.0) / len(read) * 1e6 for name in sides} for call in calls["dspeed"]}
    return {
        "traces": len(read),
        "us a trace": per_trace,
        "ratio": per_trace["dspeed"] / per_trace["compiled"],
        "not compiled": left,
        "calls, us a trace": each,
        "differences": differences(dspeeds, ours),
    }


def built(source: Source, table: str, read: Any, width: int) -> tuple[Any, Any]:
    """A chain that dspeed makes, and the table that it writes into."""
    from dspeed import build_processing_chain

    chain, _, out = build_processing_chain(
        source.chain["processors"], read, source.known(table), source.chain["outputs"], block_width=width
    )
    return chain, out


def best(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least CPU seconds of each in some rounds, in turns."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, work in sides.items():
            begin = time.process_time()
            work()
            found[name].append(time.process_time() - begin)
    return {name: min(times) for name, times in found.items()}


def by_call(chain: Any, read: Any, out: Any) -> dict[str, float]:
    """CPU seconds of each call of a chain in one run."""
    from dspeed import processing_chain

    clock, processing_chain.time = processing_chain.time, _ProcessClock
    try:
        for manager in chain._proc_managers:
            manager.time_total = 0
        chain(read, out)
    finally:
        processing_chain.time = clock
    return {str(manager): manager.time_total for manager in chain._proc_managers}


class _ProcessClock:
    time = staticmethod(time.process_time)


def whole_pass(source: Source, folder: Path) -> Values:
    """Times from the raw file to the dsp file."""
    targets = {name: folder / f"{name}.lh5" for name in ("dspeed", "compiled")}
    sides = {"dspeed": lambda: dspeeds(source, targets["dspeed"]), "compiled": lambda: ours(source, folder)}
    seconds = best(sides, source.rounds)
    join(folder, source.tables, targets["compiled"])
    before, after = (columns_of(path) for path in targets.values())
    rows = sum(len(column) for name, column in before.items() if name.endswith("/timestamp"))
    ratio = seconds["dspeed"] / seconds["compiled"]
    return {"traces": rows, "seconds": seconds, "ratio": ratio, "differences": merged(differences(before, after))}


def dspeeds(source: Source, target: Path) -> None:
    """dspeed's driver on all tables."""
    from dspeed import build_dsp

    database = {table.partition("/")[0]: source.known(table) for table in source.tables}
    build_dsp(
        str(source.path),
        str(target),
        source.chain,
        list(source.tables),
        base_group="",  # else it looks below "raw", where the names of detectors are
        database=database,
        write_mode="r",
        buffer_len=1000,
    )


def ours(source: Source, folder: Path) -> None:
    """What a job of dsp does, table by table."""
    for table, pars in source.tables.items():
        chains.run_chain(source.path, table, source.chain, pars, target=folder / f"{table.partition('/')[0]}.lh5")


def join(folder: Path, tables: Sequence[str] | Mapping[str, Any], target: Path) -> None:
    """The files of the tables as one."""
    from dataflow.jobs.lh5files import join_shards

    join_shards([folder / f"{table.partition('/')[0]}.lh5" for table in tables], target)


def as_arrays(table: Any) -> dict[str, Any]:
    """The columns of a table."""
    return {name: column.nda.copy() for name, column in table.items()}


def columns_of(path: Path) -> dict[str, Any]:
    """All columns of a file."""
    with h5py.File(path) as file:
        return {f"{name}/{key}": node[:] for name in file for key, node in file[f"{name}/dsp"].items()}


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Values]:
    """By column, the largest difference, and how many values differ by more than :data:`NEAR`."""
    found = {}
    for name, column in one.items():
        a, b = column.astype("f8"), other[name].astype("f8")
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b), err_msg=name)
        away = np.nan_to_num(np.abs(a - b))
        relative = np.divide(away, np.abs(a), out=np.zeros_like(away), where=away > 0)
        many = int(np.count_nonzero(relative > NEAR))
        is_transformed = name.rpartition("/")[2] in TRANSFORMED
        far = int(np.count_nonzero((relative > NEAR) & (away > FAR))) if is_transformed else many
        found[name] = {"absolute": float(away.max()), "relative": float(relative.max()), "many": many, "far": far}
    return found


def merged(found: Mapping[str, Values]) -> dict[str, Values]:
    """Of all tables together."""
    together: dict[str, Values] = {}
    for name, each in found.items():
        begin = {"absolute": 0.0, "relative": 0.0, "many": 0, "far": 0}
        column = together.setdefault(name.rpartition("/")[2], begin)
        column["absolute"] = max(column["absolute"], each["absolute"])
        column["relative"] = max(column["relative"], each["relative"])
        column["many"] += each["many"]
        column["far"] += each["far"]
    return together


def report(found: Mapping[str, Values]) -> None:
    """Print both."""
    chain, full = found["processors"], found["whole pass"]
    for call, times in sorted(chain["calls, us a trace"].items(), key=lambda item: -item[1]["dspeed"]):
        if times["dspeed"] > 0.5:
            print(f"{times['dspeed']:8.2f} {times['compiled']:8.2f}  {call[:90]}")
    for name, us in chain["us a trace"].items():
        print(f"processors, {name:9s} {us:7.1f} us a trace")
    print(f"dspeed / compiled: {chain['ratio']:.2f}; not compiled: {chain['not compiled'] or 'none'}")
    for name, seconds in full["seconds"].items():
        print(f"whole pass, {name:9s} {seconds:7.2f} s for {full['traces']} traces")
    print(f"dspeed / compiled: {full['ratio']:.2f}")
    for name, each in full["differences"].items():
        if each["absolute"]:
            print(f"{name:14s} differs by up to {each['absolute']:.3g}, {each['relative']:.2g} of the value,", end=" ")
            print(f"by more than {NEAR:g} of the value in {each['many']} traces")
    print("all other columns are equal")


if __name__ == "__main__":
    sys.exit(main())
