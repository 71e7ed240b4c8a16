"""Quality cuts of the detectors of a run, or of a partition: reads dsp, hands on operations for hit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from dataflow.base.errors import UserError
from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.figures.page import text_page
from dataflow.jobs.lh5files import columns_of, read_many
from dataflow.keys.channel import Channel
from dataflow.metadata.expressions import parsed
from dataflow.physics.dsprows import dsp_rows
from dataflow.plan.job import Job

from .calibrate import ENERGY, SATURATED_LOW, TIME, calibrate
from .report import NO_EVENTS, absent_entry, entry, failed_entry
from .settings import Settings

NOISE = "noise"


def build(job: Job, threads: int = 1) -> None:
    """Derive the quality cuts of all detectors of a run, or of the runs of a partition together.

    Parameters
    ----------
    job
        Inputs ``dsp``, ``masks``, and ``noise`` (dsp of the run's ``fft`` files) where there is any; outputs ``par``
        and ``data``; ``qc_config`` is read for each detector.
    threads
        Worker processes over detectors.
    """
    channels = {channel.name: channel for channel in job.channels}
    settings = {name: job.config.settings("qc_config", Settings, channel) for name, channel in channels.items()}
    rows = dsp_rows(job)

    def work(channel: Channel) -> Made:
        from .figure import draw
        from .plotdata import plot_data

        name, own = channel.name, settings[channel.name]
        if rows.counts[name] == 0:  # the energy calibration warns of it
            return Made(absent_entry(), lambda: text_page(f"{name}: no quality cuts", f"{name}: {NO_EVENTS}"))
        wanted = wanted_columns(own)
        try:
            data = rows.read(name, wanted)
            found = calibrate(data, rows.accepted[name], noise_of(job, channel, wanted), own)
        except (WorkFailed, UserError) as error:
            # a detector without quality cuts can still be calibrated: it has not failed
            reason = error.message
            return Made(failed_entry(reason), lambda: text_page(f"{name}: no quality cuts", f"{name}: {reason}"))
        return Made(entry(found), lambda: draw(name, job.unit.name, found), lambda: plot_data(found))

    calibrate_detectors(job, list(channels.values()), work, threads)


def wanted_columns(settings: Settings) -> set[str]:
    """The columns of dsp that the cuts may need; names of other cuts are among them, and are no columns."""
    names = {ENERGY, TIME, *SATURATED_LOW}
    for _, _, cut in settings.all_cuts():
        names |= parsed(cut.quantity).names - (cut.parameters or {}).keys()
    return names


def noise_of(job: Job, channel: Channel, wanted: set[str]) -> Mapping[str, NDArray[Any]]:
    """Columns of the traces without pulses, empty where the run has none of this detector."""
    paths = job.inputs.get(NOISE, ())
    tables = {channel.name: job.tables_in(NOISE, channel)}
    names = sorted(columns_of(paths, tables)[channel.name] & wanted)
    found = read_many(paths, tables, names)[channel.name] if names else {}
    return found if any(len(values) for values in found.values()) else {}
