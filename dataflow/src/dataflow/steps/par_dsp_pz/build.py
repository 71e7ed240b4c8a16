"""Decay constants of the preamplifier, from the pulses' tails: of pzc data where the run has some, else of cal."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.base.errors import UserError
from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.lh5files import open_input, rows_by_file
from dataflow.keys.channel import Channel
from dataflow.physics.chains import PARTS, WHOLE, load, made_by, run_chain
from dataflow.physics.pulser import event_masks
from dataflow.plan.job import Job

from .calibrate import calibrate
from .result import DecayConstants
from .settings import PzSettings

log = logging.getLogger(__name__)

OUTPUTS = ("tail_slope", "trapTmax", "bl_std", "bl_slope", "n_sat_hi")
TRACES = ("bl_mean", "wf_presum")
"""What two decay constants are found from."""

Columns = dict[str, NDArray[Any]]
Rows = Mapping[str, tuple[Sequence[int], NDArray[np.bool_]]]
"""By detector: its number of rows in each file, and which of all are not pulser events."""


def build(job: Job, threads: int = 1) -> None:
    """Find the decay constants of each detector of a run.

    Parameters
    ----------
    job
        Inputs ``raw`` and ``masks``, and ``pzc`` where the run has such files; outputs ``par`` and ``data``;
        ``tau_config`` and ``processing_chain`` of the rule.
    threads
        Worker processes over detectors.
    """
    of_roles = {role: _rows(job, role) for role in ("pzc", "raw") if role in job.inputs}

    def work(channel: Channel) -> Made:
        from .figure import draw
        from .plotdata import plot_data

        settings = job.config.settings("tau_config", PzSettings, channel)
        result = decay_constants(job, channel, of_roles, settings)
        return Made(result.entry(), lambda: draw(channel.name, str(job.key), result), lambda: plot_data(result))

    load(job, (*OUTPUTS, *TRACES))
    calibrate_detectors(job, job.channels, work, threads)


def _rows(job: Job, role: str) -> Rows:
    tables = {channel.name: job.tables_in(role, channel) for channel in job.channels}
    counts = rows_by_file(job.inputs[role], tables)
    masks = event_masks(job, counts, job.inputs[role])
    return {name: (counts[name], masks[name].usable) for name in tables}


def decay_constants(job: Job, channel: Channel, of_roles: Mapping[str, Rows], settings: PzSettings) -> DecayConstants:
    """From the first of the roles that has enough tails; that others do not is a warning.

    Raises
    ------
    WorkFailed
        If none has.
    """
    reasons: list[str] = []
    for role, rows in of_roles.items():
        datatype = role if role != "raw" else job.key.datatype
        try:
            data, periods = tails(job, channel, role, rows[channel.name], settings)
            result = calibrate(data, periods, settings)
        except WorkFailed as error:
            if role == "raw":
                raise
            reasons.append(f"the {datatype} data of this run give no decay constant: {error.message}")
            continue
        return result.from_data(datatype, reasons)
    raise WorkFailed("; ".join(reasons))


def tails(
    job: Job, channel: Channel, role: str, rows: tuple[Sequence[int], NDArray[np.bool_]], settings: PzSettings
) -> tuple[Columns, tuple[float, float]]:
    """Run the chain on the first accepted waveforms of a role.

    Returns
    -------
    tuple
        Its columns; the sampling period of the tail and that of ``wf_presum``, in ns.

    Raises
    ------
    WorkFailed
        If the detector has no events.
    """
    chain = job.config.read("processing_chain", channel)
    if chain is None:
        raise UserError(f"there is no processing chain for the decay constant of {channel.name}")
    outputs = (*OUTPUTS, *_traces(chain, channel, settings))
    found: list[Columns] = []
    first, periods = 0, (0.0, 0.0)
    for path, table, count in zip(job.inputs[role], job.tables_in(role, channel), rows[0], strict=True):
        wanted = settings.n_events - sum(len(part["trapTmax"]) for part in found)
        chosen: NDArray[np.int64] = np.flatnonzero(rows[1][first : first + count])[: max(wanted, 0)]
        first += count
        if table is not None and len(chosen):
            part, periods = _processed(path, table, chosen, chain, outputs, channel.adc_bits)
            found.append(part)
    if not found:
        raise WorkFailed(f"{channel.name} has no events in this run")
    return {name: np.concatenate([part[name] for part in found]) for name in outputs}, periods


def _traces(chain: Mapping[str, Any], channel: Channel, settings: PzSettings) -> tuple[str, ...]:
    """The outputs for two decay constants, if they are wanted and the chain has them."""
    made = made_by(chain)
    missing = [name for name in TRACES if name not in made]
    if missing and settings.mode == "double":
        raise UserError(
            f"the processing chain of pars_dsp_tau has no {' and no '.join(missing)} for {channel.name}",
            hint="two decay constants are found from the traces wf_presum and their baseline bl_mean",
        )
    return () if missing or settings.mode == "single" else TRACES


def _processed(
    path: Path,
    table: str,
    chosen: NDArray[np.int64],
    chain: Mapping[str, Any],
    outputs: Sequence[str],
    adc_bits: int | None,
) -> tuple[Columns, tuple[float, float]]:
    wanted = [int(row) for row in chosen]
    result = run_chain(path, table, chain, {}, rows=wanted, outputs=outputs, adc_bits=adc_bits)
    with open_input(path) as file:
        traces = next((name for name in (WHOLE, PARTS[1]) if name in file[table]), WHOLE)
        period = float(file[f"{table}/{traces}/dt"][0])
    found = {name: np.asarray(result[name].nda) for name in outputs if name != "wf_presum"}
    if "wf_presum" not in outputs:
        return found, (period, period)
    traces = result["wf_presum"]
    return found | {"wf_presum": np.asarray(traces.values.nda)}, (period, float(traces.dt.nda[0]))
