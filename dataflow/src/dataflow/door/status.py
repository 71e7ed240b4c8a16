"""What is there of what a cycle can make, by tier, datatype and run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dataflow.plan.batches import Batch, recorded
from dataflow.plan.cycle import Cycle
from dataflow.plan.look import Look, look
from dataflow.plan.survey import FAILED, MISSING, STALE, THERE, Item, Survey, remaining
from dataflow.plan.troubles import run_of, troubles

from .detectors import told
from .planning import gaps, not_installed_of, open_workflow


def status(question: Mapping[str, Any]) -> dict[str, Any]:
    """The state of everything that the data of a cycle allow, with the time ahead on `cores`."""
    flow = open_workflow(question)
    plan = flow.cycle
    plan.lineages.read_unknown = False
    survey = Survey(plan)
    whole = look(flow, survey)
    found = whole.batches
    seconds, unknown = remaining(found, survey.costs_of(recorded(found)), question["cores"])
    noted = told(troubles(plan.lineages.records, _noted(found)))
    said = [*not_installed_of(flow), *whole.ignored, *gaps(whole.alone), *filter(None, [whole.unclear])]
    return {
        "warnings": list(dict.fromkeys(said)),
        "daq_files": len(plan.inventory.daq),
        "jobs": dict(Counter(state for batch in found for state in batch.states)),
        "cores": question["cores"],
        "seconds": seconds,
        "no_time_known": unknown,
        "runs": _runs(found),
        "failures": _failures(found, survey, plan),
        "detectors": noted["detectors"],
        "detectors_counted": noted["counted"],
        "salvaged": _salvaged(whole, plan),
    }


def _noted(found: Iterable[Batch]) -> Iterator[tuple[str, str, str]]:
    """The main outputs with notes that are there, each with its step and its run."""
    for batch in (each for each in found if each.noted):
        for item, name in zip(batch.items(), batch.names, strict=True):
            if item.state != MISSING and name in batch.noted:
                yield item.step, run_of(item.unit), f"{batch.folder}{os.sep}{name}"


def _runs(batches: Iterable[Batch]) -> list[dict[str, Any]]:
    """Counts of states by run and step, sorted by the time of the run's first file."""
    found: dict[str, dict[str, Counter[str]]] = {}
    datatypes: dict[str, str] = {}
    first: dict[str, str] = {}
    for batch in batches:
        if batch.step.startswith("validity"):
            continue
        run, time = batch.keys[0].series, batch.keys[0].timestamp
        datatypes[run] = batch.keys[0].datatype
        first[run] = min(first.get(run, time), time)
        found.setdefault(run, {}).setdefault(batch.step, Counter()).update(batch.states)
    return [
        {"run": run, "datatype": datatypes[run], "steps": {step: dict(n) for step, n in found[run].items()}}
        for run in sorted(found, key=lambda run: (first[run], run))
    ]


def _failures(found: Iterable[Batch], survey: Survey, plan: Cycle) -> list[dict[str, Any]]:
    told = []
    for item in _failed(found):
        outputs = (Path(path) for path in survey.outputs(item.step, item.unit))
        failure = next(filter(None, map(plan.lineages.records.failure, outputs)), {})
        told.append({"step": item.step, "key": str(item.unit)} | {n: failure.get(n) for n in ("error", "log", "time")})
    return told


def _failed(found: Iterable[Batch]) -> Iterator[Item]:
    """The jobs that failed, by step and time."""
    by_step: dict[str, list[Item]] = {}
    for batch in found:
        by_step.setdefault(batch.step, []).extend(batch.items(FAILED))
    for items in by_step.values():
        yield from sorted(items, key=lambda item: item.key.order)


def _salvaged(found: Look, plan: Cycle) -> dict[str, str]:
    """The raw files that hold only a part of their DAQ file, by key: where it breaks off."""
    told = {}
    for batch in found.batches:
        if batch.step == "tier_raw" and batch.keys[0] in found.salvaging:
            for key, state, name in zip(batch.keys, batch.states, batch.names, strict=True):
                path = Path(batch.folder, name)
                record = plan.lineages.records.raw(path) if state in (THERE, STALE) else None
                if reason := (record or {}).get("counts", {}).get("salvaged"):
                    told[str(key)] = reason
    return told
