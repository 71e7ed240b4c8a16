"""``dataprod show CYCLE``: one cycle in full."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from prodenv.base.sources import provenance, provenance_text
from prodenv.base.tables import print_json, print_table, size_text
from prodenv.cycles.derived.links import parents_of, record_of, users_of
from prodenv.cycles.find import FROZEN, CycleFolder, find_cycle
from prodenv.cycles.outputs import Contents, contents_of
from prodenv.cycles.sizes import size_of
from prodenv.software.install import lock_of

from .list import state
from .others import kinds_of, print_kinds


def run(options: argparse.Namespace) -> int:
    """Print what the cycle is, what it was made with, and what is in it."""
    cycle = find_cycle(options.cycle)
    found = describe(cycle, options.setup)
    if options.json:
        print_json(found)
    else:
        _print(found)
    return 0


def describe(cycle: CycleFolder, experiment: str | None = None) -> dict[str, Any]:
    """Everything about a cycle."""
    contents = contents_of(cycle, experiment, in_full=True)
    setup = contents.setup
    return {
        "name": cycle.name,
        "path": str(cycle.root),
        "config": str(cycle.config),
        "experiment": setup.experiment,
        "scheme": setup.scheme,
        "state": state(cycle, (setup.path("install") / "bin" / "python").exists()),
        "execenv": setup.execenv.name,
        "based_on": parents_of(cycle, setup),
        "used_by": [user.name for user in users_of(cycle)],
        "derived": {name: value for name, value in record_of(cycle).items() if name != "linked"},
        "sources": {name: _source(setup.path(name)) for name in ("dataflow", "inputs")},
        "software": _software(contents),
        "frozen": _frozen(cycle),
        "flow": "ours" if setup.ours else "unknown",
        "daq_files": sum(contents.daq.values()),
        "left_out": contents.left_out,
        "left_out_note": contents.left_out_note,
        "salvaged": dict(contents.salvaged),
        "files": kinds_of(contents.outputs()),
        "runs": dict(contents.runs),
        "detectors": contents.detectors["detectors"],
        "elsewhere": _elsewhere(contents),
        "disk": {part: size_of(cycle.root / part).size for part in ("inputs", "dataflow", "software", "generated")},
    }


def _source(folder: Path) -> dict[str, Any]:
    """Path and revision of the workflow or the metadata."""
    found: dict[str, Any] = {"path": str(folder), "exists": folder.is_dir()}
    return found | (provenance(folder) if folder.is_dir() else {})


def _software(contents: Contents) -> dict[str, Any]:
    """What the lock says is installed; ``None`` where nothing was installed by us."""
    install = contents.setup.path("install")
    found: dict[str, Any] = {"path": str(install), "installed": (install / "bin" / "python").exists()}
    try:
        lock = json.loads(lock_of(contents.setup).read_text(encoding="utf-8"))
        versions = {entry["name"]: entry.get("version") or entry.get("address", "") for entry in lock["packages"]}
        return found | {"python": lock["python"].get("version"), "packages": versions, "checkouts": lock["checkouts"]}
    except (OSError, ValueError, KeyError, TypeError):
        return found | {"python": None, "packages": {}, "checkouts": []}


def _frozen(cycle: CycleFolder) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((cycle.root / FROZEN / "frozen.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return {name: value for name, value in found.items() if name != "modes"}


def _elsewhere(contents: Contents) -> dict[str, str]:
    """Paths of the configuration that lie outside of the cycle."""
    setup = contents.setup
    return {name: str(path) for name, path in setup.paths.items() if not path.is_relative_to(setup.directory)}


def _print(found: dict[str, Any]) -> None:
    software, frozen = found["software"], found["frozen"]
    lines = [
        ("path", found["path"]),
        ("setup", f"{found['experiment']}, keys of {found['scheme'] or 'unknown'}, execenv {found['execenv']}"),
        ("state", found["state"] + (f" since {frozen['time']}" if frozen else "")),
        ("based on", ", ".join(found["based_on"]) or "-"),
        ("used by", ", ".join(found["used_by"]) or "-"),
        *((name, _source_text(source)) for name, source in found["sources"].items()),
        ("software", _software_text(software)),
        *_data_lines(found),
        ("disk", ", ".join(f"{name} {size_text(size)}" for name, size in found["disk"].items())),
        *(("elsewhere", f"{name}: {path}") for name, path in found["elsewhere"].items()),
    ]
    print_table(("", found["name"]), lines)
    print_kinds(found["files"])
    for line in (*filter(None, [found["left_out_note"]]), *salvaged_lines(found)):
        print(line)
    for trouble in found["detectors"]:
        print(trouble["line"])


def salvaged_lines(found: dict[str, Any]) -> list[str]:
    """Which raw files hold only a part of their DAQ file, as far as no line about detectors tells it."""
    lines = [f"only a part of {key} could be read: its DAQ file is {why}" for key, why in found["salvaged"].items()]
    told = "\n".join(trouble["line"] for trouble in found["detectors"])
    return [line for line in lines if line not in told]


def _data_lines(found: dict[str, Any]) -> list[tuple[str, Any]]:
    if found["flow"] != "ours":
        return [("data", "unknown: the dataflow is not that of this production environment; its files are below")]
    runs = ", ".join(f"{run} ({count})" for run, count in found["runs"].items()) or "-"
    return [("DAQ files", _daq_text(found)), ("runs", runs)]


def _daq_text(found: dict[str, Any]) -> str:
    others = len(found["left_out"])
    return f"{found['daq_files']}" + (f", {others} of unknown form left out" if others else "")


def _source_text(source: dict[str, Any]) -> str:
    if not source["exists"]:
        return f"missing: {source['path']}"
    text = provenance_text(source, 12)
    return text if source.get("revision") else f"{source['path']}, {text}"


def _software_text(software: dict[str, Any]) -> str:
    if not software["installed"]:
        return "not installed"
    if not software["python"]:
        return f"{software['path']}, without a lock"
    checkouts = [f"{entry['name']} {str(entry.get('revision', ''))[:12]}" for entry in software["checkouts"]]
    packages = f"Python {software['python']}, {len(software['packages'])} packages"
    return ", ".join([packages, *(f"checkout {text}" for text in checkouts)])
