"""What is there of what a cycle can make, by tier, datatype and run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dataflow.base.errors import UserError
from dataflow.keys.key import Key
from dataflow.plan.cycle import Cycle
from dataflow.plan.survey import MISSING, Item, Survey, remaining
from dataflow.plan.troubles import run_of, troubles
from dataflow.registry.step import Scope, Step
from dataflow.registry.steps import BY_NAME

from .detectors import told
from .planning import gaps, open_workflow, warnings_of


def status(question: Mapping[str, Any]) -> dict[str, Any]:
    """The state of everything that the data of a cycle allow, with the time ahead on `cores`."""
    flow = open_workflow(question)
    plan = flow.cycle
    plan.lineages.read_unknown = False
    survey = Survey(plan)
    items = survey.everything()
    seconds, unknown = remaining(items, survey.costs((item.step, item.unit) for item in items), question["cores"])
    made = (item for item in items if item.state != MISSING)
    places = ((item.step, run_of(item.unit), survey.outputs(item.step, item.unit)[0]) for item in made)
    noted = told(troubles(plan.lineages.records, places))
    return {
        "warnings": list(dict.fromkeys([*warnings_of(flow), *_gaps(survey)])),
        "daq_files": len(plan.inventory.daq),
        "jobs": dict(Counter(item.state for item in items)),
        "cores": question["cores"],
        "seconds": seconds,
        "no_time_known": unknown,
        "runs": _runs(items),
        "failures": _failures(items, survey, plan),
        "detectors": noted["detectors"],
        "detectors_counted": noted["counted"],
        "salvaged": _salvaged(items, survey, plan),
    }


def _gaps(survey: Survey) -> list[str]:
    """Runs that no grouping holds; where the metadata do not tell, why.

    Nobody has asked for these jobs, and files that others made need no metadata at all.
    """
    steps = survey.cycle.steps if any(survey.cycle.metadata.datasets.cal_groupings.values()) else ()
    try:
        return gaps(_of_partitions(survey, steps))
    except UserError as error:
        return [str(error)]


def _of_partitions(survey: Survey, steps: Iterable[Step]) -> Iterator[Item]:
    """The jobs of partitions, also of tiers that nobody has asked for yet."""
    for step in steps:
        if step.scope is Scope.PARTITION:
            yield from (survey.item(step.name, unit) for unit in survey.cycle.units.of(step))


def _runs(items: Iterable[Item]) -> list[dict[str, Any]]:
    """Counts of states by run and step, sorted by the time of the run's first file."""
    found: dict[str, dict[str, Counter[str]]] = {}
    datatypes: dict[str, str] = {}
    first: dict[str, str] = {}
    for item in items:
        if item.step.startswith("validity"):
            continue
        run, time = item.key.series, item.key.timestamp
        datatypes[run] = item.key.datatype
        first[run] = min(first.get(run, time), time)
        found.setdefault(run, {}).setdefault(item.step, Counter())[item.state] += 1
    return [
        {"run": run, "datatype": datatypes[run], "steps": {step: dict(n) for step, n in found[run].items()}}
        for run in sorted(found, key=lambda run: (first[run], run))
    ]


def _failures(items: Iterable[Item], survey: Survey, plan: Cycle) -> list[dict[str, Any]]:
    told = []
    for item in items:
        if item.state == "failed":
            outputs = (Path(path) for path in survey.outputs(item.step, item.unit))
            failure = next(filter(None, map(plan.lineages.records.failure, outputs)), {})
            told.append(
                {"step": item.step, "key": str(item.unit)} | {n: failure.get(n) for n in ("error", "log", "time")}
            )
    return told


def _salvaged(items: Iterable[Item], survey: Survey, plan: Cycle) -> dict[str, str]:
    """The raw files that hold only a part of their DAQ file, by key: where it breaks off."""
    told = {}
    for item in items:
        if item.step == "tier_raw" and item.state in ("there", "stale") and _may_be_salvaged(plan, item.key):
            (path,) = survey.outputs(item.step, item.key)
            record = plan.lineages.records.raw(Path(path)) or {}
            if reason := record.get("counts", {}).get("salvaged"):
                told[str(item.key)] = reason
    return told


def _may_be_salvaged(plan: Cycle, key: Key) -> bool:
    """Whether the settings allow it: where they do not, records need not be read."""
    if key not in plan.inventory.daq:
        return False
    config = plan.config(BY_NAME["tier_raw"], key)
    places = (config.shared("settings"), config.options.get("settings"), plan.setup.settings.get("tier_raw"))
    return any((place or {}).get("salvage") for place in places)
