"""The photo-electron scale of each SiPM of a run."""

from __future__ import annotations

import numpy as np

from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.jobs.figures.page import text_page
from dataflow.jobs.lh5files import read_many, rows_by_file
from dataflow.keys.channel import Channel
from dataflow.physics.rawtables import USUAL_BITS, highest_value
from dataflow.plan.job import Job

from .calibrate import Pulses, calibrate
from .figure import draw
from .settings import Settings

COLUMNS = ("trigger_pos", "energies", "n_pulses", "wf_max", "curr_fwhm")
NO_DATA = "no traces of this SiPM in the run"
NOT_WANTED = "spms_config.run_spms is false: energies stay in ADC counts"


def build(job: Job, threads: int = 1) -> None:
    """Calibrate the SiPMs of a run.

    Parameters
    ----------
    job
        Input ``dsp``; outputs ``par`` and ``plt``; ``spms_config`` of the rule.
    threads
        Worker processes over channels.
    """

    def work(channel: Channel) -> Made:
        settings = job.config.settings("spms_config", Settings, channel)
        tables = {channel.name: job.tables_in("dsp", channel)}
        there = sum(rows_by_file(job.inputs["dsp"], tables)[channel.name])
        why = NOT_WANTED if not settings.run_spms else "" if there else NO_DATA
        if why:
            return Made({}, lambda: text_page(f"{channel.name}  photo-electrons  {job.key}", why))
        result = calibrate(pulses_of(job, channel), settings)
        return Made(result.entry(), lambda: draw(channel.name, str(job.key), result, settings))

    calibrate_detectors(job, job.channels, work, threads)


def pulses_of(job: Job, channel: Channel) -> Pulses:
    """The pulses of a SiPM in all files of the run."""
    tables = {channel.name: job.tables_in("dsp", channel)}
    found = read_many(job.inputs["dsp"], tables, COLUMNS)[channel.name]
    times, heights, number, highest, noise = (np.asarray(found[name]) for name in COLUMNS)
    return Pulses(times, heights, number, highest, noise, highest_value(channel.adc_bits or USUAL_BITS))
