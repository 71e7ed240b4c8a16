"""The germanium chain on a graphics processor and on all cores of the same machine, transfer included.

    python benchmarks/gpu_chain.py [RAW.lh5 --table TABLE] [--rows N] [--traces N] [--cores N] [--json FILE]

Needs CuPy and a graphics processor; says so and ends without one. Without a file, a small calibration is made.
`gpu_chain.cu` has the shipped chain for whole traces as one kernel: all its columns but those of DPLMS and of the
support vector machine, which take no time without their parameters, and those that are copied. One side is the flow's
compiled chain in one process a core, from samples in memory to columns in memory. The other copies samples from
locked memory to the card, in three streams, and columns back. Values of both are compared; traces are repeated until
there are enough of them, in memory larger than any cache.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "dataflow/src"), str(ROOT / "benchmarks")]

import lh5  # noqa: E402
import numpy as np  # noqa: E402
from dsp_chain import Source, as_arrays, built, simulated, source_of  # noqa: E402

from dataflow.physics import chains  # noqa: E402
from dataflow.physics.compiled.passes import WIDTH  # noqa: E402

Values = dict[str, Any]
COLUMNS = (
    "tp_min",
    "tp_max",
    "wf_min",
    "wf_max",
    "n_sat_lo",
    "n_sat_hi",
    "bl_mean",
    "bl_std",
    "bl_slope",
    "bl_intercept",
    "tail_height",
    "pz_bl_mean",
    "pz_bl_std",
    "pz_mean",
    "pz_std",
    "pz_slope",
    "pz_after_std",
    "trapTmax",
    "trapEmax",
    "trapEftp",
    "cuspEmax",
    "cuspEftp",
    "zacEmax",
    "zacEftp",
    "tp_0_est",
    "tp_01",
    "tp_10",
    "tp_20",
    "tp_50",
    "tp_80",
    "tp_90",
    "tp_95",
    "tp_99",
    "drift_time",
    "dt_eff",
    "QDrift",
    "A_max",
    "tp_aoe_max",
    "lq80",
)
"""Columns of the kernel, in its order."""
BATCH = 8192
"""Traces of one copy."""
STREAMS = 3
FIELDS = (
    *(
        ("i4", name)
        for name in (
            "samples",
            "averaged",
            "rate",
            "baseline",
            "tail",
            "after",
            "rise",
            "flat",
            "energy_rise",
            "energy_flat",
        )
    ),
    ("f4", "energy_pickoff"),
    *(("i4", name) for name in ("taps", "kept")),
    *(("f4", name) for name in ("cusp_pickoff", "zac_pickoff")),
    ("i4", "t0_taps"),
    *(("f4", name) for name in ("lowest", "highest", "tau", "ratio")),
    *(("f8", name) for name in ("a", "b", "c", "a_full", "b_full", "c_full")),
    *(
        ("i4", name)
        for name in ("early", "late", "late_top", "late_after", "window_before", "window", "finer", "average")
    ),
    ("f4", "period"),
)
"""The kernel's ``struct Chain``."""


def main() -> int:
    """Measure, compare, print."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("raw", nargs="?", type=Path)
    made.add_argument("--table", help="one of whole traces of 4,096 samples; the first one without")
    made.add_argument("--rows", type=int, default=4096, help="traces that are read")
    made.add_argument("--traces", type=int, default=2**17, help="traces for the card in one round")
    made.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--json", type=Path)
    options = made.parse_args()
    try:
        cupy = importlib.import_module("cupy")
        card = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    except (ImportError, OSError, RuntimeError) as error:
        print(f"There is no graphics processor that CuPy can use: {error}. Nothing was measured.")
        return 0
    with tempfile.TemporaryDirectory() as name:
        raw = options.raw or simulated(Path(name))
        found = {"card": card, **measured(cupy, raw, options)}
    report(found, options.cores)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


def measured(cupy: Any, raw: Path, options: argparse.Namespace) -> Values:
    """All that is measured, and the differences of the columns."""
    source = source_of(raw, None, 1, options.rounds)
    table = options.table or next(iter(source.tables))
    samples, expected, numbers = reference(source, table, options.rows)
    found: Values = {"cores": options.cores}
    kernel = Kernel(cupy, numbers)
    found["differences"] = compared(kernel.columns(samples), expected)
    found |= on_card(cupy, kernel, samples, options.traces, options.rounds)
    for count in sorted({1, options.cores}):
        found[f"cpu {count}"] = on_cores(raw, table, min(options.rows, 2048), count, options.rounds)
        found[f"file {count}"] = on_cores(raw, table, options.rows, count, options.rounds, files=True)
    return found


def reference(source: Source, table: str, rows: int) -> tuple[Any, Values, Values]:
    """Samples (traces, samples) of uint16, what the compiled chain makes of them, and the numbers of the chain."""
    from dataflow.physics.compiled.planner import compile_chain

    read = lh5.read(table, str(source.path), n_rows=rows)
    chain, out = built(source, table, read, WIDTH)
    numbers = numbers_of(chain, source.known(table))
    compile_chain(chain)
    chain(read, out)
    return np.ascontiguousarray(read["waveform"].values.nda), as_arrays(out), numbers


class Calls:
    """The calls of a chain with the arguments that dspeed has found for them.

    Parameters
    ----------
    chain
        Made by dspeed.
    """

    def __init__(self, chain: Any) -> None:
        self._args = {str(manager): manager.args for manager in chain._proc_managers}

    def args(self, begin: str) -> Any:
        """The arguments of the first call whose text begins so."""
        return next(each for name, each in self._args.items() if name.startswith(begin))

    def samples(self, begin: str, place: int = 0) -> int:
        """The samples of a trace among the arguments of a call."""
        return int(self.args(begin)[place].shape[1])

    def moved(self, begin: str) -> float:
        """Samples by which the time of a pick-off is away from the start."""
        text = next(name for name in self._args if name.startswith(begin)).split(", ")[1]
        away = 0.0
        while text != "tp_0_est":
            ends = [name for name in self._args if name.endswith(f", {text})")]
            call = next(name for name in ends if name.startswith(("add(", "subtract(")))
            away += (-1 if call.startswith("subtract") else 1) * float(self._args[call][1])
            text = call.partition("(")[2].split(", ")[0]
        return away


def numbers_of(chain: Any, known: Mapping[str, Any]) -> Values:
    """What the kernel is told."""
    calls = Calls(chain)
    return {**filters(calls), **windows(calls), **known["adc"]}


def filters(calls: Calls) -> Values:
    """What is applied to whole traces: averages, lines, pole-zero correction, trapezoids, kernels."""
    trap, energy = calls.args("trap_norm(wf_pz, 6"), calls.args("trap_norm(wf_pz, 8")
    averaged, samples = calls.samples("presum(waveform", 3), calls.samples("presum(waveform")
    rate = samples // averaged
    cusp, zac = calls.args("fft_convolve_wf(wf_blsub, cusp"), calls.args("fft_convolve_wf(wf_blsub, zac")
    t0 = calls.args("fft_convolve_wf(wf_full_pz")[1].ravel()
    return {
        "samples": samples,
        "averaged": averaged,
        "rate": rate,
        "ratio": 1 / rate,
        "baseline": calls.samples("linear_slope_fit(wf_presum"),
        "tail": averaged - calls.samples("linear_slope_fit(wf_pz[443"),
        "after": averaged - calls.samples("linear_slope_fit(wf_pz[355"),
        "rise": int(trap[1]),
        "flat": int(trap[2]),
        "energy_rise": int(energy[1]),
        "energy_flat": int(energy[2]),
        "energy_pickoff": calls.moved("fixed_time_pickoff(wf_etrap") / rate,
        "cusp_pickoff": calls.moved("fixed_time_pickoff(wf_cusp") / rate,
        "zac_pickoff": calls.moved("fixed_time_pickoff(wf_zac") / rate,
        "tau": float(calls.args("above_tail(wf_presum")[3]),
        **poles(calls.args("double_pole_zero(wf_blsub"), ""),
        **poles(calls.args("double_pole_zero(wf_full_blsub"), "_full"),
        "taps": cusp[1].size,
        "kept": cusp[3].shape[1],
        "t0_taps": t0.size,
        "cusp": cusp[1].ravel()[::-1].astype("f4"),
        "zac": zac[1].ravel()[::-1].astype("f4"),
        "t0": t0.astype("f4"),
    }


def windows(calls: Calls) -> Values:
    """What is taken around a pulse: charges and the current."""
    late = calls.args("trap_pickoff(wf_full_pz, 1504")
    return {
        "early": int(calls.args("trap_pickoff(wf_full_pz, 4")[1]),
        "late": int(late[1]),
        "late_top": int(late[2]),
        "late_after": int(calls.args("add(tp_80")[1]),
        "window_before": int(calls.args("subtract(tp_50")[1]),
        "window": calls.samples("windower(curr", 2),
        "finer": int(calls.args("upsampler(")[1]),
        "average": int(calls.args("moving_window_multi(")[1]),
        "period": float(calls.args("multiply(drift_samples")[1]),
    }


def poles(args: Any, name: str) -> Values:
    """Both factors of a double pole-zero correction, and that of its recursion."""
    a, b, part = np.exp(-1 / float(args[1])), np.exp(-1 / float(args[2])), float(args[3])
    return {f"a{name}": a, f"b{name}": b, f"c{name}": b + part * (a - b)}


class Kernel:
    """The chain on the card.

    Parameters
    ----------
    cupy
        The library.
    numbers
        Of :func:`numbers_of`.
    """

    def __init__(self, cupy: Any, numbers: Values) -> None:
        code = (ROOT / "benchmarks/gpu_chain.cu").read_text()
        options = ("-std=c++17",)
        self._cupy, self._call = cupy, cupy.RawModule(code=code, options=options).get_function("chain")
        kind = np.dtype([(name, form) for form, name in FIELDS], align=True)
        chain = np.array([tuple(numbers[name] for _, name in FIELDS)], dtype=kind)
        self._chain = cupy.asarray(chain.view("u1"))
        self._filters = [cupy.asarray(numbers[name]) for name in ("cusp", "zac", "t0")]
        self._blocks = 4 * cupy.cuda.Device().attributes["MultiProcessorCount"]
        most, few = 4096 + 256 + 1, 768
        self._shared = 4 * (2 * most + 4 * few + 4) + 8 * (few + 1 + 8)
        self._call.max_dynamic_shared_size_bytes = self._shared

    def run(self, traces: Any, out: Any) -> None:
        """Start the kernel in the stream in use: traces (n, samples) of uint16, columns (n, numbers) of float32."""
        args = (traces, np.int32(len(traces)), self._chain, *self._filters, out)
        self._call((min(self._blocks, len(traces)),), (256,), args, shared_mem=self._shared)

    def columns(self, samples: Any) -> Values:
        """All columns of traces."""
        out = self._cupy.full((len(samples), len(COLUMNS)), -12345, dtype="f4")
        self.run(self._cupy.asarray(samples), out)
        return dict(zip(COLUMNS, out.get().T, strict=True))


def compared(found: Values, expected: Values) -> Values:
    """By column: the largest difference, how many are not near, and where only one side has a number."""
    result = {}
    for name, column in found.items():
        a, b = expected[name].astype("f8"), column.astype("f8")
        away = np.nan_to_num(np.abs(a - b))
        scale = np.nanmedian(np.abs(a)) or 1.0
        one = int(np.count_nonzero(np.isnan(a) != np.isnan(b)))
        far = int(np.count_nonzero(away > 1e-5 * np.maximum(np.abs(np.nan_to_num(a)), scale)))
        result[name] = {"largest": float(away.max()), "median size": float(scale), "far": far, "only one": one}
    return result


def on_card(cupy: Any, kernel: Kernel, samples: Any, traces: int, rounds: int) -> Values:
    """Microseconds a trace: the kernel alone, with transfers from locked memory, and from memory as it comes."""
    shape = (traces, samples.shape[1])
    locked = locked_array(cupy, shape, "u2")
    for begin in range(0, traces, len(samples)):
        locked[begin : begin + len(samples)] = samples[: traces - begin]
    back = locked_array(cupy, (traces, len(COLUMNS)), "f4")
    plain = locked.copy()
    streams = [cupy.cuda.Stream(non_blocking=True) for _ in range(STREAMS)]
    places = [(cupy.empty((BATCH, shape[1]), "u2"), cupy.empty((BATCH, len(COLUMNS)), "f4")) for _ in streams]

    def alone() -> None:
        for _ in range(traces // BATCH):
            kernel.run(*places[0])

    def copied(source: Any) -> None:
        for number, begin in enumerate(range(0, traces, BATCH)):
            stream, (there, out) = streams[number % STREAMS], places[number % STREAMS]
            part = slice(begin, begin + BATCH)
            with stream:
                there.set(source[part], stream=stream)
                kernel.run(there, out)
                out.get(stream=stream, out=back[part], blocking=False)

    def only() -> None:
        for number, begin in enumerate(range(0, traces, BATCH)):
            places[number % STREAMS][0].set(locked[begin : begin + BATCH], stream=streams[number % STREAMS])

    places[0][0].set(samples[:BATCH] if len(samples) >= BATCH else np.resize(samples, (BATCH, shape[1])))
    sides = {
        "kernel": alone,
        "transfer alone": only,
        "kernel and transfer": lambda: copied(locked),
        "from pageable memory": lambda: copied(plain),
    }
    return {name: by_clock(cupy, work, rounds) / traces * 1e6 for name, work in sides.items()}


def locked_array(cupy: Any, shape: tuple[int, int], kind: str) -> Any:
    """An array in memory that the card may read by itself."""
    size = int(np.prod(shape))
    memory = cupy.cuda.alloc_pinned_memory(size * np.dtype(kind).itemsize)
    return np.frombuffer(memory, kind, size).reshape(shape)


def by_clock(cupy: Any, work: Any, rounds: int) -> float:
    """The median of some rounds in seconds, after one that does not count."""
    times = []
    for _ in range(rounds + 1):
        cupy.cuda.runtime.deviceSynchronize()
        begin = time.perf_counter()
        work()
        cupy.cuda.runtime.deviceSynchronize()
        times.append(time.perf_counter() - begin)
    return float(np.median(times[1:]))


def on_cores(raw: Path, table: str, rows: int, cores: int, rounds: int, files: bool = False) -> float:
    """Microseconds a trace of the compiled chain, all cores together: one process each, all at the same time.

    With `files`, of the whole pass from a raw file, which the system has in memory, to a dsp file.
    """
    context = multiprocessing.get_context("spawn")
    barrier, times = context.Barrier(cores), context.Queue()
    repeated = rounds if files else 4 * rounds
    args = (raw, table, rows, repeated, barrier, times, files)
    workers = [context.Process(target=_worker, args=args) for _ in range(cores)]
    for worker in workers:
        worker.start()
    seconds = [times.get() for _ in workers]
    for worker in workers:
        worker.join()
    return float(max(seconds)) / (rows * repeated * cores) * 1e6


def _worker(raw: Path, table: str, rows: int, rounds: int, barrier: Any, times: Any, files: bool) -> None:
    source = source_of(raw, None, 1, 1)
    with tempfile.TemporaryDirectory() as name:
        work = _pass(source, table, Path(name)) if files else _chain(source, table, rows)
        work()
        barrier.wait()
        begin = time.perf_counter()
        for _ in range(rounds):
            work()
        times.put(time.perf_counter() - begin)


def _chain(source: Source, table: str, rows: int) -> Callable[[], object]:
    from dataflow.physics.compiled.planner import compile_chain

    read = lh5.read(table, str(source.path), n_rows=rows)
    chain, out = built(source, table, read, WIDTH)
    compile_chain(chain)
    return partial(chain, read, out)


def _pass(source: Source, table: str, folder: Path) -> Callable[[], object]:
    return partial(chains.run_chain, source.path, table, source.chain, {}, target=folder / "dsp.lh5")


def report(found: Values, cores: int) -> None:
    """Print everything."""
    for name, column in found["differences"].items():
        print(f"{name:14}" + "".join(f"  {key} {value:<12.6g}" for key, value in column.items()))
    print(found["card"])
    for name in ("kernel", "transfer alone", "kernel and transfer", "from pageable memory"):
        print(f"{name:24}{found[name]:8.3f} us a trace")
    for count in sorted({1, cores}):
        print(f"{count:2d} cores, compiled chain    {found[f'cpu {count}']:8.3f} us a trace")
        print(f"{count:2d} cores, raw to dsp file   {found[f'file {count}']:8.3f} us a trace")
    chain, whole, there = found[f"cpu {cores}"], found[f"file {cores}"], found["kernel and transfer"]
    print(
        f"chain, all cores to card, transfer included: {chain / there:.1f}; "
        f"from pageable memory {chain / found['from pageable memory']:.1f}"
    )
    print(f"raw to dsp file, if the card cost nothing: {whole / (whole - chain):.2f}")


if __name__ == "__main__":
    sys.exit(main())
