"""The experiment as a whole, from its seed; and the short file that remembers how it was made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from gebox.errors import UserError
from gebox.experiment.constants import constants
from gebox.experiment.layouts import layout
from gebox.experiment.model import Constants, DaqFile, Detector, Layout
from gebox.experiment.schedule import blocks, files
from gebox.writing import write_yaml

PRESETS = ("small", "full")
TH228 = "Th228"
SOURCES = (TH228, "Co60", "Eu152", "Ba133", "Am241", "K40", "Cs137", "Na22")
"""Calibration sources, as :mod:`gebox.physics.decays` has them."""
THRESHOLDS = {"Eu152": 60.0, "Ba133": 40.0, "Am241": 12.0}
"""Trigger threshold in keV of calibration data, where the source has low lines."""
RECORD = "experiment.yaml"
REMARK = "What this simulated experiment was made from."


@dataclass(frozen=True)
class Experiment:
    """Everything that follows from seed, scale, preset and calibration source.

    `training` says whether labelled traces, with which a machine is trained that labels traces, belong to it.
    """

    seed: int
    scale: float
    preset: str
    source: str = TH228
    escapes: float = 0.0
    training: bool = False

    @cached_property
    def layout(self) -> Layout:
        """Detectors and channels."""
        return layout(self.preset)

    @cached_property
    def files(self) -> tuple[DaqFile, ...]:
        """All DAQ files, sorted by key."""
        number = len(self.layout.detectors)
        found = [
            file
            for block in blocks(self.preset)
            for file in files(block, number, self.scale, THRESHOLDS.get(self.source), self.escapes)
        ]
        return tuple(sorted(found, key=lambda file: file.key))

    def constants(self, detector: Detector, file: DaqFile) -> Constants:
        """The truth of a detector while a file was taken."""
        return constants(self.seed, detector, file.period, file.run)

    def runs(self) -> dict[tuple[str, str], list[DaqFile]]:
        """Files by period and run, in order of time."""
        found: dict[tuple[str, str], list[DaqFile]] = {}
        for file in sorted(self.files, key=lambda file: file.start):
            found.setdefault((file.period, file.run), []).append(file)
        return dict(sorted(found.items()))


def build(
    *,
    seed: int = 1,
    scale: float = 1.0,
    preset: str = "small",
    source: str = TH228,
    escapes: float = 0.0,
    training: bool = False,
) -> Experiment:
    """Make an experiment.

    Parameters
    ----------
    escapes
        Share of the events of calibrations that are chosen to be double escapes of 208Tl's 2614.5 keV line.
    training
        Whether labelled traces belong to it.

    Raises
    ------
    UserError
        When preset or source is unknown, the scale is not positive, or there can be no such share of double escapes.
    """
    if preset not in PRESETS:
        raise UserError(f"there is no preset {preset!r}; there are {', '.join(PRESETS)}")
    if source not in SOURCES:
        raise UserError(f"there is no source {source!r}; there are {', '.join(SOURCES)}")
    if not 0.0 < scale <= 10_000.0:
        raise UserError(f"a scale of {scale} makes no sense; it multiplies the number of events", hint="try 0.1")
    if not 0.0 <= escapes < 1.0:
        raise UserError(f"a share of {escapes} double escapes makes no sense", hint="try 0.04")
    if escapes and source != TH228:
        raise UserError(f"{source} has no double escapes to choose", hint=f"leave --escapes out, or take {TH228}")
    return Experiment(seed, scale, preset, source, escapes, training)


def save(experiment: Experiment, folder: Path) -> None:
    """Write ``experiment.yaml``: what the metadata in `folder` was made from."""
    content: dict[str, Any] = {"seed": experiment.seed, "scale": experiment.scale, "preset": experiment.preset}
    if experiment.source != TH228:
        content["source"] = experiment.source
    if experiment.escapes:
        content["escapes"] = experiment.escapes
    if experiment.training:
        content["training"] = True
    write_yaml(folder / RECORD, content, comment=REMARK)


def recorded(folder: Path) -> dict[str, Any]:
    """The content of ``experiment.yaml``.

    Raises
    ------
    UserError
        When there is no such file or it cannot be understood.
    """
    path = folder / RECORD
    if not path.is_file():
        hint = "make the metadata first: python -m gebox metadata --out DIR"
        raise UserError(f"{folder} is not the metadata of a simulated experiment: it has no {RECORD}", hint=hint)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not {"seed", "scale", "preset"} <= content.keys():
        raise UserError(f"{path} lacks seed, scale or preset", hint="make the metadata again with the same seed")
    return content


def load(folder: Path, *, scale: float | None = None) -> Experiment:
    """The experiment that the metadata in `folder` belongs to, if wanted at another scale."""
    content = recorded(folder)
    wanted = float(content["scale"]) if scale is None else scale
    return build(
        seed=int(content["seed"]),
        scale=wanted,
        preset=str(content["preset"]),
        source=str(content.get("source", TH228)),
        escapes=float(content.get("escapes", 0.0)),
        training=bool(content.get("training", False)),
    )
