"""The figure of the noise of SiPMs: one page a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataflow.jobs.figures.grid import Grid
from dataflow.jobs.figures.page import BLUE, GREY, RED, Page, text_page

THRESHOLD = 2.5
"""Widths above which the chain takes a step for a pulse."""


def draw(key: str, pars: Mapping[str, Mapping[str, Any]]) -> Page:
    """The noise of all SiPMs, and the share of their traces without pulses; failed ones by name."""
    known = {name: entry for name, entry in pars.items() if "baseline_curr_fwhm" in entry}
    failed = {name: entry["status"]["reason"] for name, entry in pars.items() if "status" in entry}
    title = f"SiPM noise  {key}"
    if not known:
        said = "\n".join(f"{name}: {reason}" for name, reason in failed.items())
        return text_page(title, said or "no traces of SiPMs in this file")
    page = Page(title)
    grid = Grid(2, 1, left=0.06, right=0.985, bottom=0.12, top=0.91, hspace=0.06, heights=(3, 2))
    upper = page.panel(grid[0, 0])
    lower = page.panel(grid[1, 0], sharex=upper)
    places = range(len(known))
    widths, errors = ([entry[n] for entry in known.values()] for n in ("baseline_curr_fwhm", "baseline_curr_fwhm_err"))
    upper.errorbar(places, widths, errors, fmt="o", ms=4, color=BLUE, label="noise, FWHM")
    upper.plot(places, [THRESHOLD * width for width in widths], "_", ms=9, color=RED, label="threshold of pulses")
    upper.set(ylabel="step of the trace [ADC]", ylim=(0, None))
    upper.legend()
    lower.plot(places, [entry["quiet_fraction"] for entry in known.values()], "s", ms=4, color=GREY)
    lower.set(ylabel="parts without pulse", ylim=(0, 1.05))
    lower.set_ticks("x", places, list(known), rotation=90 if len(known) > 12 else 0)
    upper.style(labelbottom=False)
    if failed:
        said = "; ".join(f"{name}: {reason}" for name, reason in list(failed.items())[:4])
        upper.set(title=f"{len(failed)} failed: {said}")
        upper.style(title_color=RED)
    return page
