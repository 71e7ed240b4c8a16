"""Files both ways: scripts and readers of the collaboration on our files, our steps on their parameters.

``legend-dataflow-scripts`` is installed from the package index once, and a run is simulated and calibrated once, both
below ``build/parity`` as for the benchmark of that name; where the first fails, the tests say why they are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions that dsp and hit use
import numpy as np
import pytest
import yaml
from parity import KEY, _read, environment, made, simulated

from dataflow.jobs.runner import run
from dataflow.plan import open_cycle
from dataflow.plan.job import Job

ROOT = Path(__file__).resolve().parents[1]
SCALE = 2.0
"""Their energy calibration needs a hundred counts a line."""
TIMESTAMP = KEY.split("-")[4]


@dataclass(frozen=True)
class Published:
    """Programs of the published scripts, and a cycle whose calibration run has been made to hit."""

    programs: Path
    cycle: Path

    def job(self, step: str) -> Job:
        """A job of the calibration run's first file."""
        return open_cycle(self.cycle / "config.json").job(step, KEY)

    def run(self, name: str, *arguments: object) -> str:
        """Run one of the programs; it must succeed."""
        quiet = os.environ | {"MPLBACKEND": "Agg", "PYGAMA_PARALLEL": "false", "METADATA_NO_GIT_REPO": "1"}
        quiet["PYTHONPATH"] = str(ROOT / "dataflow/src")  # processors of our default chain
        command = [str(self.programs / name), *map(str, arguments)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=quiet, cwd=self.cycle)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def told(self, code: str, *arguments: object) -> Any:
        """What a program of theirs prints last, as JSON."""
        return json.loads(self.run("python", "-c", code, *arguments).strip().splitlines()[-1])

    def built(
        self,
        tier: str,
        name: str,
        of_detector: Mapping[str, Mapping[str, Any]],
        folder: Path,
        *,
        job: Job | None = None,
    ) -> Path:
        """What their program for a tier makes of our files, with a configuration for each detector."""
        job, read = job or self.job(f"tier_{tier}"), {"dsp": "raw", "hit": "dsp"}[tier]
        (source,), (pars,) = job.inputs[read], job.inputs[f"par_{tier}"]
        for detector, content in of_detector.items():
            (folder / f"{detector}.yaml").write_text(yaml.safe_dump(content))
        files = {name: {detector: f"$_/{detector}.yaml" for detector in of_detector}}
        tables = {each.name: f"ch{each.rawid}/{read}" for each in job.channels if each.name in of_detector}
        self.run(
            f"build-tier-{tier}", "--input", source, "--pars-file", pars, "--tier", tier, "--log", folder / "log",
            "--configs", configuration(folder, f"tier_{tier}", files), "--table-map", json.dumps(tables),
            "--datatype", "cal", "--timestamp", TIMESTAMP, "--output", folder / "theirs.lh5",
        )  # fmt: skip
        return folder / "theirs.lh5"


@pytest.fixture(scope="module")
def published() -> Published:
    folder = ROOT / "build/parity"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        programs = environment(folder / "environment")
    except (subprocess.CalledProcessError, OSError) as error:
        pytest.skip(f"legend-dataflow-scripts cannot be installed: {error}")
    cycle = simulated(folder, SCALE)
    opened = open_cycle(cycle / "config.json")
    made(cycle, "par_dsp", KEY)
    for key in opened.keys:
        made(cycle, "tier_hit", key)
    for step in ("validity_dsp", "validity_hit"):
        for unit in opened.units.of(opened.step(step)):
            made(cycle, step, unit)
    return Published(programs, cycle)


def columns(path: Path, table: str) -> dict[str, Any]:
    """The columns of a table that are one number a row, or bits."""
    with h5py.File(path) as file:
        return {name: node[:] for name, node in file[table].items() if isinstance(node, h5py.Dataset)}


def configuration(folder: Path, rule: str, inputs: Mapping[str, Any]) -> Path:
    """A configuration tree of the published form with one rule."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "validity.yaml").write_text(
        yaml.safe_dump([{"valid_from": "20200101T000000Z", "category": "all", "mode": "append", "apply": ["all.yaml"]}])
    )
    content = {"snakemake_rules": {rule: {"inputs": dict(inputs), "options": {"logging": "$_/logging.yaml"}}}}
    (folder / "all.yaml").write_text(yaml.safe_dump(content))
    logging = {"version": 1, "disable_existing_loggers": False, "handlers": {"none": {"class": "logging.NullHandler"}}}
    logging["root"] = {"level": "INFO", "handlers": ["none"]}  # without one, theirs logs what it prints of its logs
    (folder / "logging.yaml").write_text(yaml.safe_dump(logging))
    return folder


def test_their_hit_on_our_dsp_and_parameters_is_our_hit(published: Published, tmp_path: Path) -> None:
    job = published.job("tier_hit")
    (pars,) = job.inputs["par_hit"]
    geds = [channel for channel in job.channels if channel.system == "geds" and channel.processable]
    base = dict(job.config.read("hit_config", geds[0]) or {})
    more = list(base.pop("outputs_if_calibrated", ()))
    made_of = yaml.safe_load(pars.read_text())
    configs = {}
    for channel in geds:
        operations = made_of[channel.name]["pars"]["operations"]
        configs[channel.name] = base | {"outputs": [*base["outputs"], *(name for name in more if name in operations)]}
    theirs = published.built("hit", "hit_config", configs, tmp_path)
    compared = 0
    for channel in geds:
        ours, other = (columns(path, f"ch{channel.rawid}/hit") for path in (job.outputs["tier"], theirs))
        assert ours.keys() == other.keys()
        for name, values in ours.items():
            np.testing.assert_array_equal(values, other[name], err_msg=f"{channel.name} {name}")
            compared += 1
    assert compared >= 4 * len(base["outputs"])


CHAIN = ("timestamp", "baseline", "bl_mean", "trapEmax", "cuspEmax", "zacEmax", "dt_eff", "A_max", "lq80", "tp_0_est")


def test_their_dsp_on_our_raw_and_parameters_is_our_dsp(published: Published, tmp_path: Path) -> None:
    """With filters and decay constants of ``par_dsp``, whose entries have texts as well."""
    job = published.job("tier_dsp")
    (pars,) = job.inputs["par_dsp"]
    assert any("warnings" in entry for entry in yaml.safe_load(pars.read_text()).values())
    geds = [channel for channel in job.channels if channel.system == "geds" and channel.processable]
    chains = {}
    for channel in geds:
        chain = dict(job.config.read("processing_chain", channel) or {}) | {"outputs": list(CHAIN)}
        chains[channel.name] = {name: value for name, value in chain.items() if name != "windowed"}
    theirs = published.built("dsp", "processing_chain", chains, tmp_path)
    for channel in geds:
        ours, other = (columns(path, f"ch{channel.rawid}/dsp") for path in (job.outputs["tier"], theirs))
        for name in CHAIN:
            # compiled processors round otherwise: of maxima that are equal but for it, another one may be found
            differing = np.abs(ours[name] - other[name]) > 1e-3 + 1e-5 * np.abs(other[name])
            assert np.mean(differing) < 1e-3, (channel.name, name, ours[name][differing], other[name][differing])


def test_our_hit_on_their_energy_calibration_is_what_their_curve_says(published: Published, tmp_path: Path) -> None:
    from parity import events_of, theirs

    job = published.job("tier_hit")
    pars = yaml.safe_load(job.inputs["par_hit"][0].read_text())
    channel = next(each for each in job.channels if each.system == "geds" and each.name in pars)
    folder = tmp_path / "theirs"
    folder.mkdir()
    ours = {**pars[channel.name], "results": {**pars[channel.name]["results"], "aoe": {}}}
    found = theirs(published.programs, events_of(published.job("par_hit_ecal"), channel.name), ours, folder)
    cycle = tmp_path / "cycle"
    subprocess.run(["cp", "-al", published.cycle, cycle], check=True)
    target = open_cycle(cycle / "config.json").job("tier_hit", KEY)
    for path in (target.inputs["par_hit"][0], target.outputs["tier"]):
        path.unlink()
    only = {channel.name: {"pars": found["pars"], "results": found["results"]}}
    target.inputs["par_hit"][0].write_text(yaml.safe_dump(only))
    run(target)
    name = "cuspEmax_ctc_cal"
    curve, correction = found["pars"][name]["parameters"], found["pars"]["cuspEmax_ctc"]["parameters"]
    dsp = columns(job.inputs["dsp"][0], f"ch{channel.rawid}/dsp")
    corrected = dsp["cuspEmax"] * (1 + dsp["dt_eff"] * correction["a"])
    hit = columns(target.outputs["tier"], f"ch{channel.rawid}/hit")
    np.testing.assert_allclose(hit[name], curve["a"] + curve["b"] * corrected, rtol=2e-6, atol=1e-3)


def test_their_late_charge_and_a_over_e_are_found_with_our_dsp(published: Published, tmp_path: Path) -> None:
    """Their chain from energies over A/E to late charge, with our events, corrections and flags."""
    from parity import events_of, theirs

    job = published.job("tier_hit")
    pars = yaml.safe_load(job.inputs["par_hit"][0].read_text())
    name = next(name for name, entry in pars.items() if entry["results"].get("aoe") and entry["results"].get("lq"))
    events, ours = events_of(published.job("par_hit_ecal"), name), pars[name]["results"]
    found = theirs(published.programs, events, pars[name], tmp_path)
    assert "aoe_failed" not in found, found["aoe_failed"]
    (band,), (other,) = (each["1000-1300keV"].values() for each in (ours["aoe"], found["aoe"]))
    assert abs(band["mean"] - other["mean"]) < 5 * band["mean_err"]
    lq = {
        "run_lq": True, "energy_param": "cuspEmax", "cal_energy_param": "cuspEmax_ctc_cal", "cut_field": "is_good",
        "dt_param": "dt_eff", "threshold": 800, "plot_options": {},
    }  # fmt: skip
    (tmp_path / "lq.yaml").write_text(yaml.safe_dump(lq))
    published.run(
        "par-geds-hit-lq", tmp_path / "files", "--ecal-file", tmp_path / "par_aoe.yaml", "--eres-file",
        tmp_path / "aoe.pkl", "--config-file", tmp_path / "lq.yaml", "--pulser-file", tmp_path / "pulser.yaml",
        "--table-name", events.table, "--hit-pars", tmp_path / "par_lq.yaml", "--lq-results", tmp_path / "lq.pkl",
        "--log", tmp_path / "log",
    )  # fmt: skip
    theirs_lq = _read(tmp_path / "par_lq.yaml")["results"]["lq"]
    kept = next(each for energy, each in theirs_lq["sfs"].items() if abs(float(energy) - 1592.5) < 0.1)
    mine = ours["lq"]["sfs"][1592.5]
    assert abs(kept["sf"] - mine["sf"]) < 5 * max(mine["sf_err"], kept["sf_err"]), (kept, mine)


def test_their_quality_cuts_are_derived_from_our_dsp(published: Published, tmp_path: Path) -> None:
    job = published.job("par_hit_qc")
    channel = next(each for each in job.channels if each.system == "geds" and each.processable)
    cut = {"cut_parameter": "bl_slope", "cut_level": {"high_side": 6}, "mode": "exclusive"}
    config = {"cal_fields": {"threshold": 25, "cut_parameters": {"is_upgoing_baseline": cut}}}
    (tmp_path / "qc.yaml").write_text(yaml.safe_dump(config))
    published.run(
        "par-geds-hit-qc", "--cal-files", *job.inputs["dsp"], "--config-file", tmp_path / "qc.yaml", "--channel",
        channel.name, "--table-name", f"ch{channel.rawid}/dsp", "--log", tmp_path / "log", "--save-path",
        tmp_path / "qc_pars.yaml", "--plot-path", tmp_path / "qc.pkl",  # without, it fails: pygama returns no pages
    )  # fmt: skip
    found = yaml.safe_load((tmp_path / "qc_pars.yaml").read_text())
    theirs = found["operations"]["is_upgoing_baseline_classifier"]["parameters"]
    results = yaml.safe_load(job.outputs["par"].read_text())[channel.name]["results"]
    ours = results["qc_levels"]["is_upgoing_baseline"]
    assert abs(theirs["a"] - ours["mode"]) < ours["width"]
    assert 0.7 < theirs["b"] / ours["width"] < 1.4
    passed = results["qc"]["is_upgoing_baseline"]["sf_cal"], found["results"]["qc"]["is_upgoing_baseline"]["sf_cal"]
    assert abs(passed[0] - passed[1]) < 1.0, passed


EVT = "from legenddataflow.scripts.tier.evt import build_tier_evt as build; build()"
EVT_CONFIG = ROOT / "dataflow/src/dataflow/steps/tier_evt/defaults/evt_config.yaml"
COMPARED = (
    "geds___multiplicity",
    "geds___rawid",
    "geds___energy",
    "geds___t0",
    "geds___daqenergy",
    "geds___energy_sum",
)
"""Of germanium detectors: the others ask for systems that the simulated run lacks, where the program ends."""


def test_their_events_of_our_files_are_our_events(published: Published, tmp_path: Path) -> None:
    """The program is one of the published flow itself, from its own sources."""
    source = os.environ.get("PUBLISHED_DATAFLOW")
    if not source:
        pytest.skip("PUBLISHED_DATAFLOW names no local git repository of the published flow")
    sources = tmp_path / "flow"
    subprocess.run(["git", "clone", "--quiet", "--branch=v2.2.2", source, sources], check=True)
    made(published.cycle, "tier_evt", KEY)
    job = published.job("tier_evt")
    config = yaml.safe_load(EVT_CONFIG.read_text())
    operations = {name: each for name, each in config["operations"].items() if name in COMPARED}
    channels = {name: each for name, each in config["channels"].items() if name.startswith("geds")}
    operations["trigger___timestamp"] = config["operations"]["trigger___timestamp"] | {"channels": list(channels)}
    (tmp_path / "evt.yaml").write_text(
        yaml.safe_dump({"channels": channels, "outputs": list(operations), "operations": operations}, sort_keys=False)
    )
    folder = configuration(tmp_path, "tier_evt", {"evt_config": "$_/evt.yaml"})
    theirs = tmp_path / f"{KEY}-tier_evt.lh5"
    program = f"import sys; sys.path.insert(0, '{sources}/workflow/src'); {EVT}"
    published.run(
        "python", "-c", program, "--tcm-file", *job.inputs["tcm"], "--dsp-file", *job.inputs["dsp"], "--hit-file",
        *job.inputs["hit"], "--ann-file", "--xtc-file", "--datatype", "cal", "--timestamp", TIMESTAMP, "--tier", "evt",
        "--configs", folder, "--metadata", published.cycle / "inputs", "--log", tmp_path / "log", "--output", theirs,
    )  # fmt: skip
    with h5py.File(job.outputs["tier"]) as ours, h5py.File(theirs) as other:
        one, two = events_by_detector(ours["evt/geds"]), events_by_detector(other["evt/geds"])
    assert one.keys() == two.keys() and len(one) == len(COMPARED) + 1
    for name, values in one.items():
        np.testing.assert_allclose(values, two[name], rtol=1e-12, err_msg=name)


def events_by_detector(group: h5py.Group) -> dict[str, Any]:
    """Columns of events, and of lists in them in the order of raw ids: pulses that begin at once have no order."""
    lengths = np.diff(group["rawid/cumulative_length"][:], prepend=0)
    event = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((group["rawid/flattened_data"][:], event))
    found = {"lengths": lengths}
    for name in (each.removeprefix("geds___") for each in COMPARED):
        node = group[name]
        found[name] = node[:] if isinstance(node, h5py.Dataset) else node["flattened_data"][:][order]
    return found


@dataclass(frozen=True)
class Physics:
    """A physics file of ours to dsp, and what the published scripts make of it: parameters of energies, and hit."""

    published: Published
    theirs: Path
    mine: Path
    key: str

    def cycle(self, folder: Path, **paths: Path) -> Path:
        """A cycle of ours that makes hit, evt, and skm of what is there already."""
        own = {f"tier_{tier}": f"$_/tier/{tier}" for tier in ("hit", "evt", "skm")}
        there = {f"tier_{tier}": self.mine / "generated/tier" / tier for tier in ("daq", "raw", "tcm", "dsp")}
        there |= {"par_dsp": self.published.cycle / "generated/par/dsp", "inputs": self.published.cycle / "inputs"}
        chosen = own | {name: str(path) for name, path in (there | paths).items()}
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"setups": {"l200": {"paths": chosen}}}))
        return folder


@pytest.fixture(scope="module")
def physics(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Physics:
    from gebox.experiment import load
    from gebox.simulate import simulate

    top = tmp_path_factory.mktemp("physics")
    theirs = calibrated_by_theirs(published, top / "theirs")
    mine = top / "mine"
    mine.mkdir()
    inputs, par_dsp = published.cycle / "inputs", published.cycle / "generated/par/dsp"
    pars = {"par_dsp": str(par_dsp), "par_hit": str(theirs / "par/hit")}
    paths = {"tier": "$_/generated/tier", "inputs": str(inputs), **pars}
    (mine / "config.json").write_text(json.dumps({"setups": {"l200": {"paths": paths}}}))
    simulate(load(inputs, scale=1.0), mine / "generated/tier/daq", mine / "truth", only="p03-r000-phy")
    (key,) = map(str, open_cycle(mine / "config.json").keys)
    for step in ("tier_tcm", "tier_dsp"):
        made(mine, step, key)
    job = open_cycle(mine / "config.json").job("tier_hit", key)
    configs = {}
    for channel in job.channels:
        configs[channel.name] = dict(job.config.read("hit_config", channel) or {})
        configs[channel.name].pop("outputs_if_calibrated", None)
    hit = theirs / f"tier/hit/phy/p03/r000/{key}-tier_hit.lh5"
    hit.parent.mkdir(parents=True)
    published.built("hit", "hit_config", configs, theirs, job=job).rename(hit)
    return Physics(published, theirs, mine, key)


def calibrated_by_theirs(published: Published, folder: Path) -> Path:
    """Their energy calibration of our dsp with our quality cuts, as files of a production of theirs."""
    from parity import events_of, theirs

    job = published.job("par_hit_ecal")
    ours = yaml.safe_load(published.job("tier_hit").inputs["par_hit"][0].read_text())
    entries = {}
    for name, entry in ours.items():
        (folder / name).mkdir(parents=True)
        without = {**entry, "results": {**entry["results"], "aoe": {}}}
        found = theirs(published.programs, events_of(job, name), without, folder / name)
        entries[name] = {"pars": {"operations": found["pars"]}, "results": found["results"]}
    pars = folder / f"par/hit/cal/p03/r000/{KEY}-par_hit.yaml"
    pars.parent.mkdir(parents=True)
    pars.write_text(yaml.safe_dump(entries, sort_keys=False))
    valid = {"valid_from": TIMESTAMP, "category": "all", "mode": "reset", "apply": [f"cal/p03/r000/{pars.name}"]}
    (folder / "par/hit/validity.yaml").write_text(yaml.safe_dump([valid]))
    return folder


def energies_by_event(tcm: Path, hit: Path, geds: Collection[int]) -> list[dict[int, float]]:
    """For each event of the coincidence map, the energies above 25 keV of a hit file, by raw id."""
    with h5py.File(tcm) as file:
        node = file["hardware_tcm_1"]
        ends = node["table_key/cumulative_length"][:]
        rawids, rows = (node[f"{column}/flattened_data"][:] for column in ("table_key", "row_in_table"))
    with h5py.File(hit) as file:
        energies = {rawid: file[f"ch{rawid}/hit/cuspEmax_ctc_cal"][:] for rawid in geds}
    found: list[dict[int, float]] = []
    for first, last in zip([0, *ends[:-1]], ends, strict=True):
        seen = {int(rawids[n]): int(rows[n]) for n in range(first, last) if int(rawids[n]) in energies}
        above = {rawid: float(energies[rawid][row]) for rawid, row in seen.items()}
        found.append({rawid: energy for rawid, energy in above.items() if energy > 25})
    return found


@pytest.mark.parametrize("given", [("par_hit",), ("par_hit", "tier_hit")])
def test_our_events_and_skims_of_a_production_of_theirs_have_its_energies(
    given: tuple[str, ...], physics: Physics, tmp_path: Path
) -> None:
    """Their parameters, or their hit files as well, through ``paths``; they are read and stay as they are."""
    before = {path: path.stat().st_mtime_ns for path in physics.theirs.rglob("*")}
    places = {"par_hit": physics.theirs / "par/hit", "tier_hit": physics.theirs / "tier/hit"}
    cycle = physics.cycle(tmp_path / "events", **{name: places[name] for name in given})
    opened = open_cycle(cycle / "config.json")
    (skim,) = opened.units.of(opened.step("tier_skm"))
    made(cycle, "tier_skm", skim)
    job = opened.job("tier_evt", physics.key)
    geds = [channel.rawid for channel in job.channels if channel.system == "geds" and channel.rawid is not None]
    theirs = next(physics.theirs.glob("tier/hit/phy/p03/r000/*.lh5"))
    expected = energies_by_event(job.inputs["tcm"][0], theirs, geds)
    alone: list[float] = []
    with h5py.File(job.outputs["tier"]) as file:
        node = file["evt/geds"]
        ends = node["rawid/cumulative_length"][:]
        rawids, energies = (node[f"{name}/flattened_data"][:] for name in ("rawid", "energy"))
        sums, counts, is_pulser = node["energy_sum"][:], node["multiplicity"][:], file["evt/coincident/puls"][:]
    assert len(ends) == len(expected) > 100
    for number, (first, last) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        found = dict(zip(map(int, rawids[first:last]), map(float, energies[first:last]), strict=True))
        assert found == pytest.approx(expected[number], rel=2e-6, abs=1e-3)
        assert (counts[number], sums[number]) == (len(found), pytest.approx(sum(found.values()), rel=1e-5))
        alone += found.values() if len(found) == 1 and not is_pulser[number] else []
    with h5py.File(opened.job("tier_skm", skim).outputs["tier"]) as file:
        kept = file["skm/geds/energy/flattened_data"][:]
    assert len(kept) > 50
    np.testing.assert_array_equal(kept, np.array(alone, kept.dtype))
    assert {path: path.stat().st_mtime_ns for path in physics.theirs.rglob("*")} == before


FILE_DB = """
import json, sys
from pygama.flow import FileDB, DataLoader
config = json.loads(sys.argv[1])
db = FileDB(config)
db.scan_tables_columns()
loader = DataLoader({"filedb": config, "levels": {"hit": {"tiers": ["hit"]}}, "channel_map": {}}, db)
loader.set_files("all")
loader.set_datastreams([int(sys.argv[2])], "ch")
loader.set_output(columns=["cuspEmax_ctc_cal", "timestamp"], fmt="pd.DataFrame")
table = loader.load()
print(json.dumps({"files": len(db.df), "tables": sorted(map(int, db.df.hit_tables[0])),
                  "energies": [float(value) for value in table.cuspEmax_ctc_cal]}))
"""


def test_pygamas_file_database_and_loader_read_a_cycle(published: Published) -> None:
    job = published.job("tier_hit")
    form = "/{type}/{period}/{run}/{exp}-{period}-{run}-{type}-{timestamp}-tier_%s.lh5"
    tiers = ("raw", "dsp", "hit")
    config = {
        "data_dir": str(published.cycle / "generated/tier"),
        "tier_dirs": {tier: f"/{tier}" for tier in tiers},
        "file_format": {tier: form % tier for tier in tiers},
        "table_format": {tier: f"ch{{ch:07d}}/{tier}" for tier in tiers},
    }
    channel = next(each for each in job.channels if each.system == "geds" and each.processable)
    found = published.told(FILE_DB, json.dumps(config), channel.rawid)
    paths = sorted((published.cycle / "generated/tier/hit").rglob("*.lh5"))
    energies = [columns(path, f"ch{channel.rawid}/hit")["cuspEmax_ctc_cal"] for path in paths]
    assert found["files"] == len(paths) == 4
    assert found["tables"] == sorted(int(name[2:]) for name in h5py.File(job.outputs["tier"]) if name.startswith("ch"))
    np.testing.assert_array_equal(found["energies"], np.concatenate(energies).astype(float))


METADATA = """
import json, sys
from dbetto import TextDB
from legendmeta import LegendMetadata
root, time = sys.argv[1:]
channels = LegendMetadata(f"{root}/inputs", lazy=True).channelmap(time, "cal")
pars = TextDB(f"{root}/generated/par/hit").on(time)
print(json.dumps({"rawids": {name: each.daq.rawid for name, each in channels.items() if each.system == "geds"},
                  "curves": {name: dict(pars[name].pars.operations.cuspEmax_ctc_cal.parameters) for name in pars}}))
"""


def test_the_collaborations_metadata_readers_read_a_cycle(published: Published) -> None:
    found = published.told(METADATA, published.cycle, TIMESTAMP)
    job = published.job("tier_hit")
    assert found["rawids"] == {each.name: each.rawid for each in job.all_channels if each.system == "geds"}
    ours = yaml.safe_load(job.inputs["par_hit"][0].read_text())
    curves = {name: entry["pars"]["operations"].get("cuspEmax_ctc_cal") for name, entry in ours.items()}
    assert found["curves"] == {name: each["parameters"] for name, each in curves.items()}
