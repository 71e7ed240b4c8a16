"""``dataprod demo``: the simulated experiment, from nothing to a table beside the truth."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from prodenv.base.caches import with_cache
from prodenv.base.errors import UserError
from prodenv.base.notes import step
from prodenv.cli.parsers import COMMANDS
from prodenv.cycles.find import CycleFolder

EXPERIMENT = "l200"
TRUTH = "generated/truth"
ESCAPES = "0.04"
"""Of the calibration events of the demo: its short runs would have too few for A/E and late charge."""
GEBOX = ("-P", "-m", "gebox")
"""The simulator, whatever modules lie in the folder that one stands in."""
_MISLEADING = ("PYTHONHOME", "PYTHONSTARTUP", "NUMBA_CACHE_DIR")
TARGETS = (f"all-{EXPERIMENT}-*-*-*-evt.gen", f"all-{EXPERIMENT}-*-*-phy-skm.gen")


def run(options: argparse.Namespace) -> int:
    """Run one of the demo's actions; returns the exit code."""
    return {"run": run_all, "check": check, "draw": draw}[options.action](options)


def run_all(options: argparse.Namespace) -> int:
    """Make cycle, software and data where they are missing, produce, and compare with the truth."""
    begin = time.monotonic()
    cycle = place_of(options.cycle)
    for stage in (make_cycle, install, simulate, produce, check):
        code = stage(options)
        if code:
            return code
    _places(cycle, time.monotonic() - begin)
    return 0


def place_of(rpath: str) -> Path:
    """Where the demo's cycle is: an existing folder as named, else relative to the production environment.

    Raises
    ------
    UserError
        If ``PRODENV`` is not set.
    """
    here = Path(rpath).resolve()
    if (here / "config.json").is_file():
        return here
    root = os.environ.get("PRODENV")
    if not root:
        raise UserError("PRODENV is not set", hint="source setup.sh of the production environment")
    return Path(root) / rpath


def make_cycle(options: argparse.Namespace) -> int:
    """Initialize the cycle with the metadata of the simulated experiment, unless it is there."""
    cycle = place_of(options.cycle)
    if (cycle / "config.json").is_file():
        _refuse_other(cycle)
        return 0
    with tempfile.TemporaryDirectory(prefix="gebox-") as folder:
        words = ["metadata", "--out", f"{folder}/inputs", "--seed", options.seed, "--scale", options.scale]
        with step("metadata of the simulated experiment"):
            words += ["--preset", options.preset, "--escapes", ESCAPES, "--training"]
            _quietly([sys.executable, *GEBOX, *words], _with_gebox())
        argv = ["init-cycle", options.cycle, "--setup", EXPERIMENT, "--metadata", f"{folder}/inputs"]
        with contextlib.redirect_stdout(io.StringIO()):  # what to do next is done next
            return _command(argv)


def install(options: argparse.Namespace) -> int:
    """Install the software of the cycle, unless it is there."""
    return _command(["install-sw", "--if-changed", str(place_of(options.cycle) / "config.json")])


def simulate(options: argparse.Namespace) -> int:
    """Write the DAQ files that are not there yet, the truth beside them."""
    cycle = place_of(options.cycle)
    daq, truth = cycle / "generated" / "tier" / "daq", cycle / TRUTH
    words = ["simulate", "--metadata", cycle / "inputs", "--daq", daq, "--truth", truth, "--jobs", options.jobs]
    return _gebox(cycle, words)


def produce(options: argparse.Namespace) -> int:
    """Fill the tiers."""
    return _command(["run", str(place_of(options.cycle)), *TARGETS, "-j", str(options.jobs)])


def check(options: argparse.Namespace) -> int:
    """Compare the cycle with the truth."""
    cycle = place_of(options.cycle)
    drawing = ["--draw", Path(options.draw).resolve()] if options.draw else []
    return _gebox(cycle, ["check", cycle, "--truth", cycle / TRUTH, *drawing])


def draw(options: argparse.Namespace) -> int:
    """Draw pictures of the simulated data."""
    cycle = place_of(options.cycle)
    CycleFolder(cycle, cycle / "config.json").refuse_frozen("drawing")
    out = cycle / "generated" / "plt" / "demo"
    return _gebox(cycle, ["draw", "--metadata", cycle / "inputs", "--out", out])


def _gebox(cycle: Path, words: Sequence[object]) -> int:
    """Run the simulator with the software of the cycle."""
    python = _install_of(cycle) / "bin" / "python"
    if not python.exists():
        raise UserError(f"no software is installed for {cycle}", hint=f"run dataprod-install-sw {cycle}/config.json")
    return subprocess.run([str(python), *GEBOX, *map(str, words)], env=_with_gebox(), check=False).returncode


def _install_of(cycle: Path) -> Path:
    from prodenv.cycles.setups import read_setup

    return read_setup(cycle / "config.json").path("install")


def _with_gebox() -> dict[str, str]:
    """The environment of the simulator: what leads the user's own Python elsewhere does not reach it."""
    source = Path(__file__).resolve().parents[4] / "demo" / "src"
    kept = {name: value for name, value in with_cache(os.environ).items() if name not in _MISLEADING}
    return kept | {"PYTHONPATH": str(source)}


def _quietly(argv: Sequence[str], environ: dict[str, str]) -> None:
    done = subprocess.run([str(word) for word in argv], env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(done.stderr.strip().removeprefix("error: ") or "the simulator failed")


def _command(argv: list[str]) -> int:
    from prodenv.cli import main

    command = COMMANDS[argv[0]]
    return main.run(command, command.parse(argv[1:]))


def _refuse_other(cycle: Path) -> None:
    if not (cycle / "inputs" / "experiment.yaml").is_file():
        raise UserError(f"{cycle} is a cycle, but not one of the demo", hint="name another one: dataprod demo run PATH")


def _places(cycle: Path, seconds: float) -> None:
    print(f"\nThe demo is done ({seconds:.0f} s). Look at")
    for place, what in (
        ("generated/tier/evt", "events of all runs; the other tiers are beside them"),
        ("generated/plt/hit", "figures of quality cuts, energy calibration, A/E and late charge, a page a detector"),
        ("generated/plt/dsp", "figures of decay constants, filter times and the correction for trapping"),
        ("generated/par/hit", "calibration parameters, and validity.yaml: which hold when"),
        (TRUTH, "the truth: every event and every gain as simulated"),
        ("dataflow", "the workflow: yours to change"),
    ):
        print(f"  {cycle / place}\n      {what}")
