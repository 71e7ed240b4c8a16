"""Raw data of a detector whose charge, drift times, trapping and noise are known, and a cycle around them."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lh5
import numpy as np
import yaml
from lgdo import Array, ArrayOfEqualSizedArrays, Table, VectorOfVectors, WaveformTable

from dataflow.jobs.figures import plotdata
from dataflow.plan import open_cycle
from dataflow.registry.step import DATA

CAL = "l200-p03-r000-cal-20240301T080000Z"
SAMPLES, START, PERIOD = 4096, 1800, 16.0
TAU, GAIN = 250_000.0, 0.18
COUNTS = {238.632: 150, 583.187: 200, 727.33: 60, 860.557: 60, 2614.511: 250}
FLAT = 150
CHANNELS = {"V01A": ("geds", 1), "V02B": ("geds", 2), "PULS01": ("puls", 9)}


@dataclass(frozen=True)
class Truth:
    """What the pulses are made of: energies in keV, mean delays of the charge in ns, and which are the pulser's."""

    energy: Any
    delay: Any
    pulser: Any


def truth(seed: int = 1, *, counts: dict[float, int] | None = None, flat: int = FLAT) -> Truth:
    """Events of lines and a flat background in any order; every fiftieth one comes from the pulser."""
    rng = np.random.default_rng(seed)
    own = COUNTS if counts is None else counts
    energies = np.concatenate([*(np.full(count, line) for line, count in own.items()), rng.uniform(200, 2700, flat)])
    rng.shuffle(energies)
    energies = energies + rng.normal(0, np.sqrt(3.6e-4 * energies))
    drifts = rng.uniform(100, 1300, len(energies))
    pulser = np.arange(len(energies)) % 50 == 49
    return Truth(np.where(pulser, 2614.511, energies), drifts / 2, pulser)


def traces(of: Truth, *, trapping: float, noise: float, seed: int = 2) -> Any:
    """Charge that comes evenly over the drift time, behind a preamplifier, in ADC counts; shape (events, samples).

    Of each charge, 1/(1 + trapping · mean delay) is collected.
    """
    rng = np.random.default_rng(seed)
    times = (np.arange(SAMPLES) - START) * PERIOD
    drift = 2 * of.delay[:, None]
    rising = TAU / drift * (1 - np.exp(-np.clip(times, 0, None) / TAU))
    full = TAU / drift * (1 - np.exp(-drift / TAU))
    pulse = np.where(times < drift, rising, full * np.exp(-np.clip(times - drift, 0, None) / TAU))
    heights = of.energy / (1 + trapping * of.delay) / GAIN
    slow = np.cumsum(rng.normal(0, noise / 300, (len(drift), SAMPLES)), axis=1)
    return 15_000 + heights[:, None] * pulse + rng.normal(0, noise, pulse.shape) + slow


def write_raw(path: Path, tables: dict[str, tuple[Truth, Any]], *, daqenergy: bool = True) -> None:
    """A raw file; `daqenergy` has a resolution of 3 keV, or is 0 for all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for table, (of, values) in tables.items():
        rough = np.random.default_rng(5).normal(of.energy, 1.3) / GAIN * 1.43 * daqenergy
        columns = {
            "timestamp": Array(1.7e9 + np.arange(len(values), dtype="f8"), attrs={"units": "s"}),
            "baseline": Array(np.full(len(values), 15_000, dtype="u2")),
            "daqenergy": Array(rough.round().astype("u2")),
            "waveform": WaveformTable(
                values=ArrayOfEqualSizedArrays(nda=np.rint(values).clip(0, 65535).astype("u2")),
                dt=PERIOD, dt_units="ns", t0=0.0, t0_units="ns",
            ),
        }  # fmt: skip
        lh5.write(Table(col_dict=columns), table, str(path))


def write_tcm(path: Path, of: dict[int, Truth]) -> None:
    """A map in which every row is an event, with the pulser where it was the pulser's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    events: list[list[tuple[int, int]]] = []
    pulses = itertools.count()
    for rawid, each in of.items():
        for row, marked in enumerate(each.pulser):
            events.append([(rawid, row), (9, next(pulses))] if marked else [(rawid, row)])
    columns = {
        "table_key": VectorOfVectors([[rawid for rawid, _ in event] for event in events], dtype="int64"),
        "row_in_table": VectorOfVectors([[row for _, row in event] for event in events], dtype="int64"),
    }
    lh5.write(Table(col_dict=columns), "hardware_tcm_1", str(path), wo_mode="of")


def make_cycle(folder: Path, **rules: Any) -> Path:
    """A cycle with one calibration file of two detectors, to be filled, and the inputs of some rules."""
    (folder / "config.json").write_text(json.dumps({"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}}))
    channels = {name: {"name": name, "system": system, "daq": {"rawid": n}} for name, (system, n) in CHANNELS.items()}
    for place, content in (
        ("hardware/configuration/channelmaps", channels),
        ("datasets/statuses", {name: {"processable": True, "usability": "on"} for name in CHANNELS}),
        ("dataprod/config", _configured(folder, rules)),
    ):
        target = folder / "inputs" / place
        target.mkdir(parents=True, exist_ok=True)
        (target / "validity.yaml").write_text('[{valid_from: "20240101T000000Z", apply: [config.yaml]}]')
        (target / "config.yaml").write_text(yaml.safe_dump(content))
    daq = folder / f"generated/tier/daq/cal/p03/r000/{CAL}.fcio"
    daq.parent.mkdir(parents=True)
    daq.touch()
    return folder


def _configured(folder: Path, rules: dict[str, Any]) -> dict[str, Any]:
    target = folder / "inputs/dataprod/config"
    target.mkdir(parents=True)
    found: dict[str, Any] = {}
    for rule, inputs in rules.items():
        for name, content in inputs.items():
            (target / f"{rule}-{name}.yaml").write_text(yaml.safe_dump(content))
        found[rule] = {"inputs": {name: f"$_/{rule}-{name}.yaml" for name in inputs}}
    return {"snakemake_rules": found} if found else {}


def fill(folder: Path, events: dict[str, tuple[Truth, Any]], *, daqenergy: bool = True) -> None:
    """Write raw, tcm, and the decay constants."""
    cycle = open_cycle(folder / "config.json")
    tables = {f"ch{CHANNELS[name][1]:07d}/raw": each for name, each in events.items()}
    write_raw(cycle.job("tier_raw", CAL).outputs["tier"], tables, daqenergy=daqenergy)
    write_tcm(cycle.job("tier_tcm", CAL).outputs["tier"], {CHANNELS[name][1]: of for name, (of, _) in events.items()})
    outputs = cycle.job("par_dsp_pz", CAL).outputs
    outputs["par"].parent.mkdir(parents=True, exist_ok=True)
    plotdata.write(outputs[DATA], {})
    outputs["par"].write_text(yaml.safe_dump({name: {"pz": {"tau1": f"{TAU}*ns"}} for name in events}))
