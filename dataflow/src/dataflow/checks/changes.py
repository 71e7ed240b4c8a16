"""``python -m dataflow.checks.changes --out FOLDER``: what changed between two cycles, as pictures."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from dataflow.jobs.atomic import whole_files

mpl.use("Agg")

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
LARGEST = 60
"""Points of one picture; more are spread over several."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the changes that stand on the standard input as JSON; prints the names of the pictures as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m dataflow.checks.changes", description="Draw changes of a comparison."
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    options = parser.parse_args(arguments)
    document = json.load(sys.stdin)
    json.dump(draw(document["physics"], options.out, document["a"], document["b"]), sys.stdout)
    return 0


def draw(changes: Sequence[dict[str, Any]], folder: Path, a: str, b: str) -> list[str]:
    """One PNG a quantity: both values with their errors by detector and run, and their difference below.

    Parameters
    ----------
    changes
        As :class:`prodenv.comparison.physics.Change` in a mapping.
    folder
        Where the pictures go.
    a, b
        What the cycles are called.

    Returns
    -------
    list of str
        Names of the files.
    """
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for change in changes:
        groups[change["quantity"]].append(change)
    made = []
    for quantity, group in sorted(groups.items()):
        ordered = sorted(group, key=lambda change: (change["run"], change["detector"]))
        for page in range(0, len(ordered), LARGEST):
            number = f"-{page // LARGEST + 1}" if len(ordered) > LARGEST else ""
            name = f"{_UNSAFE.sub('_', quantity).strip('_')}{number}.png"
            with whole_files({"png": folder / name}) as parts:
                _picture(ordered[page : page + LARGEST], quantity, parts["png"], a, b)
            made.append(name)
    return made


def _picture(group: Sequence[dict[str, Any]], quantity: str, path: Path, a: str, b: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(6.0, 0.25 * len(group) + 2), 6), layout="constrained")
    FigureCanvasAgg(figure)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    place = np.arange(len(group))
    for side, name, shift, marker in (("a", a, -0.12, "o"), ("b", b, 0.12, "s")):
        top.errorbar(place + shift, _values(group, side), _errors(group, side), fmt=marker, ms=4, capsize=2, label=name)
    total = np.hypot(_errors(group, "a"), _errors(group, "b"))
    bottom.errorbar(place, _values(group, "b") - _values(group, "a"), total, fmt="k.", capsize=2)
    bottom.axhline(0, color="grey", lw=0.8)
    bottom.set_xticks(place, [f"{change['detector']} {change['run']}" for change in group], rotation=90, fontsize=6)
    top.set_title(quantity, fontsize=9)
    top.legend(fontsize=8)
    unit = next((change["a"]["unit"] for change in group if change["a"].get("unit")), "")
    top.set_ylabel(unit)
    bottom.set_ylabel(f"B - A ({unit})" if unit else "B - A")
    figure.savefig(path, dpi=120)


def _values(group: Sequence[dict[str, Any]], side: str) -> np.ndarray[Any, Any]:
    return np.asarray([change[side]["value"] for change in group], dtype=float)


def _errors(group: Sequence[dict[str, Any]], side: str) -> np.ndarray[Any, Any]:
    return np.asarray([change[side]["error"] or 0.0 for change in group], dtype=float)


if __name__ == "__main__":
    sys.exit(main())
