"""Programs that a simulation flow needs and that no package index has: which of its steps are possible here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

from prodenv.cycles.published import form_of
from prodenv.cycles.setups import Setup, wrap

STEPS = ("vtx", "stp", "par", "opt", "hit", "evt", "cvt", "pdf")
"""The steps of the published simulation flow."""
PROGRAMS: Mapping[str, tuple[str, str]] = {
    "remage": ("stp", "put it on PATH, or name it in runcmd.remage"),
    "julia": ("par", "put it on PATH; without it, drift-time maps and pulse shapes must come with the metadata"),
}
"""The step that each program makes, and what to do without it."""


def possible_steps(setup: Setup, environ: Mapping[str, str] = os.environ) -> list[str]:
    """What is to be said of the steps of a simulation flow; nothing of other flows, nor of what a container has."""
    form = form_of(setup.path("dataflow"))
    if form is None or not form.simulation or setup.execenv.cmd:
        return []
    path = wrap(setup, ["true"], environ)[1].get("PATH", "")
    missing = {name: entry for name, entry in PROGRAMS.items() if shutil.which(name, path=path) is None}
    without = {step for step, _ in missing.values()}
    lines = [f"steps that are possible here: {', '.join(step for step in STEPS if step not in without)}"]
    lines += [
        f"not possible: {step}, which runs {name}: that is on no package index, and not here; {remedy}"
        for name, (step, remedy) in missing.items()
    ]
    return lines
