"""``dataprod notebook CYCLE``: JupyterLab, or a kernel, with the software of a cycle."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from prodenv.base.files import write_text
from prodenv.base.places import ROOT
from prodenv.base.processes import call
from prodenv.cycles.find import CycleFolder, find_cycle
from prodenv.cycles.setups import Setup, setup_of, wrap
from prodenv.software.jupyter import jupyter_of

VARIABLE = "DATAPROD_CYCLE"
"""Names the cycle to notebooks."""
_UNFIT = re.compile(r"[^a-z0-9._-]+")


def run(options: argparse.Namespace) -> int:
    """Install a kernel, or become JupyterLab."""
    cycle = find_cycle(options.cycle)
    setup = setup_of(cycle, options.setup)
    if not options.kernel:
        open_lab(cycle, setup, options.words)
    return install_kernel(cycle, jupyter_of(setup, "ipykernel"), setup.experiment)


def open_lab(cycle: CycleFolder, setup: Setup, words: Sequence[str]) -> NoReturn:
    """Replace this process by JupyterLab."""
    environ = dict(os.environ) | {VARIABLE: str(cycle.root), "PRODENV": str(ROOT)}
    words = [str(jupyter_of(setup, "jupyterlab")), "-m", "jupyterlab", *words]
    argv, environ = wrap(setup, words, environ, interactive=True, tty=sys.stdin.isatty() and sys.stdout.isatty())
    sys.stdout.flush()
    os.execvpe(argv[0], argv, environ)  # noqa: S606 - a list, no shell


def install_kernel(cycle: CycleFolder, python: Path, experiment: str) -> int:
    """Let the Jupyter of this user have a kernel for a cycle; returns the exit code."""
    name = kernel_name(cycle.name)
    words = [str(ROOT / "bin" / "dataprod-load-sw"), f"--setup={experiment}", str(cycle.config), str(python)]
    content = {
        "argv": [*words, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": cycle.name,
        "language": "python",
        "env": {VARIABLE: str(cycle.root), "PRODENV": str(ROOT)},
    }
    with tempfile.TemporaryDirectory(prefix="prodenv-kernel-") as folder:
        write_text(Path(folder) / "kernel.json", json.dumps(content, indent=1) + "\n")
        install = [str(python), "-m", "jupyter_client.kernelspecapp", "install", "--user", "--name", name, folder]
        call(install, what="installing the kernel")
    print(f"kernel {cycle.name!r} is installed as {name}; it goes with: jupyter kernelspec remove {name}")
    return 0


def kernel_name(cycle: str) -> str:
    """The name of a cycle as Jupyter takes names of kernels."""
    return "dataprod-" + _UNFIT.sub("-", cycle.lower()).strip("-.")
