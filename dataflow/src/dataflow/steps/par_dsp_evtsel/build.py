"""Events of lines: reads raw, applies the chain to candidates, writes the selected events with their traces."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from lgdo import Array, ArrayOfEqualSizedArrays, Struct, Table, WaveformTable
from numpy.typing import NDArray

from dataflow.base.errors import UserError
from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.figures.page import text_page
from dataflow.jobs.lgdos import attributes
from dataflow.jobs.lh5files import column, open_input, rows_by_file
from dataflow.jobs.policy import failure_of
from dataflow.keys.channel import Channel
from dataflow.physics import densities
from dataflow.physics.chains import load, made_by, run_chain
from dataflow.physics.pulser import Mask, event_masks
from dataflow.physics.quality import clean
from dataflow.plan.job import Job

from .lines import Selection, selection_of
from .result import Result, failed_entry
from .select import Candidates, candidates, evenly, select
from .settings import SelectionSettings

log = logging.getLogger(__name__)

TRACE = "wf_blsub"
ENERGY = "trapTmax"
NEEDED = (TRACE, ENERGY)
WANTED = (
    *("timestamp", "pz_bl_std", "bl_std", "n_sat_lo", "n_sat_hi"),
    *("tp_0_est", "tp_10", "tp_50", "tp_90", "tp_99", "dt_eff"),
)
"""Columns that are kept where the chain has them."""
NOT_WANTED = "peak_config.run_selection is false: no events are selected"

Columns = dict[str, NDArray[Any]]


def build(job: Job, threads: int = 1) -> None:
    """Select the events of each detector of a run.

    Parameters
    ----------
    job
        Inputs ``raw``, ``masks`` and ``pz``; outputs ``par``, ``data`` and ``peaks``; ``peak_config``, ``sources`` and
        ``processing_chain`` of the rule. A detector whose lines do not stand out has no events, and the reason.
    threads
        Worker processes over detectors.
    """
    densities.load()
    tables = {channel.name: job.tables_in("raw", channel) for channel in job.channels}
    counts = rows_by_file(job.inputs["raw"], tables)
    masks = event_masks(job, counts)
    pars = job.pars("pz")

    def work(channel: Channel) -> Made:
        name = channel.name
        settings, selection = selection_of(job.config, channel)
        if not settings.run_selection:
            return Made(failed_entry(NOT_WANTED), lambda: text_page(f"{name}  events of lines", NOT_WANTED))
        if why := failure_of(pars.get(name)):
            raise WorkFailed(f"there is no decay constant: {why}")
        source = Traces(job, channel, counts[name], pars[name])
        try:
            return _made(source, masks[name].usable, settings, selection)
        except WorkFailed as error:
            reason = error.message
            return Made(failed_entry(reason), lambda: text_page(f"{name}: no events of lines", reason))

    load(job, (*NEEDED, *WANTED))
    calibrate_detectors(job, job.channels, work, threads)


class Traces:
    """The raw data of a detector in the files of a run, and the chain.

    Parameters
    ----------
    job
        With the input ``raw``.
    channel
        The detector.
    counts
        Its rows in each file.
    pars
        What is known of it for the chain.

    Raises
    ------
    UserError
        If the chain does not make what is needed.
    """

    def __init__(self, job: Job, channel: Channel, counts: Sequence[int], pars: Mapping[str, Any]) -> None:
        self.job, self.channel, self.pars = job, channel, pars
        chain = job.config.read("processing_chain", channel)
        made = made_by(chain or {})
        missing = [name for name in NEEDED if name not in made]
        if chain is None or missing:
            raise UserError(
                f"the processing chain of pars_dsp_peak_selection has no {' and no '.join(missing)} for {channel.name}",
                hint="the traces without baseline are wf_blsub, the energy by which events are selected is trapTmax",
            )
        self.chain = chain
        self.outputs = (*NEEDED, *(name for name in WANTED if name in made or name in chain["outputs"]))
        tables = job.tables_in("raw", channel)
        ends = np.cumsum([0, *counts])
        self.parts = [
            (path, table, int(first), int(last))
            for path, table, first, last in zip(job.inputs["raw"], tables, ends[:-1], ends[1:], strict=True)
            if table is not None and last > first
        ]
        self.rows = int(ends[-1])
        if not self.rows:
            raise WorkFailed(f"{channel.name} has no events in this run")

    def raw(self, name: str) -> NDArray[np.float64] | None:
        """A column of raw, shape (rows,); None if a file does not have it."""
        found = np.full(self.rows, np.nan)
        for path, table, first, last in self.parts:
            with open_input(path) as file:
                if name not in file[table]:
                    return None
                found[first:last] = column(file, table, name)
        return found

    def processed(self, rows: NDArray[np.int64], outputs: Iterable[str]) -> tuple[Columns, Mapping[str, Any]]:
        """Columns of the chain for some rows, sorted; and their attributes, of traces also ``dt`` in ns."""
        names = tuple(outputs)
        found: list[Columns] = []
        about: dict[str, Any] = {}
        for path, table, first, last in self.parts:
            own = rows[(rows >= first) & (rows < last)] - first
            if len(own):
                part = self._of_file(path, table, own, names)
                found.append({name: _values(part[name]) for name in names})
                about = {name: _about(part[name]) for name in names}
        return {name: np.concatenate([part[name] for part in found]) for name in names}, about

    def _of_file(self, path: Path, table: str, rows: NDArray[np.int64], names: Sequence[str]) -> Any:
        wanted, bits = [int(row) for row in rows], self.channel.adc_bits
        return run_chain(path, table, self.chain, self.pars, rows=wanted, outputs=names, adc_bits=bits)


def _values(node: Any) -> NDArray[Any]:
    return np.asarray(node.values.nda if isinstance(node, WaveformTable) else node.nda)


def _about(node: Any) -> dict[str, Any]:
    if isinstance(node, WaveformTable):
        return {**attributes(node.values), "dt": float(node.dt.nda[0])}
    return attributes(node)


def _made(source: Traces, usable: Mask, settings: SelectionSettings, selection: Selection) -> Made:
    from .figure import draw

    column_used, found = search(source, usable, settings, selection)
    data, about = source.processed(found.rows, source.outputs)
    good, _ = clean(data, np.ones(len(found.rows), dtype=bool), settings.quality_sigmas)
    chosen = select(data[ENERGY].astype(np.float64), found.energies, good, selection.lines)
    if len(chosen.place) == 0:
        raise WorkFailed("no event of a line is left after the cuts of quality")
    rejected, reference = int(np.count_nonzero(~good)), selection.source.reference_energy
    result = Result(column_used, selection.lines, found, chosen, rejected, reference)
    name, key = source.channel.name, str(source.job.key)
    events = {each: values[chosen.place] for each, values in data.items()}
    events |= {"peak": chosen.peak, f"{ENERGY}_cal": chosen.energies[chosen.place], "row": found.rows[chosen.place]}
    save = {"peaks": partial(write_events, name, events, about)}
    return Made(result.entry(), lambda: draw(name, key, result), save=save)


def search(source: Traces, usable: Mask, settings: SelectionSettings, selection: Selection) -> tuple[str, Candidates]:
    """The candidates, and the column by which they were found.

    Raises
    ------
    WorkFailed
        If the lines stand out in no energy.
    """
    rough = source.raw(settings.energy_param)
    if rough is not None:
        try:
            found = candidates(rough, usable, selection.lines, selection.source, settings.n_events)
        except WorkFailed as error:
            log.info("%s: %s: %s", source.channel.name, settings.energy_param, error.message)
        else:
            return settings.energy_param, found
    rows = evenly(np.flatnonzero(usable), settings.n_search)
    if len(rows) == 0:
        raise WorkFailed(f"none of {source.rows} events can be used")
    energies = np.full(source.rows, np.nan)
    energies[rows] = source.processed(rows, [ENERGY])[0][ENERGY]
    return ENERGY, candidates(energies, usable, selection.lines, selection.source, settings.n_events)


def write_events(
    name: str, events: Mapping[str, NDArray[Any]], about: Mapping[str, Mapping[str, Any]], path: Path
) -> None:
    """Write the table ``{name}/peaks``: columns with their attributes, and the traces with their sampling period."""
    import lh5

    content: dict[str, Any] = {
        each: Array(values, attrs=dict(about.get(each, {}))) for each, values in events.items() if each != TRACE
    }
    trace = {key: value for key, value in about[TRACE].items() if key != "dt"}
    values = ArrayOfEqualSizedArrays(nda=events[TRACE], attrs=trace)
    content[TRACE] = WaveformTable(values=values, dt=about[TRACE]["dt"], dt_units="ns", t0=0.0, t0_units="ns")
    lh5.write(Struct({"peaks": Table(content)}), name, str(path), wo_mode="of")
