"""Production environments with small finished cycles, made by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from dataflow.provenance.records import UNFINISHED, record_file

from ..control.conftest import ProdEnv, copy_of, stand_in_tools
from ..plan.conftest import Tree

CHANNELS = {"V02160A": 1104000, "V02160B": 1104001}
KEYS = (
    "l200-p03-r000-cal-20230311T235840Z",
    "l200-p03-r000-phy-20230312T043356Z",
    "l200-p03-r001-cal-20230317T211819Z",
)
ROWS = 20


@dataclass(frozen=True)
class Box:
    """A production environment and the cycles in it."""

    env: ProdEnv

    def dataprod(self, *words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``dataprod`` as a user would."""
        return self.env.run("dataprod", *words, cwd=cwd)

    def ok(self, *words: str | Path) -> str:
        """The output of a command that goes well."""
        done = self.dataprod(*words)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def json(self, *words: str | Path) -> Any:
        """The JSON document of a command that goes well."""
        return json.loads(self.ok(*words, "--json"))

    def cycle(self, name: str = "cycles/v01", keys: tuple[str, ...] = KEYS, *, imports: bool = False) -> Tree:
        """A finished cycle with software, metadata, and files of all tiers.

        Whether the software works is known without importing lgdo (1.8 s) if not said otherwise.
        """
        tree = Tree(self.env.root / name)
        tree.metadata()
        tree.daq(*keys)
        (tree.root / "dataflow").symlink_to("../../dataflow")
        works = "" if imports else 'case "$3" in *lgdo) exit;; esac\n'
        python = tree.write("software/python/install/bin/python", f'#!/bin/sh\n{works}exec {sys.executable} "$@"\n')
        python.chmod(0o755)
        for key in keys:
            fill(tree, key)
        tree.config = {"experiment": "l200", "paths": {}}
        tree.save()
        return tree


def place(tree: Tree, kind: str, tier: str, key: str, suffix: str = ".lh5") -> Path:
    """Where a file of a key belongs."""
    _, period, run, datatype, _ = key.split("-")
    path = tree.root / f"generated/{kind}/{tier}/{datatype}/{period}/{run}/{key}-{kind}_{tier}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def fill(tree: Tree, key: str, rows: int = ROWS) -> None:
    """Write the files of all tiers of a key: one row of each channel in each event."""
    times = np.arange(rows, dtype="float64") + 1e9
    for tier, columns in {
        "raw": ("timestamp", "baseline"),
        "dsp": ("timestamp", "e"),
        "hit": ("timestamp", "e_cal"),
    }.items():
        with h5py.File(place(tree, "tier", tier, key), "w") as file:
            file.attrs["datatype"] = f"struct{{{','.join(f'ch{rawid}' for rawid in CHANNELS.values())}}}"
            for rawid in CHANNELS.values():
                group = file.create_group(f"ch{rawid}")
                group.attrs["datatype"] = f"struct{{{tier}}}"
                write_table(group, tier, {name: times + (name != "timestamp") * rawid for name in columns})
    with h5py.File(place(tree, "tier", "tcm", key), "w") as file:
        file.attrs["datatype"] = "struct{hardware_tcm_1}"
        group = file.create_group("hardware_tcm_1")
        group.attrs["datatype"] = "table{table_key,row_in_table}"
        write_vectors(group, "table_key", np.tile(list(CHANNELS.values()), rows), len(CHANNELS))
        write_vectors(group, "row_in_table", np.repeat(np.arange(rows), len(CHANNELS)), len(CHANNELS))
    with h5py.File(place(tree, "tier", "evt", key), "w") as file:
        file.attrs["datatype"] = "struct{evt}"
        group = file.create_group("evt")
        group.attrs["datatype"] = "table{trigger,geds}"
        write_table(group, "trigger", {"timestamp": times})
        geds = group.create_group("geds")
        geds.attrs["datatype"] = "table{energy}"
        write_vectors(geds, "energy", np.ones(rows * len(CHANNELS)), len(CHANNELS))
    if key.split("-")[3] == "cal":
        place(tree, "par", "dsp", key, ".yaml").write_text(
            "V02160A: {pz: {tau1: 100*us}}\nV02160B: {pz: {tau1: 90*us}}\n"
        )
        place(tree, "par", "hit", key, ".yaml").write_text(json.dumps({name: hit_par() for name in CHANNELS}))


def hit_par(fwhm: float = 2.2, slope: float = 0.16) -> dict[str, Any]:
    """What a calibration leaves for a detector."""
    calibration = {"parameters": {"a": -0.2, "b": slope}, "uncertainties": {"a": 0.05, "b": 1e-5}}
    resolution = {"Qbb_fwhm_in_kev": fwhm, "Qbb_fwhm_err_in_kev": 0.02}
    operations = {"e_cal": {"expression": "a + b * e", "parameters": {"a": -0.2, "b": slope}}}
    fits = {
        "2614.511": {
            "position": 2614.5,
            "position_uncertainty": 0.02,
            "fwhm_in_kev": fwhm + 0.3,
            "fwhm_err_in_kev": 0.03,
        }
    }
    result = {"calibration": calibration, "eres_linear": resolution, "pk_fits": fits}
    return {"pars": {"operations": operations}, "results": {"ecal": {"e_cal": result}}}


def sipms(tree: Tree, key: str, gain: float, noise: float = 4.0) -> None:
    """What the SiPM of a run, and of a file, has from its own data."""
    found = {"results": {"spms": {"gain": gain, "gain_err": 0.1}}}
    place(tree, "par", "hit", key, "_spms.yaml").write_text(json.dumps({"S001": found}))
    noises = {"baseline_curr_fwhm": noise, "baseline_curr_fwhm_err": 0.02}
    place(tree, "par", "dsp", key, "_spms.yaml").write_text(json.dumps({"S001": noises}))


def mark_as_ours(root: Path) -> None:
    """Say of all outputs that a job of ours made them, or began to: without any record they are those of others."""
    for path in [*root.glob("generated/tier/*/*/*/*/*.lh5"), *root.glob("generated/par/*/*/*/*/*.yaml")]:
        mark = record_file(path, UNFINISHED)
        mark.parent.mkdir(exist_ok=True)
        mark.write_text("{}")


def write_table(parent: h5py.Group, name: str, columns: dict[str, Any]) -> None:
    """A table of flat columns as LH5 has it."""
    group = parent.create_group(name)
    group.attrs["datatype"] = f"table{{{','.join(columns)}}}"
    for column, values in columns.items():
        group.create_dataset(column, data=values, compression="gzip").attrs["datatype"] = "array<1>{real}"


def write_vectors(parent: h5py.Group, name: str, values: Any, length: int) -> None:
    """A column of vectors of one length as LH5 has it."""
    group = parent.create_group(name)
    group.attrs["datatype"] = "array<1>{array<1>{real}}"
    ends = np.arange(length, len(values) + 1, length, dtype="uint32")
    group.create_dataset("cumulative_length", data=ends).attrs["datatype"] = "array<1>{real}"
    group.create_dataset("flattened_data", data=values).attrs["datatype"] = "array<1>{real}"


@pytest.fixture
def box(repository: Path, tmp_path: Path) -> Box:
    """A production environment that can be used."""
    env = copy_of(repository, tmp_path / "prod env")
    stand_in_tools(env)
    return Box(env)


Snapshot = Callable[[Path], dict[str, Any]]


@pytest.fixture
def snapshot() -> Snapshot:
    """What a folder holds: names, contents, where links lead, and permissions; without Snakemake's book-keeping."""

    def take(folder: Path) -> dict[str, Any]:
        paths = (path for path in sorted(folder.rglob("*")) if ".snakemake" not in path.parts)
        return {str(path.relative_to(folder)): _seen(path) for path in paths}

    return take


def _seen(path: Path) -> Any:
    if path.is_symlink():
        return "->", str(path.readlink())
    mode = path.stat().st_mode & 0o777
    return (mode, path.read_bytes()) if path.is_file() else (mode, "folder")
