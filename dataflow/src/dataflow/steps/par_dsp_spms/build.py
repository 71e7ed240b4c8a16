"""The noise of each SiPM of a file, from its first traces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dataflow.base.errors import UserError
from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.jobs.lh5files import rows_by_file
from dataflow.keys.channel import Channel
from dataflow.physics.chains import made_by, run_chain
from dataflow.plan.job import Job

from .calibrate import Noise, noise_of
from .figure import draw
from .plotdata import plot_data
from .settings import NoiseSettings

CURRENTS = ("wf_trap", "wf_current")
"""The filtered trace in the shipped chain, and in that of the published flow."""
FORGETS = 288.0
"""Nanoseconds after which two samples of the filtered trace have nothing in common."""


def build(job: Job, threads: int = 1) -> None:
    """Find the noise of each SiPM of a file.

    Parameters
    ----------
    job
        Input ``raw``; outputs ``par``, ``plt`` and ``data``; ``processing_chain`` and ``settings`` of the rule.
    threads
        Worker processes over channels.
    """
    settings = job.config.settings("settings", NoiseSettings)

    def work(channel: Channel) -> Made:
        tables = job.tables_in("raw", channel)
        (rows,) = rows_by_file(job.inputs["raw"], {channel.name: tables})[channel.name]
        if not rows:
            return Made({})
        found = _noise(job, channel, min(rows, settings.n_events), settings)
        return Made(found.entry(), plot_data=lambda: plot_data(found))

    calibrate_detectors(job, job.channels, work, threads, overview=lambda pars: draw(str(job.key), pars))


def _noise(job: Job, channel: Channel, rows: int, settings: NoiseSettings) -> Noise:
    chain = job.config.read("processing_chain", channel) or {}
    current = _current(chain, channel)
    (path,) = job.inputs["raw"]
    found = run_chain(
        path, job.table("raw", channel), chain, {}, rows=range(rows), outputs=(current,), adc_bits=channel.adc_bits
    )[current]
    lag = max(round(FORGETS / float(found.dt.nda[0])), 1)
    return noise_of(np.asarray(found.values.nda), lag, settings.least)


def _current(chain: Mapping[str, Any], channel: Channel) -> str:
    made = made_by(chain)
    for name in CURRENTS:
        if name in made:
            return name
    raise UserError(
        f"the processing chain of pars_spms_dsp_trg_thr has no {' or '.join(CURRENTS)} for {channel.name}",
        hint="that is the filtered trace whose noise is wanted",
    )
