"""``dataprod status CYCLE``: what is there, stale, missing, failed, by tier, datatype and run."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodenv.cycles import CycleFolder, find_cycle
from prodenv.planning import cores, open_workflow, warnings_of
from prodenv.render import coloured, print_json, print_table
from prodenv.verbs.plan import time_text

if TYPE_CHECKING:
    from dataflow.plan.cycle import Cycle
    from dataflow.plan.model import Key
    from dataflow.plan.survey import Item, Survey

STATES = ("there", "stale", "missing", "failed")
COLOURS = {"stale": "yellow", "missing": "dim", "failed": "red"}
FAILURES = 5


def run(options: argparse.Namespace) -> int:
    """Print the state of a cycle."""
    cycle = find_cycle(options.cycle)
    found = state_of(cycle, options.setup, cores(options.jobs))
    if options.json:
        print_json(found)
    else:
        show(found, everything=options.all)
    return 0


def state_of(cycle: CycleFolder, experiment: str | None, jobs: int) -> dict[str, Any]:
    """The state of everything that the data of a cycle allow."""
    flow = open_workflow(cycle, experiment)
    plan = flow.cycle
    from dataflow.plan.survey import Survey, remaining  # after the cycle's own dataflow was found
    from dataflow.plan.troubles import run_of, troubles

    plan.lineages.read_unknown = False
    survey = Survey(plan)
    items = survey.everything()
    seconds, unknown = remaining(items, survey.costs(items), jobs)
    made = (item for item in items if item.state != "missing")
    places = ((item.step, run_of(item.unit), survey.outputs(item.step, item.unit)[0]) for item in made)
    found = troubles(plan.lineages.records, places)
    return {
        "name": cycle.name,
        "running": _holder(cycle),
        "warnings": warnings_of(flow),
        "daq_files": len(plan.inventory.daq),
        "jobs": dict(Counter(item.state for item in items)),
        "cores": jobs,
        "seconds": seconds,
        "no_time_known": unknown,
        "runs": _runs(items),
        "failures": _failures(items, survey, plan),
        "detectors": [trouble.plain() for trouble in found],
        "salvaged": _salvaged(items, survey, plan),
    }


def _holder(cycle: CycleFolder) -> dict[str, Any] | None:
    from prodenv.holder import holder_of

    who = holder_of(cycle.root)
    return {"host": who.host, "process": who.pid, "since": who.since} if who else None


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
            outputs = (Path(path) for path in survey.outputs(item.step, item.key))
            failure = next(filter(None, map(plan.lineages.records.failure, outputs)), {})
            told.append(
                {"step": item.step, "key": str(item.key)} | {n: failure.get(n) for n in ("error", "log", "time")}
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
    from dataflow.plan.steps import BY_NAME

    config = plan.config(BY_NAME["tier_raw"], key)
    places = (config.shared("settings"), config.options.get("settings"), plan.setup.settings.get("tier_raw"))
    return any((place or {}).get("salvage") for place in places)


def show(found: dict[str, Any], *, everything: bool = False) -> None:
    """Print the state of a cycle as a table: a line a run, a column a step."""
    if found["running"]:
        who = found["running"]
        print(f"process {who['process']} on {who['host']} works on it since {who['since'] or 'some time'}")
    steps = list(dict.fromkeys(step for run in found["runs"] for step in run["steps"]))
    whole = [run for run in found["runs"] if all(set(counts) == {"there"} for counts in run["steps"].values())]
    rows = found["runs"] if everything or len(whole) < 2 else [run for run in found["runs"] if run not in whole]
    if rows:
        lines = [[run["run"], *(_cell(run["steps"].get(step)) for step in steps)] for run in rows]
        print_table(["run", *(step.removeprefix("tier_") for step in steps)], lines)
    if len(rows) < len(found["runs"]):
        print(f"{len(whole)} runs of which everything is there are not shown (--all shows them)")
    for failure in found["failures"][:FAILURES]:
        print(f"{failure['step']} of {failure['key']} failed: {_sentence(failure['error'])}\n  log: {failure['log']}")
    from dataflow.plan.troubles import Trouble, counted, sentences

    detectors = [Trouble.of(entry) for entry in found["detectors"]]
    for line in sentences(detectors, "--json has them all"):
        print(line)
    for key, reason in list(found["salvaged"].items())[:FAILURES]:
        print(f"only a part of {key} could be read: its DAQ file is {reason}")
    if (more := len(found["salvaged"]) - FAILURES) > 0:
        print(f"and {more} more such files (all: --json)")
    for warning in found["warnings"]:
        print(f"warning: {warning}")
    print(_summary(found, counted(detectors)))


def _cell(counts: dict[str, int] | None) -> Any:
    if counts is None:
        return ""
    total, there = sum(counts.values()), counts.get("there", 0)
    if there == total:
        return coloured(f"{total}", "green")
    worst = next(state for state in ("failed", "stale", "missing") if counts.get(state))
    bad = ", ".join(f"{counts[state]} {state}" for state in ("failed", "stale") if counts.get(state))
    return coloured(f"{there}/{total}" + (f" ({bad})" if bad else ""), COLOURS[worst])


def _sentence(error: str | None) -> str:
    return (error or "no reason recorded").splitlines()[0].removeprefix("error: ")


def _summary(found: dict[str, Any], detectors: str) -> str:
    jobs = found["jobs"]
    if not jobs:
        return "there is no data yet"
    counts = ", ".join(f"{jobs[state]} {state}" for state in STATES if jobs.get(state))
    if set(jobs) == {"there"}:
        but = f", but {detectors}" if detectors else ""
        return f"{counts}: all is made and as the configuration asks for{but}"
    return f"{counts}; the rest takes {time_text(found['seconds'], found['no_time_known'], found['cores'])}"
