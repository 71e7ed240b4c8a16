"""A calibration run and a physics run from DAQ file to hit: this flow, and the published way, side by side.

    python benchmarks/production.py [--scale 24] [--cores 2] [--json FILE]

Ours is ``dataprod run``. The published way (``published/Snakefile``) is one process a file for raw, tcm, dsp and hit,
and one process a channel for each calibration, of legend-dataflow-scripts and the libraries from the package index,
under Snakemake with as many cores. Both make raw, tcm, decay constants, dsp, quality cuts, energy calibration, A/E,
late charge and hit of the same simulated files, with the same processing chain and filter times; optimisations of
filters, which need columns that the DAQ files lack, are switched off in ours. Ours also finds the pulser's events
(which the other side is given), draws figures, and calibrates more energies. At the end energies of hit are compared.

Both sides run before, so that compiled code is there: the published with few events, and one job at a time, for where
two compile the same processor for different types at once, numba (0.68) may keep the code of one as that of the other,
and all that load it later crash.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PRODUCTIONS = ROOT / "build/production"
FEW = 2.0
"""The scale with which both sides compile."""
BANDS = {"eranges": [[950 + 200 * number, 970 + 200 * number] for number in range(6)]}
ECAL_FIGURES = dict.fromkeys(("plot_2614_timemap", "bin_spectrum", "bin_survival_fraction", "bin_stability"))
AOE_FIGURES: dict[str, dict[str, Any] | None] = {
    "plot_compt_bands_overlayed": {**BANDS, "aoe_param": "AoE_Uncorr"},
    **dict.fromkeys(("plot_mean_fit", "plot_sigma_fit", "plot_cut_fit", "plot_survival_fraction_curves")),
    **dict.fromkeys(("plot_spectra", "plot_sf_vs_energy", "plot_classifier")),
}
LQ_FIGURES = dict.fromkeys(
    ("plot_drift_time_correction", "plot_lq_cut_fit", "plot_survival_fraction_curves", "plot_sf_vs_energy")
) | dict.fromkeys(("plot_spectra", "plot_classifier"))
"""What the collaboration's dashboard shows of the calibrations, as far as it needs no other columns; energy calibration
draws fits of lines, the calibration curve and the resolution without being asked."""
SOURCES = [str(ROOT / part / "src") for part in ("dataflow", "demo", "prodenv")]
sys.path[:0] = [*SOURCES, str(ROOT / "benchmarks")]

import h5py  # noqa: E402
import numpy as np  # noqa: E402
import yaml  # noqa: E402
from goals import Result, add_option, ratio, save  # noqa: E402
from parity import UV, environment, events_of  # noqa: E402

from dataflow.plan import open_cycle  # noqa: E402
from dataflow.plan.job import Job  # noqa: E402

READER = "legend-daq2lh5==1.7.1"
RUN = "p03-r000"
ENERGIES = ("trapEmax_ctc", "cuspEmax_ctc", "zacEmax_ctc")
COMPARED, FROM, NEAR = "cuspEmax_ctc_cal", 200.0, 0.5
"""The energy that is compared, from how many keV on, and by how many keV medians may differ."""
TARGETS = [f"all-l200-{RUN}-{datatype}-hit.gen" for datatype in ("cal", "phy")]
WALL, CPU, CALIBRATIONS = 10.0, 5.0, 10.0
PR_SET_CHILD_SUBREAPER = 36
"""See prctl(2)."""
OFF = {
    "pars_dsp_peak_selection": ("peak_config", {"run_selection": False}),
    "pars_dsp_nopt": ("optimiser_config", {"run_nopt": False}),
    "pars_dsp_eopt": ("optimiser_config", {"run_eopt": False}),
    "pars_dsp_dplms": ("dplms_pars", {"run_dplms": False}),
}
"""Rules that the other side has no columns for."""
QC = {
    "is_valid_baseline": {"cut_parameter": "pz_bl_std", "cut_level": {"high_side": 10}, "mode": "inclusive"},
    "is_downgoing_baseline": {"cut_parameter": "bl_slope", "cut_level": {"low_side": -6}, "mode": "exclusive"},
    "is_upgoing_baseline": {"cut_parameter": "bl_slope", "cut_level": {"high_side": 6}, "mode": "exclusive"},
    "is_valid_t0": {
        "cut_parameter": "tp_0_est", "cut_level": {"low_side": -20, "high_side": 20}, "mode": "inclusive"
    },
}  # fmt: skip
GOOD = "is_valid_baseline & is_valid_t0 & (is_upgoing_baseline == 0) & (n_sat_hi <= a) & (n_sat_lo <= a)"
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Seconds:
    """What something took, by the clock and of the processors."""

    wall: float
    cpu: float


def main() -> int:
    """Make both, compare, print; returns 1 if energies differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=24, help="events, relative to the demo's (default: 24, minutes)")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--compiled", action="store_true", help="the published side has run before")
    parser.add_argument("--environment", type=Path, default=ROOT / "build/parity/environment", help="of their scripts")
    add_option(parser)
    options = parser.parse_args()
    adopt()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as users have it
    programs = published_programs(options.environment.resolve())
    if not options.compiled:
        few = PRODUCTIONS / f"scale-{FEW:g}"
        ours(prepared(few, FEW), options.cores)  # which finds the pulser's events
        published(few / "cycle", few, programs, 1)
    folder = PRODUCTIONS / f"scale-{options.scale:g}"
    cycle = prepared(folder, options.scale)
    ours(cycle, options.cores)  # compiles: the flow was copied into the cycle anew
    found = {"ours": ours(cycle, options.cores), "published": published(cycle, folder, programs, options.cores)}
    for side, each in found.items():
        print(f"{side:10s} {each.wall:8.1f} s  processors {each.cpu:8.1f} s", flush=True)
    steps, rules = by_step(cycle), by_rule(folder / "published")
    agreement = energies(cycle, folder / "published")
    report(found, steps, rules, agreement)
    if any(each["median"] > NEAR for each in agreement.values()):
        return 1
    seconds = {side: asdict(each) for side, each in found.items()}
    save(options.json, results(found, steps, rules), seconds=seconds, steps=steps, rules=rules, energies=agreement)
    return 0


def published_programs(folder: Path) -> Path:
    """The programs of the other side, and legend-daq2lh5 beside them."""
    programs = environment(folder)
    looked = subprocess.run([programs / "python", "-c", "import daq2lh5"], check=False, capture_output=True)
    if looked.returncode:
        words = [str(UV), "pip", "install", "--quiet", "--compile-bytecode", "--python", f"{programs}/python", READER]
        subprocess.run(words, check=True)
    return programs


def prepared(cycle: Path, scale: float) -> Path:
    """A cycle with the DAQ files of a calibration run and a physics run; they are simulated once."""
    from gebox.experiment import build
    from gebox.metadata.tree import write_tree
    from gebox.simulate import simulate
    from prodenv.commands.demo import ESCAPES

    cycle = cycle / "cycle"
    if not (cycle / "config.json").is_file():
        experiment = build(seed=1, scale=scale, escapes=float(ESCAPES))
        write_tree(experiment, cycle / "inputs")
        for datatype in ("cal", "phy"):
            only = f"{RUN}-{datatype}"
            simulate(experiment, cycle / "generated/tier/daq", cycle / "truth", only=only, jobs=2)
        _configure(cycle / "inputs/dataprod/config")
        _software(cycle)
        (cycle / "config.json").write_text(json.dumps({"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}}))
    shutil.rmtree(cycle / "dataflow", ignore_errors=True)
    shutil.copytree(ROOT / "dataflow", cycle / "dataflow", ignore=shutil.ignore_patterns("__pycache__"))
    return cycle


def _configure(folder: Path) -> None:
    rules = {rule: {"inputs": {name: f"$_/{rule}.yaml"}} for rule, (name, _) in OFF.items()}
    for rule, (_, content) in OFF.items():
        (folder / f"{rule}.yaml").write_text(yaml.safe_dump(content))
    (folder / "l200-all-config.yaml").write_text(yaml.safe_dump({"snakemake_rules": rules}))


def _software(cycle: Path) -> None:
    """This environment in place of an installed one."""
    program = cycle / "software/python/install/bin/python"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)


def timed(words: Sequence[str], log: Path, **more: Any) -> Seconds:
    """Seconds of a command and all that it starts; what it says goes to a file."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with log.open("w") as said:
        done = subprocess.run(words, check=False, stdout=said, stderr=subprocess.STDOUT, **more)
    wall = time.monotonic() - begin
    with suppress(ChildProcessError):
        while True:
            os.wait()  # also for what was left to this process, see adopt
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{words[:4]} failed, see {log}: {''.join(log.read_text().splitlines(True)[-12:])}")
    return Seconds(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def adopt() -> None:
    """Become the parent of processes whose own ends before them, so that what they take is counted; Linux only."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def ours(cycle: Path, cores: int) -> Seconds:
    """The production by this flow, from the DAQ files on."""
    for name in ("par", "plt", "tmp", "log"):
        shutil.rmtree(cycle / "generated" / name, ignore_errors=True)
    for tier in sorted((cycle / "generated/tier").iterdir()):
        if tier.name != "daq":
            shutil.rmtree(tier)
    shutil.rmtree(cycle / ".snakemake", ignore_errors=True)
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(SOURCES), "PRODENV": str(ROOT)}
    words = [sys.executable, "-m", "prodenv", "run", str(cycle), "-j", str(cores), *TARGETS]
    return timed(words, cycle / "run.log", env=environ, cwd=cycle, stdin=subprocess.DEVNULL)


def published(cycle: Path, folder: Path, programs: Path, cores: int) -> Seconds:
    """The production by the published programs."""
    work = folder / "published"
    shutil.rmtree(work, ignore_errors=True)
    configured(cycle, work, programs)
    quiet = os.environ | {"MPLBACKEND": "Agg", "PYGAMA_PARALLEL": "false", "METADATA_NO_GIT_REPO": "1"}
    quiet |= {"PYTHONPATH": str(ROOT / "dataflow/src")}  # processors of the shipped chain
    quiet |= {"NUMBA_CACHE_DIR": str(programs.parent.parent / "compiled")}
    quiet |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
    words = [str(ROOT / "tools/dev/bin/snakemake"), "--snakefile", str(ROOT / "benchmarks/published/Snakefile")]
    words += ["--configfile", "config.json", "-j", str(cores), "--quiet", "rules"]
    return timed(words, work / "run.log", env=quiet, cwd=work)


def configured(cycle: Path, work: Path, programs: Path) -> None:
    """Write what the published programs are told: chains, operations, cuts, pulser masks."""
    opened = open_cycle(cycle / "config.json")
    keys = {name: [str(key) for key in opened.keys if key.datatype == name] for name in ("cal", "phy")}
    first = keys["cal"][0]
    dsp, hit, ecal = (opened.job(step, first) for step in ("tier_dsp", "tier_hit", "par_hit_ecal"))
    used = [each for each in dsp.channels if each.processable]
    detectors = {each.name: f"ch{each.rawid:07d}" for each in used if each.system == "geds"}
    for name in ("log", "par", "pulser", "config-dsp", "config-hit"):
        (work / name).mkdir(parents=True)
    _tier(work, "dsp", "processing_chain", {each.name: _chain(dsp, each) for each in used})
    _tier(work, "hit", "hit_config", {each.name: _hit(hit, each) for each in used})
    geds = next(each for each in used if each.system == "geds")
    _yaml(work / "pz-chain.yaml", _chain(dsp, geds) | {"outputs": ["tail_slope"]})
    base = (hit.config.read("hit_config", geds) or {})["operations"]
    _yaml(work / "ctc.yaml", {name: base[name] for name in ENERGIES})
    _calibrations(work, list(detectors))
    for name in detectors:
        mask = {"mask": events_of(ecal, name).pulser.tolist()}
        (work / f"pulser/{name}.yaml").write_text(yaml.safe_dump(mask, default_flow_style=True, width=10**9))
    (work / "cal.filelist").write_text("\n".join(str(work / f"dsp/{key}.lh5") for key in keys["cal"]))
    daq = {
        key: str(next((cycle / "generated/tier/daq").rglob(f"{key}.fcio"))) for each in keys.values() for key in each
    }
    content = {
        **keys, "detectors": detectors, "daq": daq, "python": str(programs / "python"), "programs": str(programs),
        "steps": str(ROOT / "benchmarks/published/steps.py"), "tables": [f"ch{each.rawid:07d}/raw" for each in used],
        "table_map": {
            tier: json.dumps({each.name: f"ch{each.rawid:07d}/{tier}" for each in used}) for tier in ("raw", "dsp")
        },
    }  # fmt: skip
    (work / "config.json").write_text(json.dumps(content))


def _chain(job: Job, channel: Any) -> dict[str, Any]:
    chain = dict(job.config.read("processing_chain", channel) or {})
    return {name: value for name, value in chain.items() if name != "windowed"}


def _hit(job: Job, channel: Any) -> dict[str, Any]:
    content = dict(job.config.read("hit_config", channel) or {})
    content.pop("outputs_if_calibrated", None)
    return content


def _tier(work: Path, tier: str, name: str, configs: Values) -> None:
    """A configuration tree of the published form with the rule of one tier."""
    folder = work / f"config-{tier}"
    for channel, content in configs.items():
        _yaml(folder / f"{channel}.yaml", content)
    inputs = {name: {channel: f"$_/{channel}.yaml" for channel in configs}}
    rules = {f"tier_{tier}": {"inputs": inputs, "options": {"logging": "$_/logging.yaml"}}}
    _yaml(folder / "all.yaml", {"snakemake_rules": rules})
    logging: dict[str, Any] = {"version": 1, "disable_existing_loggers": False}
    logging |= {"handlers": {"none": {"class": "logging.NullHandler"}}, "root": {"level": "INFO", "handlers": ["none"]}}
    _yaml(folder / "logging.yaml", logging)
    valid = {"valid_from": "20200101T000000Z", "category": "all", "mode": "append", "apply": ["all.yaml"]}
    (folder / "validity.yaml").write_text(yaml.safe_dump([valid]))


def _calibrations(work: Path, detectors: Sequence[str]) -> None:
    """The settings of the published calibrations, as near to ours as they allow."""
    good = {"is_valid_cal": {"expression": GOOD, "parameters": {"a": 0}}}
    _yaml(work / "qc.yaml", {"cal_fields": {"threshold": 25, "cut_parameters": QC | good}})
    _yaml(
        work / "ecal.yaml",
        {
            "energy_params": list(ENERGIES), "cut_param": "is_valid_cal", "threshold": 300, "deg": 1,
            "bl_plot_options": {}, "common_plots": [], "use_all_peaks": True,
            "plot_options": _drawn(ECAL_FIGURES),
        },
    )  # fmt: skip
    _yaml(
        work / "aoe.yaml",
        {
            "run_aoe": True, "current_param": "A_max", "energy_param": "cuspEmax", "cal_energy_param": COMPARED,
            "cut_field": "is_valid_cal", "threshold": 800, "dt_corr": False, "dep_correct": False, "dt_cut": None,
            "pdf": "aoe_peak", "mean_func": "Pol1", "sigma_func": "SigmaFit", "dt_param": "dt_eff",
            "compt_bands_width": 20, "high_cut_val": 3,
            "plot_options": _drawn(AOE_FIGURES),
        },
    )  # fmt: skip
    _yaml(
        work / "lq.yaml",
        {
            "run_lq": True, "energy_param": "cuspEmax", "cal_energy_param": COMPARED, "cut_field": "is_valid_cal",
            "dt_param": "dt_eff", "threshold": 800,
            "plot_options": _drawn(LQ_FIGURES),
        },
    )  # fmt: skip
    _yaml(work / "overrides.yaml", {name: {} for name in (*detectors, "none")})


def _drawn(functions: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """Figures as the published calibrations are asked for them: functions with what they are told."""
    return {name.removeprefix("plot_"): {"function": name, "options": told} for name, told in functions.items()}


def _yaml(path: Path, content: Values) -> None:
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False))  # operations are evaluated in this order


def by_step(cycle: Path) -> dict[str, float]:
    """Seconds of the processors of our jobs by step, as their records say."""
    found: dict[str, dict[tuple[str, str], float]] = {}
    for path in sorted((cycle / "generated").rglob(".lineage/*.json")):
        record = json.loads(path.read_text())
        if isinstance(record, dict) and "cpu_seconds" in record:
            found.setdefault(record["step"], {})[record["key"], record["began"]] = record["cpu_seconds"]
    return {step: sum(jobs.values()) for step, jobs in sorted(found.items())}


def by_rule(work: Path) -> dict[str, float]:
    """Seconds of the processors of the published programs by rule."""
    found: Counter[str] = Counter()
    for line in (work / "seconds.jsonl").read_text().splitlines():
        noted = json.loads(line)
        found[noted["rule"]] += noted["cpu"]
    return dict(sorted(found.items()))


def energies(cycle: Path, work: Path) -> dict[str, dict[str, float]]:
    """By detector, how far calibrated energies of both sides are apart, in keV, over all files."""
    opened, found = open_cycle(cycle / "config.json"), dict[str, list[Any]]()
    for key in opened.keys:
        job = opened.job("tier_hit", str(key))
        with h5py.File(job.outputs["tier"]) as one, h5py.File(work / f"hit/{key}.lh5") as other:
            for each in job.channels:
                table = f"ch{each.rawid:07d}/hit"
                if each.system == "geds" and table in one and COMPARED in one[table]:
                    np.testing.assert_array_equal(one[f"{table}/timestamp"][:], other[f"{table}/timestamp"][:])
                    mine, their = one[f"{table}/{COMPARED}"][:], other[f"{table}/{COMPARED}"][:]
                    found.setdefault(each.name, []).append(np.abs(mine - their)[mine > FROM])
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    return {
        name: {"events": len(each), "median": float(np.median(each)), "99 %": float(np.quantile(each, 0.99))}
        for name, each in joined.items()
    }


def results(found: Mapping[str, Seconds], steps: Mapping[str, float], rules: Mapping[str, float]) -> list[Result]:
    """What has a goal."""
    mine, theirs = calibrations(steps, rules)
    one, other = found["ours"], found["published"]
    return [
        ratio(1, "DAQ file to hit, by the clock", one.wall, other.wall, WALL),
        ratio(1, "DAQ file to hit, processors", one.cpu, other.cpu, CPU),
        ratio(4, "calibrations of a run, processors", mine, theirs, CALIBRATIONS),
    ]


def calibrations(steps: Mapping[str, float], rules: Mapping[str, float]) -> tuple[float, float]:
    """Seconds of processors of the calibrations, ours and the published ones."""
    mine = sum(seconds for name, seconds in steps.items() if name.startswith(("par_", "plt_")))
    return mine, sum(rules[name] for name in ("pz", "par_dsp", "qc", "ecal", "aoe", "lq", "par_hit"))


def report(
    found: Mapping[str, Seconds],
    steps: Mapping[str, float],
    rules: Mapping[str, float],
    agreement: Mapping[str, Values],
) -> None:
    """Print ratios, where the time of both sides goes, and how energies agree."""
    wall, cpu = (getattr(found["published"], name) / getattr(found["ours"], name) for name in ("wall", "cpu"))
    print(f"published / ours: wall {wall:.1f} (goal {WALL:g}), processors {cpu:.1f} (goal {CPU:g})")
    for side, parts in (("ours", steps), ("published", rules)):
        inside = sum(parts.values())
        print(f"{side}: {inside:.1f} s of processors in jobs, {found[side].cpu - inside:.1f} s beside:")
        for name, seconds in sorted(parts.items(), key=lambda item: -item[1]):
            print(f"    {name:16s} {seconds:7.1f} s")
    beside = found["ours"].cpu - sum(steps.values())
    mine, theirs = calibrations(steps, rules)
    times = f"{theirs / mine:.1f} (goal {CALIBRATIONS:g})"
    print(f"calibrations: published {theirs:.1f} s, ours {mine:.1f} s in jobs: {times}; "
          f"with all that is beside jobs, {theirs / (mine + beside):.1f}")  # fmt: skip
    for name, each in agreement.items():
        numbers = f"{each['median']:.3f} keV apart in the median, 99 % within {each['99 %']:.2f} keV"
        print(f"{name}: {each['events']} energies above {FROM:g} keV, {numbers}")


if __name__ == "__main__":
    sys.exit(main())
