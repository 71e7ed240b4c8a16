"""Our calibrations beside the published ones, on the same dsp files: each parameter in units of its error.

    python benchmarks/parity.py [CYCLE] [--environment DIR] [--beyond 2]
    python benchmarks/parity.py --dsp FILE --table ch1104000/dsp

The second form takes one detector of a dsp file, for example of real data, without decay constants and without truth.
Without a cycle, a small one is simulated below ``build/parity``. The published scripts are installed from the package
index into an environment of their own, once. Of the first calibration run, they make decay constants (pygama's
``PZCorrect``, which the script ``par-geds-dsp-pz`` calls), energy calibration (``par-geds-hit-ecal``) and A/E
(``par-geds-hit-aoe``) with the pulser mask, the cuts and the correction for trapping that ours used. Differences are in
units of our errors; both see the same events, so a difference of two errors is one of method. Where the simulation
knows the truth, it is said who is nearer; docs/differences.md says why.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "dataflow/src"), str(ROOT / "demo/src"), str(Path(__file__).resolve().parent)]

from par_chain import simulated as demo  # noqa: E402

from dataflow.base.textfile import yaml_data  # noqa: E402
from dataflow.jobs.runner import run  # noqa: E402
from dataflow.physics.dsprows import dsp_rows  # noqa: E402
from dataflow.plan import open_cycle  # noqa: E402
from dataflow.plan.job import Job  # noqa: E402

PACKAGE = "legend-dataflow-scripts==0.3.3"
UV = ROOT / "tools/bin/uv"
ENERGY, ESTIMATOR = "trapEmax_ctc_cal", "trapEmax_ctc"
"""The truth knows the noise of a trapezoid."""
OF_AOE = "cuspEmax_ctc"
"""What A/E divides by, which the published script cannot be asked to change."""
FLAG = "is_valid_cal"
"""What the quality cuts say of events of a calibration."""
SATURATED = ("n_sat_lo", "n_sat_hi")
KEY = "l200-p03-r000-cal-20240301T080000Z"
Values = Mapping[str, Any]
PZ = """
import json, sys, yaml, lh5
from pygama.pargen.pz_correct import PZCorrect
table, rows, path, chain = sys.argv[1:5]
data = lh5.read(table, path, idx=json.loads(rows))
tau = PZCorrect(yaml.safe_load(open(chain)), "waveform")
tau.get_single_decay_constant(data, "tail_slope")
print(json.dumps(tau.output_dict["pz"]))
"""
"""What the published script does once it has chosen its events; its own choice needs columns that our raw lacks."""


@dataclass(frozen=True)
class Pair:
    """One parameter by both; the truth is NaN where it is not known."""

    detector: str
    parameter: str
    ours: float
    error: float
    theirs: float
    their_error: float
    true: float = float("nan")

    @property
    def difference(self) -> float:
        """In units of our error."""
        return (self.theirs - self.ours) / self.error if self.error > 0 else float("nan")

    @property
    def nearer(self) -> str:
        """Who is nearer to the truth."""
        if not np.isfinite([self.true, self.ours, self.theirs]).all():
            return "" if np.isfinite(self.theirs) else "ours alone"
        return "ours" if abs(self.ours - self.true) <= abs(self.theirs - self.true) else "theirs"


def environment(folder: Path) -> Path:
    """The programs of the published scripts; they are installed where they are not."""
    programs = folder / "bin"
    if not (programs / "par-geds-hit-ecal").is_file():
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        words = [str(UV), "pip", "install", "--quiet", "--compile-bytecode", "--python", f"{programs}/python", PACKAGE]
        subprocess.run(words, check=True)  # with byte code, as pip does: without it each process takes seconds longer
    return programs


def simulated(folder: Path, scale: float) -> Path:
    """A small cycle with one calibrated run, made once for each scale below a folder."""
    cycle = demo(folder / f"cycle-{scale:g}", scale, "p03-r000-cal")
    made(cycle, "par_hit", KEY)
    return cycle


def made(folder: Path, step: str, unit: Any) -> None:
    """Run a job after all that it needs, unless its outputs are there."""
    cycle = open_cycle(folder / "config.json")
    job = cycle.job(step, unit)
    if not all(path.exists() for path in job.outputs.values()):
        for needed in cycle.needs(step, unit):
            made(folder, *needed)
        run(cycle.job(step, unit))


def published(programs: Path, name: str, *arguments: object) -> None:
    """Run one of the published scripts; what it says goes to a file beside."""
    command, log = [str(programs / name), *map(str, arguments)], Path(str(arguments[-1]))
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=_quiet())
    if done.returncode:
        logged = log.read_text().strip() if log.is_file() else ""
        said = (done.stderr.strip() or logged).splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(f"{name} failed: {said[-1]}")


def _quiet() -> dict[str, str]:
    return os.environ | {"MPLBACKEND": "Agg", "PYGAMA_PARALLEL": "false"}


def decay_constant(programs: Path, job: Job, detector: str, folder: Path) -> dict[str, Any]:
    """By pygama's class on the events that ours takes: large ones that are not pulser's."""
    (channel,) = (each for each in job.channels if each.name == detector)
    chain = dict(job.config.read("processing_chain", channel) or {}) | {"outputs": ["tail_slope"]}
    chain.pop("windowed", None)
    (folder / "chain.yaml").write_text(yaml.safe_dump(chain))
    import lh5

    path, table = job.inputs["raw"][0], str(job.table("raw", channel))
    heights = lh5.read(f"{table}/daqenergy", str(path)).nda
    rows = np.flatnonzero(heights > 0.2 * np.quantile(heights, 0.99))[:5000]
    program, chosen = str(programs / "python"), json.dumps(rows.tolist())
    command = [program, "-c", PZ, table, chosen, str(path), str(folder / "chain.yaml")]
    with_ours = os.environ | {"PYTHONPATH": str(ROOT / "dataflow/src")}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=with_ours)
    if done.returncode:
        raise RuntimeError(f"PZCorrect failed: {done.stderr.strip().splitlines()[-1:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


@dataclass(frozen=True)
class Events:
    """The dsp rows of a detector: files, table, columns, and which rows are no calibration events."""

    detector: str
    files: tuple[Path, ...]
    table: str
    columns: frozenset[str]
    pulser: Any


def events_of(job: Job, detector: str) -> Events:
    """Those that a calibration step reads."""
    (channel,) = (each for each in job.channels if each.name == detector)
    rows = dsp_rows(job)
    table = str(job.table("dsp", channel))
    return Events(detector, job.inputs["dsp"], table, frozenset(rows.columns[detector]), ~rows.accepted[detector])


def of_file(path: Path, table: str, programs: Path, out: Path) -> list[Pair]:
    """Both calibrations of one detector of a dsp file."""
    import h5py

    from dataflow.metadata.stepconfig import shipped_folder
    from dataflow.physics.pulseshape.energies import widths_of
    from dataflow.steps.par_hit_aoe.build import calibrate_sets
    from dataflow.steps.par_hit_aoe.report import entry as entry_of_aoe
    from dataflow.steps.par_hit_aoe.settings import Settings as AoeSettings
    from dataflow.steps.par_hit_ecal.build import calibrate
    from dataflow.steps.par_hit_ecal.report import entry
    from dataflow.steps.par_hit_ecal.settings import Settings, Sources
    from dataflow.steps.par_hit_ecal.source import source_of

    with h5py.File(path) as file:
        data = {name: node[:] for name, node in file[table].items() if getattr(node, "ndim", 0) == 1}
    accepted = np.ones(len(data["timestamp"]), dtype=bool)
    shipped = yaml.safe_load((shipped_folder("pars_hit_ecal") / "sources.yaml").read_text())
    settings, psd = Settings(energy_params=("trapEmax", "cuspEmax")), AoeSettings(current_param="A_max")
    found = calibrate(data, accepted, settings, source_of(settings, Sources.read(shipped).nuclides), {})
    ours = entry(found, settings, {})
    sets = calibrate_sets(data, accepted, ours["pars"]["operations"], widths_of(ours, psd, table), psd)
    ours["results"]["aoe"] = entry_of_aoe(sets, psd, "run")["results"]["aoe"]
    out.mkdir(parents=True, exist_ok=True)
    events = Events(table.partition("/")[0], (path,), table, frozenset(data), ~accepted)
    return compared(events.detector, ours, theirs(programs, events, ours, out), {})


def good_events(operations: Values, columns: Collection[str]) -> dict[str, Any]:
    """Operations that end with ``is_good``: the flag that ours took, after all that it needs, or our own cuts."""
    if FLAG in operations:
        needed = _needed(FLAG, operations)
        return {**needed, "is_good": {"expression": f"{FLAG} & (tp_0_est > 0)", "parameters": {}}}
    good = dict(operations["is_valid_baseline"])
    cuts = (f"({good['expression']})", *(f"({name} == 0)" for name in SATURATED if name in columns))
    return {"is_good": good | {"expression": " & ".join([*cuts, "(tp_0_est > 0)"])}}


def _needed(name: str, operations: Values) -> dict[str, Any]:
    """An operation after those whose results it takes."""
    found: dict[str, Any] = {}
    for word in re.findall(r"[A-Za-z_]\w*", operations[name]["expression"]):
        if word in operations and word != name:
            found |= _needed(word, operations)
    return found | {name: dict(operations[name])}


def theirs(programs: Path, events: Events, ours: Values, folder: Path) -> dict[str, Any]:
    """The published energy calibration and A/E of a detector."""
    detector = events.detector
    (folder / "files").write_text("\n".join(str(path) for path in events.files))
    pulser = {"mask": events.pulser.tolist()}
    (folder / "pulser.yaml").write_text(yaml.safe_dump(pulser, default_flow_style=True, width=10**9))
    operations = ours["pars"]["operations"]
    _yaml(folder / "hit.yaml", {"operations": good_events(operations, events.columns)})
    corrections = {name: operations[name] for name in (ESTIMATOR, OF_AOE)}
    _yaml(folder / "ctc.yaml", {detector: {"ctc_params": corrections}})
    _yaml(folder / "overrides.yaml", {detector: {}, "none": {}})
    _yaml(
        folder / "ecal.yaml",
        {
            "energy_params": [ESTIMATOR, OF_AOE], "cut_param": "is_good", "threshold": 300,
            "deg": 1, "plot_options": {}, "bl_plot_options": {}, "common_plots": [], "use_all_peaks": True,
        },
    )  # fmt: skip
    _yaml(
        folder / "aoe.yaml",
        {
            "run_aoe": True, "current_param": "A_max", "energy_param": "cuspEmax", "cal_energy_param": f"{OF_AOE}_cal",
            "cut_field": "is_good", "threshold": 800, "dt_corr": False, "dep_correct": False, "dt_cut": None,
            "pdf": "aoe_peak", "mean_func": "Pol1", "sigma_func": "SigmaFit", "plot_options": {},
            "dt_param": "dt_eff", "compt_bands_width": 20, "high_cut_val": 3,
        },
    )  # fmt: skip
    common = ["--pulser-file", folder / "pulser.yaml", "--table-name", events.table, "--log", folder / "log"]
    published(
        programs, "par-geds-hit-ecal", "--files", folder / "files", "--ctc-dict", folder / "ctc.yaml",
        "--in-hit-dict", folder / "hit.yaml", "--config-file", folder / "ecal.yaml", "--channel", detector,
        "--save-path", folder / "par_ecal.yaml", "--results-path", folder / "ecal.pkl", *common,
    )  # fmt: skip
    found = _read(folder / "par_ecal.yaml")
    if not ours["results"].get("aoe"):
        return found | {"aoe_failed": ours["results"].get("aoe_failed", "ours has no A/E")}
    try:
        published(
            programs, "par-geds-hit-aoe", folder / "files", "--ecal-file", folder / "par_ecal.yaml", "--eres-file",
            folder / "ecal.pkl", "--config-file", folder / "aoe.yaml", "--detector", detector, "--override-files",
            folder / "overrides.yaml", "--hit-pars", folder / "par_aoe.yaml", "--aoe-results", folder / "aoe.pkl",
            *common,
        )  # fmt: skip
        return found | {"aoe": _read(folder / "par_aoe.yaml")["results"].get("aoe")}
    except RuntimeError as error:
        return found | {"aoe_failed": str(error)}


def _yaml(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False))  # operations are evaluated in this order


def _read(path: Path) -> dict[str, Any]:
    content = yaml_data(path.read_text(encoding="utf-8"), Plain)
    assert isinstance(content, dict), path
    return content


class Plain(yaml.SafeLoader):
    """Reads what dbetto writes of dictionaries of its own, with the tags of Python objects, as plain ones."""


def _plain(loader: Plain, _: str, node: yaml.Node) -> Any:
    assert isinstance(node, yaml.MappingNode)
    content = loader.construct_mapping(node, deep=True)
    return content.get("dictitems", content)


Plain.add_multi_constructor("tag:yaml.org,2002:python/object/new:dbetto.", _plain)


def compared(detector: str, ours: Values, other: Values, true: Values) -> list[Pair]:
    """Energy calibration and A/E."""
    return [*_energies(detector, ours, other, true), *_aoe(detector, ours, other, true)]


def _energies(
    detector: str, ours: Mapping[str, Any], other: Mapping[str, Any], true: Mapping[str, Any]
) -> Iterator[Pair]:
    from gebox.check import expected_at, expected_width

    mine, their = ours["results"]["ecal"][ENERGY], other["results"]["ecal"][ENERGY]
    curve = ours["pars"]["operations"][ENERGY], other["pars"][ENERGY]
    for energy, fit in mine["pk_fits"].items():
        found = next((each for name, each in their["pk_fits"].items() if abs(float(name) - energy) < 0.1), None)
        if found is None or found.get("fwhm_in_kev") is None:
            continue
        truth = expected_width(dict(true), energy) if f"line_{int(energy)}" in true.get("calibration", {}) else np.nan
        errors = fit["fwhm_err_in_kev"], found["fwhm_err_in_kev"]
        yield Pair(
            detector, f"FWHM {energy:g} [keV]", fit["fwhm_in_kev"], errors[0], found["fwhm_in_kev"], errors[1], truth
        )
        places = [_applied(operation, fit["position"]) for operation in curve]
        slope = curve[1]["parameters"]["b"]
        yield Pair(
            detector, f"position {energy:g} [keV]", places[0], fit["position_err_in_kev"],
            _applied(curve[1], found["position"]), found["position_uncertainty"] * slope, energy,
        )  # fmt: skip
        yield Pair(
            detector, f"counts {energy:g}", fit["n_sig"], fit["n_sig_err"], found["parameters"]["n_sig"],
            found["uncertainties"]["n_sig"], _counts(true, energy),
        )  # fmt: skip
    truth = float(expected_at(dict(true), 2039.061) or np.nan) if true else np.nan
    curves = mine["eres_linear"], their["eres_linear"]
    end_point = [each[name] for each in curves for name in ("Qbb_fwhm_in_kev", "Qbb_fwhm_err_in_kev")]
    yield Pair(detector, "FWHM 2039 [keV]", *_four(end_point), truth)


def _counts(true: Mapping[str, Any], energy: float) -> float:
    return float(true.get("calibration", {}).get(f"line_{int(energy)}", {}).get("counts", np.nan))


def _applied(operation: Mapping[str, Any], value: float) -> float:
    """A polynomial calibration at a value of its estimator."""
    return float(sum(number * value ** "abc".index(name) for name, number in operation["parameters"].items()))


def _aoe(detector: str, ours: Values, other: Values, true: Values) -> Iterator[Pair]:
    mine, their = ours["results"].get("aoe") or {}, other.get("aoe") or {}
    if not mine or not their:
        return
    names = {"mean": "mean_err", "sigma": "sigma_err", "res": "res_err"}
    first = [next(iter(each["1000-1300keV"].values())) for each in (mine, their)]
    for name, error in names.items():
        if name in first[1]:
            yield Pair(detector, f"A/E {name}", first[0][name], first[0][error], first[1][name], first[1][error])
    yield Pair(detector, "A/E low cut [σ]", mine["low_cut"], mine["low_cut_err"], _number(their["low_cut"]), np.nan)
    known = (true.get("calibration") or {}).get("survival") or {}
    for energy, one in mine["low_side_sfs"].items():
        found = next((each for name, each in their["low_side_sfs"].items() if abs(float(name) - energy) < 0.1), None)
        if found is None or one["sf"] is None:
            continue
        truth = next((each["sf"] for name, each in known.items() if abs(float(name) - energy) < 0.5), np.nan)
        yield Pair(
            detector, f"A/E survival {energy:g} [%]", one["sf"], one["sf_err"], found["sf"], found["sf_err"], truth
        )


def _four(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Ours with its error, theirs with its error."""
    first, second, third, fourth = map(float, values)
    return first, second, third, fourth


def _number(value: Any) -> float:
    return float(value["value"] if isinstance(value, Mapping) else value)


def _nanoseconds(text: object) -> float:
    found = re.match(r"[-+0-9.eE]+", str(text))
    return float(found[0]) if found else float("nan")


def parity(cycle: Path, programs: Path, out: Path) -> list[Pair]:
    """All detectors of the first calibration run of a cycle."""
    opened = open_cycle(cycle / "config.json")
    key = next(str(each) for each in opened.keys if each.datatype == "cal")
    ecal, pz = opened.job("par_hit_ecal", key), opened.job("par_dsp_pz", key)
    pars = {tier: _read(opened.job(f"par_{tier}", key).outputs["par"]) for tier in ("dsp", "hit")}
    period, number = key.split("-")[1:3]
    truths = sorted(cycle.rglob(f"*-{period}-{number}-truth.yaml"))
    known = _read(truths[0])["detectors"] if truths else {}
    found: list[Pair] = []
    for detector in sorted(pars["hit"]):
        folder = out / detector
        folder.mkdir(parents=True, exist_ok=True)
        true = known.get(detector, {})
        mine = pars["dsp"][detector]["pz"]
        mine = mine.get("single", mine)
        their = decay_constant(programs, pz, detector, folder)
        times = [_nanoseconds(each[name]) for each in (mine, their) for name in ("tau1", "tau1_err")]
        found.append(Pair(detector, "decay constant [ns]", *_four(times), float(true.get("tau", np.nan))))
        other = theirs(programs, events_of(ecal, detector), pars["hit"][detector], folder)
        if "aoe_failed" in other:
            print(f"{detector}, A/E is not compared: {other['aoe_failed']}", flush=True)
        found += compared(detector, pars["hit"][detector], other, true)
    return found


def table(found: Sequence[Pair], beyond: float) -> None:
    """One line a parameter, those that differ marked."""
    form = "{:9} {:24} {:>12} {:>10} {:>12} {:>10} {:>12} {:>8}  {}"
    print(form.format("detector", "parameter", "ours", "±", "theirs", "±", "truth", "Δ/σ", "nearer"))
    for each in found:
        mark = " !" if abs(each.difference) > beyond else ""
        numbers = (each.ours, each.error, each.theirs, each.their_error, each.true)
        cells = ["-" if not np.isfinite(number) else f"{number:.5g}" for number in numbers]
        print(form.format(each.detector, each.parameter, *cells, f"{each.difference:+.1f}", each.nearer + mark))
    bad = [each for each in found if abs(each.difference) > beyond]
    print(f"{len(found)} parameters compared, {len(bad)} differ by more than {beyond:g} of our errors")


def main() -> int:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cycle", type=Path, nargs="?", help="a cycle with a calibrated run (default: a simulated one)")
    parser.add_argument("--dsp", type=Path, help="a dsp file instead")
    parser.add_argument("--table", default="ch1104000/dsp", help="its table (default: ch1104000/dsp)")
    parser.add_argument("--environment", type=Path, default=ROOT / "build/parity/environment", help="of their scripts")
    parser.add_argument("--out", type=Path, default=ROOT / "build/parity/out", help="for their results")
    parser.add_argument("--scale", type=float, default=1.0, help="of the simulation (default: 1)")
    parser.add_argument("--beyond", type=float, default=2.0, help="differences that are marked, in errors (default: 2)")
    options = parser.parse_args()
    programs = environment(options.environment.resolve())
    if options.dsp:
        found = of_file(options.dsp.resolve(), options.table, programs, options.out.resolve())
    else:
        cycle = options.cycle or simulated(ROOT / "build/parity", options.scale)
        found = parity(cycle.resolve(), programs, options.out.resolve())
    table(found, options.beyond)
    (options.out / "parity.json").write_text(json.dumps([asdict(each) for each in found], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
