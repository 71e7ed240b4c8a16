"""The parameter file of a tier: what the steps of its calibration found, merged by detector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataflow.jobs.atomic import whole_files
from dataflow.jobs.parfiles import of_run, write_pars
from dataflow.metadata.merge import merged_all
from dataflow.metadata.references import moved
from dataflow.plan.job import Job

NOTES = ("status", "warnings")
"""What is not merged over what earlier steps say."""
WITH_PARS = ("par_hit", "par_pht")
"""Readers of the collaboration look for ``pars`` in each entry of these, also where nothing could be calibrated."""


def build(job: Job, threads: int = 1) -> None:
    """Merge the results of the steps in order.

    Parameters
    ----------
    job
        Its inputs are the steps' results, its output ``par``. A detector that failed in a step keeps what the other
        steps found, and the reason of the first failure; warnings are there by step. Of what a step found for a
        partition, that for the run is taken. Arrays in LH5 files are named as seen from the new file.
    threads
        Not used.
    """
    parts = {
        role: {name: of_run(entry or {}, job.key.run) for name, entry in job.pars(role).items()} for role in job.inputs
    }
    names = sorted({name for part in parts.values() for name in part})
    empty: dict[str, Any] = {"pars": {}} if job.step in WITH_PARS else {}
    merged = {
        name: empty | _of_detector({role: part[name] for role, part in parts.items() if name in part}) for name in names
    }
    with whole_files(job.outputs) as paths:
        write_pars(paths["par"], moved(merged, job.outputs["par"].parent))


def _of_detector(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the steps found of a detector, by step."""
    failures = [entry["status"] for entry in entries.values() if "status" in entry]
    merged = merged_all({k: v for k, v in entry.items() if k not in NOTES} for entry in entries.values())
    warnings = _warnings(entries)
    merged |= {"warnings": warnings} if warnings else {}
    return merged | ({"status": failures[0]} if failures else {})


def _warnings(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The sentences of each step as one text: the published ``build-tier-dsp`` takes any list for numbers.

    What an earlier step has said already is not said again.
    """
    said: set[str] = set()
    found: dict[str, str] = {}
    for step, entry in entries.items():
        new = [text for text in dict.fromkeys(entry.get("warnings", ())) if text not in said]
        said.update(new)
        found |= {step: "; ".join(new)} if new else {}
    return found
