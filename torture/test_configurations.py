"""Broken and hostile configuration and metadata: a sentence or a plan, and nothing outside is touched."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from torture import mutations
from torture.children import Ending, in_child
from torture.conftest import SEED, Experiment, bare_cycle, size

from dataflow.base.errors import UserError
from dataflow.plan import open_cycle
from dataflow.registry.steps import STEPS
from dataflow.setup.execenv import wrap

if TYPE_CHECKING:
    from torture.conftest import Note

CASES = size("CONFIGS", 500)
SECONDS = 60
MEMORY = 6 * 1024**3
"""Bytes of address space: an alias bomb hits it before it hits the machine."""
SAID = 2
"""What a child returns when a sentence was said."""


def hostile_cycle(folder: Path, experiment: Experiment) -> Path:
    """A cycle that uses everything that can be configured, so that there is much to break."""
    config = bare_cycle(folder, experiment, *sorted(experiment.daq.rglob("*.fcio")))
    paths = {"tier": "$_/generated/tier", "tier_hit": "$_/generated/tier/hit", "par_hit": "generated/par/hit"}
    setup = {
        "paths": paths,
        "execenv": {"bare": {"env": {"A": "$HOME"}}, "box": {"cmd": "apptainer run", "arg": "$_/image.sif"}},
        "table_format": {"raw": "ch{ch:07d}/raw", "hit": "ch{ch:07d}/hit"},
        "pkg_versions": {"dspeed": "==2.1"},
        "settings": {"tier_dsp": {"buffer_len": 100}},
        "failing_channels": "record",
    }
    config.write_text(json.dumps({"setups": {"l200": setup}}, indent=1))
    inputs = folder / "inputs"
    rules = {
        "tier_dsp": {"inputs": {"processing_chain": {"__default__": "$_/chain.yaml"}}, "options": {}},
        "pars_hit_ecal": {"inputs": {"ecal_config": ["$_/ecal.yaml", "$_/ecal.yaml"]}},
    }
    _write(inputs / "dataprod/config/l200-all-config.yaml", {"snakemake_rules": rules})
    _write(inputs / "dataprod/config/chain.yaml", {"outputs": ["a"], "processors": {"a": {"function": "b"}}})
    _write(inputs / "dataprod/config/ecal.yaml", {"energy_params": ["cuspEmax"], "threshold": 100})
    for tier in ("dsp", "hit"):
        override = [{"valid_from": "20240301T080000Z", "category": "all", "mode": "reset", "apply": ["o.yaml"]}]
        _write(inputs / f"dataprod/overrides/{tier}/validity.yaml", override)
        _write(inputs / f"dataprod/overrides/{tier}/o.yaml", {"V01001A": {"pz": {"tau1": "400*us"}}})
    return config


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def plan_and_read(config: Path) -> int:
    """Plan every job of a cycle, and read all that a running job would read of its configuration."""
    try:
        cycle = open_cycle(config)
        wrap(cycle.setup, ["true"], dict(os.environ))
        for step in STEPS:
            for unit in (units := cycle.units.of(step))[:1] + units[1:][-1:]:
                _job(config, step.name, str(unit))
        for tier in ("dsp", "hit"):
            cycle.validity(tier)
    except UserError as error:
        sys.stderr.write(error.render())
        return SAID
    return 0


def _job(config: Path, step: str, key: str) -> None:
    cycle = open_cycle(config)
    try:
        job = cycle.job(step, key)
    except UserError as error:
        if "is not made for" in error.message:  # a calibration step, a physics file
            return
        raise
    cycle.recipe(step, key)
    for name in job.config.inputs:
        job.config.everything(name)
        for channel in job.channels:
            job.config.read(name, channel)
    for tier in ("raw", "hit"):
        for channel in job.channels:
            job.table(tier, channel)
    for role, files in job.overrides_of.items():
        if files and not job.inputs.get(role):
            job.pars(role)


def limited(config: Path) -> int:
    """As :func:`plan_and_read`, without the memory to go astray."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    return plan_and_read(config)


def contents(folder: Path) -> dict[str, bytes | str]:
    """All that is in a folder, but for DAQ files."""
    found = sorted(
        path for path in folder.rglob("*") if path.suffix != ".fcio" and (path.is_symlink() or not path.is_dir())
    )
    return {str(path): str(path.readlink()) if path.is_symlink() else _bytes(path) for path in found}


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() and path.stat().st_mode & 0o400 else b""


def test_broken_and_hostile_configurations(experiment: Experiment, tmp_path: Path, figures: Note) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "file.yaml").write_text("secret: 1\n")
    whole = hostile_cycle(tmp_path / "whole", experiment)
    ending = in_child(lambda: plan_and_read(whole), SECONDS)
    assert ending.code == 0, ending.said
    outcomes: Counter[str] = Counter()
    wrong = []
    for case in range(CASES):
        draw = random.Random(f"{SEED}/{case}")
        cycle = tmp_path / "cycle"
        shutil.copytree(whole.parent, cycle, copy_function=os.link)
        for path in cycle.rglob("*"):
            _own(path)
        what = mutations.mutate(cycle, draw, canary, draw.choice((1, 1, 1, 3)))
        before = contents(tmp_path)
        ending = in_child(partial(limited, cycle / "config.json"), SECONDS)
        verdict = _verdict(ending)
        if contents(tmp_path) != before:
            verdict += " something was written"
        outcomes["refused" if ending.code == SAID else "planned" if ending.code == 0 else "wrong"] += 1
        if verdict:
            wrong.append(f"case {case}: {what}: {verdict}")
        shutil.rmtree(cycle)
    figures(cases=CASES, wrong=len(wrong), outcomes=dict(outcomes))
    assert wrong == [], "\n".join(wrong)


def _own(path: Path) -> None:
    """Let a metadata file be not a hard link: it will be changed in its place."""
    if path.is_file() and mutations.is_text(path):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)


def _verdict(ending: Ending) -> str:
    if ending.hung:
        return f"hangs for {SECONDS} s"
    if ending.code == 0 or (ending.code == SAID and ending.said.startswith("error: ")):
        return ""
    return f"ended with {ending.code}: {ending.said[-1500:]}"
