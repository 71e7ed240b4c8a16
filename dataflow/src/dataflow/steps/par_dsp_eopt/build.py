"""Filters of least line width of the detectors of a run: reads the events of lines, hands on times and corrections."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dataflow.base.errors import UserError
from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.jobs.errors import BadInput, WorkFailed
from dataflow.jobs.figures.page import text_page
from dataflow.jobs.policy import failure_of
from dataflow.keys.channel import Channel
from dataflow.metadata.merge import merged_all
from dataflow.physics.chains import continue_chain, load, made_by
from dataflow.physics.noisetraces import nanoseconds
from dataflow.plan.job import Job
from dataflow.steps.par_dsp_evtsel.result import ENTRY, lines_of, reason_of

from .calibrate import Columns, Sample, calibrate
from .result import DRIFT, failed_entry
from .settings import EoptSettings

NOT_WANTED = "optimiser_config.run_eopt is false: the times of least noise, or those of the chain, hold"
ENERGIES = tuple(f"{name}{kind}" for name in ("cusp", "zac", "trap") for kind in ("Emax", "Eftp"))
NEEDED = (DRIFT, "tp_0_est")


def build(job: Job, threads: int = 1) -> None:
    """Optimise the filters of each detector of a run.

    Parameters
    ----------
    job
        Inputs ``peaks``, ``evtsel``, ``pz`` and ``nopt``, outputs ``par`` and ``data``; ``optimiser_config`` and
        ``processing_chain`` of the rule. A detector without events of lines keeps the parameters that it has, and the
        reason is in its entry.
    threads
        Worker processes over detectors.
    """
    pz, evtsel, nopt = job.pars("pz"), job.pars("evtsel"), job.pars("nopt")

    def work(channel: Channel) -> Made:
        from .figure import draw
        from .plotdata import plot_data

        name = channel.name
        settings = job.config.settings("optimiser_config", EoptSettings, channel)
        if not settings.run_eopt:
            return _not_done(name, NOT_WANTED, wanted=False)
        if why := failure_of(pz.get(name)):
            raise WorkFailed(f"there is no decay constant: {why}")
        if why := failure_of(evtsel.get(name)) or reason_of(evtsel.get(name)):
            return _not_done(name, why)
        entry = evtsel[name]
        chain = _chain(job, channel)
        (path,) = job.inputs["peaks"]
        table = _events(path, name)
        try:
            sample = sample_of(table, chain, pz[name])
            reference = float(entry[ENTRY]["reference_energy"])

            def energies(filters: Mapping[str, Mapping[str, str]]) -> Columns:
                wanted = [each for each in ENERGIES if each in made_by(chain)]
                pars = merged_all([nopt.get(name) or {}, pz[name], filters])
                found = continue_chain(table, chain, pars, wanted)
                return {each: np.asarray(found[each].nda) for each in wanted}

            result = calibrate(sample, lines_of(entry), reference, energies, settings)
        except WorkFailed as error:
            return _not_done(name, error.message)
        return Made(result.entry(), lambda: draw(name, str(job.key), result), lambda: plot_data(result))

    load(job, ENERGIES)
    calibrate_detectors(job, job.channels, work, threads)


def _not_done(name: str, why: str, *, wanted: bool = True) -> Made:
    return Made(failed_entry(why, wanted=wanted), lambda: text_page(f"{name}: filters are not optimised", why))


def _chain(job: Job, channel: Channel) -> Mapping[str, Any]:
    chain = job.config.read("processing_chain", channel)
    if chain is None or not made_by(chain) & set(ENERGIES) or "wf_pz" not in made_by(chain):
        raise UserError(
            f"the processing chain of pars_dsp_eopt has no energies, or no wf_pz, for {channel.name}",
            hint=f"the energies are {', '.join(ENERGIES)}, the traces without decay wf_pz",
        )
    return chain


def _events(path: Path, name: str) -> Any:
    """The table of a detector's events.

    Raises
    ------
    BadInput
        If the file does not have it, though the parameter file says so.
    """
    import lh5

    try:
        return lh5.read(f"{name}/peaks", str(path))
    except (KeyError, lh5.exceptions.LH5DecodeError) as error:
        hint = "remove it, it is made again"
        raise BadInput(
            f"{path} has no events of {name}, of which par_dsp_evtsel says that it has", hint=hint
        ) from error


def sample_of(table: Any, chain: Mapping[str, Any], pars: Mapping[str, Any]) -> Sample:
    """The events as the optimisation takes them; the traces without decay are made by the chain.

    Raises
    ------
    WorkFailed
        If the selection's chain did not make what is needed.
    """
    missing = [name for name in NEEDED if name not in table]
    if missing:
        raise WorkFailed(f"the chain of par_dsp_evtsel makes no {' and no '.join(missing)}")
    start = np.asarray(table["tp_0_est"].nda, dtype=np.float64)
    top = np.asarray(table["tp_99"].nda, dtype=np.float64) if "tp_99" in table else np.full(len(start), np.nan)
    pz = continue_chain(table, chain, pars, ["wf_pz"])["wf_pz"]
    return Sample(
        table["wf_blsub"].values.nda,
        pz.values.nda,
        float(table["wf_blsub"].dt.nda[0]),
        nanoseconds(str(pars["pz"]["tau1"])),
        np.asarray(table["peak"].nda, dtype=np.float64),
        np.asarray(table["trapTmax_cal"].nda, dtype=np.float64),
        np.asarray(table[DRIFT].nda, dtype=np.float64),
        top - start,
        start,
    )
