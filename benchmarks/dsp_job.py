"""One dsp job against a process of dspeed on the same raw file, chain and parameters: ratio of wall and CPU time.

What users have now runs dspeed once a file; the results are compared value for value (see `dsp_chain.py` for their
largest differences). The raw file is simulated here (the demo's experiment, one calibration file).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions that dsp and hit use
import yaml

ROOT = Path(__file__).resolve().parents[1]
SOURCES = os.pathsep.join(str(ROOT / part / "src") for part in ("dataflow", "demo", "prodenv"))
sys.path[:0] = SOURCES.split(os.pathsep)

from dataflow.physics.chains import fitted  # noqa: E402
from dataflow.physics.rawtables import column_names, digitizer  # noqa: E402

ROUNDS = 3
MOST = 0.005
"""Part of the values of a column that may differ by more than a millionth (in noise, or by a sample in a time)."""
DSPEED = """
import json, sys
from dataflow.physics import chains
from dspeed import build_dsp
raw, target, chain, database, *tables = sys.argv[1:]
chains.install()
given = [json.load(open(name)) for name in (chain, database)]
build_dsp(raw, target, given[0], tables, base_group="", database=given[1], write_mode="r", buffer_len=1000)
"""
"""Without `base_group`, dspeed looks below ``raw``, where the names of detectors are."""


def main() -> int:
    """Measure, check, print."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        cycle, key = prepared(Path(name))
        ours = job(cycle, "tier_dsp", key)
        theirs, target = dspeed(cycle, key)
        times: dict[str, list[tuple[float, float]]] = {"ours": [], "dspeed": []}
        for _ in range(ROUNDS):  # in turns, so that what else the machine does meets both
            times["ours"].append(timed(ours))
            times["dspeed"].append(timed(theirs))
        compare(next((cycle / "generated/tier/dsp").rglob("*.lh5")), target)
    report(times)
    return 0


def prepared(cycle: Path) -> tuple[Path, str]:
    """A cycle with one raw file and its decay constants."""
    run(["-m", "gebox", "metadata", "--out", str(cycle / "inputs")])
    daq = cycle / "generated/tier/daq"
    simulate = ["--metadata", str(cycle / "inputs"), "--daq", str(daq), "--truth", str(cycle / "truth")]
    run(["-m", "gebox", "simulate", *simulate, "--only", "r000-cal-20240301T080000Z"])
    (cycle / "config.json").write_text(json.dumps({"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}}))
    key = next(daq.rglob("*.fcio")).stem
    for step in (
        *("tier_raw", "tier_tcm", "par_tcm_pulser", "par_dsp_pz"),
        *("par_dsp_evtsel", "par_dsp_nopt", "par_dsp_eopt", "par_dsp_dplms", "par_dsp"),
    ):
        run(job(cycle, step, key))
    return cycle, key


def job(cycle: Path, step: str, key: str) -> list[str]:
    """The command of one of our jobs."""
    return ["-m", "dataflow.jobs", step, "--config", str(cycle / "config.json"), "--key", key]


def dspeed(cycle: Path, key: str) -> tuple[list[str], Path]:
    """A process of dspeed for the same germanium tables, chain and parameters."""
    raw = next((cycle / "generated/tier/raw").rglob("*.lh5"))
    chain = ROOT / "dataflow/src/dataflow/steps/tier_dsp/defaults/processing_chain-geds.yaml"
    pars = yaml.safe_load(next((cycle / "generated/par/dsp").rglob("*par_dsp.yaml")).read_text())
    maps = cycle / "inputs/hardware/configuration/channelmaps"
    entries: dict[str, Any] = {}
    for path in sorted(maps.glob("*-all-config.yaml")):
        entries |= yaml.safe_load(path.read_text())
    tables = {name: f"ch{entries[name]['daq']['rawid']:07d}" for name in pars}
    database, fitting, target = cycle / "database.json", cycle / "chain.json", cycle / "dspeed.lh5"
    adc = {name: digitizer(raw, f"{table}/raw", None) for name, table in tables.items()}
    database.write_text(json.dumps({tables[name]: adc[name] | entry for name, entry in pars.items()}))
    columns = column_names(raw, f"{next(iter(tables.values()))}/raw")
    fitting.write_text(json.dumps(fitted(yaml.safe_load(chain.read_text()), columns)))
    files = [raw, target, fitting, database]
    return ["-c", DSPEED, *map(str, files), *(f"{table}/raw" for table in tables.values())], target


def run(words: list[str]) -> None:
    """Run a command of Python; its failure is ours."""
    environ = os.environ | {"PYTHONPATH": SOURCES}
    subprocess.run([sys.executable, *words], env=environ, check=True, stdout=subprocess.DEVNULL)


def timed(words: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run(words)
    wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(ours: Path, theirs: Path) -> None:
    """Make sure that both files have the same values, but for the last digits of compiled chains."""
    from dsp_chain import differences

    with h5py.File(ours) as one, h5py.File(theirs) as other:
        for table in other:
            found = {name: node[f"{table}/dsp"] for name, node in (("ours", one), ("theirs", other))}
            sides = [{key: column[:] for key, column in found[name].items()} for name in ("theirs", "ours")]
            for key, away in differences(*sides).items():
                assert away["many"] <= MOST * len(sides[0][key]), (table, key, away)  # noqa: S101 - or no benchmark


def report(times: dict[str, list[tuple[float, float]]]) -> None:
    """Print the best of each, and the ratio."""
    best = {name: tuple(min(column) for column in zip(*found, strict=True)) for name, found in times.items()}
    for name, (wall, cpu) in best.items():
        print(f"{name:7s} wall {wall:6.2f} s   cpu {cpu:6.2f} s")
    wall, cpu = (best["dspeed"][i] / best["ours"][i] for i in (0, 1))
    print(f"dspeed / ours: wall {wall:.2f}, cpu {cpu:.2f}")
    print(f"values equal to a millionth but for {MOST:.1%} of a column at most")


if __name__ == "__main__":
    sys.exit(main())
