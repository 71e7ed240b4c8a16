"""The machine that labels traces: trained once for all detectors that have the same training data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.figures.page import text_page
from dataflow.jobs.lh5files import first_rows
from dataflow.keys.channel import Channel
from dataflow.metadata.references import written
from dataflow.physics.svm import SAME_PERIOD, Model
from dataflow.plan.job import Job

from .calibrate import calibrate
from .result import Result, Trained
from .settings import SvmSettings
from .training import read_sample, shapes_of

NOT_CONFIGURED = "no training data are configured"
GROUP = "svm"
Shapes = tuple[NDArray[np.float32], float]


@dataclass(frozen=True)
class Training:
    """What the detectors of a run that share training data have: the machine, or why there is none."""

    group: str
    found: Trained | WorkFailed


def build(job: Job, threads: int = 1) -> None:
    """Train the machines of the detectors of a run.

    Parameters
    ----------
    job
        Input ``raw``; outputs ``par``, ``data`` and ``model``; ``svm_config`` and ``processing_chain`` of the
        rule. Detectors with the same training data, settings and chain share a machine.
    threads
        Worker processes over detectors.
    """
    trainings = trainings_of(job)

    def work(channel: Channel) -> Made:
        training = trainings.get(channel.name)
        if training is None:
            text = f"{NOT_CONFIGURED}: svm_label is NaN"
            return Made({}, partial(text_page, f"{channel.name}  support vector machine  {job.key}", text))
        if isinstance(training.found, WorkFailed):
            raise training.found
        return _made(job, channel, training.group, training.found)

    groups = {each.group: each.found for each in trainings.values()}
    models = [partial(write_model, name, made.model) for name, made in groups.items() if isinstance(made, Trained)]
    calibrate_detectors(job, job.channels, work, threads, shared={"model": models})


def trainings_of(job: Job) -> dict[str, Training]:
    """By detector, the training that it shares; without those that have no training data."""
    made: dict[tuple[SvmSettings, int], Training] = {}
    found = {}
    for channel in job.channels:
        settings = job.config.settings("svm_config", SvmSettings, channel)
        if settings.training_data is not None:
            chain = job.config.shared("processing_chain", channel) or {}
            place = settings, id(chain)
            if place not in made:
                made[place] = Training(f"model_{len(made)}", trained_by(settings, chain))
            found[channel.name] = made[place]
    return found


def trained_by(settings: SvmSettings, chain: Mapping[str, Any]) -> Trained | WorkFailed:
    """The machine of a configuration, or why there is none: that is said of each of its detectors."""
    try:
        sample = read_sample(Path(settings.training_data or ""), chain)
        test = read_sample(Path(settings.test_data), chain) if settings.test_data else None
        return calibrate(sample, test, settings)
    except WorkFailed as error:
        return error


def _made(job: Job, channel: Channel, group: str, trained: Trained) -> Made:
    from .figure import draw
    from .plotdata import plot_data

    settings = job.config.settings("svm_config", SvmSettings, channel)
    shapes, period = shapes_of_run(job, channel, settings.n_events, trained)
    result = Result(trained, period, shapes, trained.model.labels(shapes))

    def where(name: str) -> str:
        return written(job.outputs["model"], f"{GROUP}/{group}/{name}", job.outputs["par"].parent)

    return Made(result.entry(where), lambda: draw(channel.name, str(job.key), result), lambda: plot_data(result))


def shapes_of_run(job: Job, channel: Channel, wanted: int, trained: Trained) -> Shapes:
    """The shapes of the first traces of a detector in a run, and the period of the features in ns.

    Raises
    ------
    WorkFailed
        If they are of another form than those of the training.
    """
    chain = job.config.shared("processing_chain", channel) or {}
    parts = [
        shapes_of(path, table, chain, rows, channel.adc_bits)
        for path, table, rows in first_rows(job.inputs["raw"], job.tables_in("raw", channel), wanted)
    ]
    features, known = trained.sample.shapes.shape[1], trained.sample.period
    if not parts:
        return np.empty((0, features), np.float32), known
    shapes, period = np.concatenate([part for part, _ in parts]), parts[0][1]
    if shapes.shape[1] != features or abs(period / known - 1) > SAME_PERIOD:  # not known: nothing to compare
        raise WorkFailed(
            f"the traces of this run have {shapes.shape[1]} features of {period:g} ns,"
            f" those of the training data {features} of {known:g} ns"
        )
    return shapes[np.isfinite(shapes).all(axis=1)], period


def write_model(group: str, model: Model, path: Path) -> None:
    """Write the group ``svm/{group}`` with the arrays of a model, and gamma."""
    import lh5
    from lgdo import Array, Scalar, Struct

    content: dict[str, Any] = {name: Array(values, attrs={"units": "1"}) for name, values in model.arrays().items()}
    content["gamma"] = Scalar(model.gamma, attrs={"units": "1"})
    lh5.write(Struct({group: Struct(content)}), GROUP, str(path), wo_mode="of")
