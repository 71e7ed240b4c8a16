"""Tickets: what one job must know, planned once and written down, so that the job plans nothing again.

``generated/tmp/tickets/STEP/NAME.json`` holds what is of one unit: its files and its recipe. What many jobs share
(channels, configuration, overrides) stands in ``tickets/shared`` under the hash of its content, and so do the parts of
recipes, and what large parameter files say (:mod:`dataflow.base.keptvalues`). Tickets are written when Snakemake begins
to work, never by a plan; a job that is done removes its own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from dataflow.base.errors import UserError
from dataflow.base.keptvalues import GivenReader
from dataflow.base.parts import write_whole
from dataflow.base.textfile import yaml_data
from dataflow.keys.channel import Channel
from dataflow.keys.key import Key
from dataflow.keys.scheme import KeyScheme, scheme_of
from dataflow.metadata.stepconfig import GivenConfig
from dataflow.provenance.lineage import Files, Lineage, joined
from dataflow.provenance.recipe import Recipe
from dataflow.provenance.records import LENGTH
from dataflow.registry.step import DAQ, Scope, Step
from dataflow.setup.config import ExecEnv, Setup

from .job import Held, Job, Unit

if TYPE_CHECKING:
    from .cycle import Cycle

FORM = 1
FOLDER = "tickets"
SHARED = "shared"
Paths = Mapping[str, tuple[Path, ...]]


@dataclass(frozen=True)
class Ticket:
    """What one job must know.

    Attributes
    ----------
    job
        The job.
    lineage
        The lineage that its outputs were wanted with when it was planned.
    recipe
        The recipe but for what is found out when it runs; its parts as texts.
    daq
        The DAQ file as it was when it was planned: ``size``, ``sha256``, ``mtime_ns``; empty for all other jobs.
    file
        Where it is written down, None if it is not.
    """

    job: Job
    lineage: str
    recipe: Recipe
    daq: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None

    def made_by(self, files: Files) -> Lineage:
        """The lineage that the outputs are made by: that of the inputs as they are there."""
        relative = f"{self.job.setup.directory}{os.sep}"
        inputs = {
            role: {os.fspath(path).removeprefix(relative): files.found(path) for path in paths}
            for role, paths in self.job.inputs.items()
            if role != DAQ
        }
        return joined(Recipe(dict(self.recipe.own) | self._daq(files), self.recipe.parts), inputs)

    def _daq(self, files: Files) -> dict[str, Any]:
        """The identity of the DAQ file, which is read again only if it was touched meanwhile."""
        if not self.daq:
            return {}
        (path,) = self.job.inputs[DAQ]
        seen = path.stat() if path.exists() else None
        if seen and (seen.st_size, seen.st_mtime_ns) == (self.daq["size"], self.daq["mtime_ns"]):
            return {DAQ: {"size": self.daq["size"], "sha256": self.daq["sha256"]}}
        return {DAQ: dict(files.identities.of(path))}

    def text(self, digest: str) -> str:
        """A part of the recipe as the text that was hashed."""
        part = self.recipe.parts[digest]
        return part.read_text(encoding="utf-8") if isinstance(part, Path) else str(part)

    def done(self) -> None:
        """Take the ticket away: its job is done."""
        if self.file:
            self.file.unlink(missing_ok=True)


def ticket_of(cycle: Cycle, step: str, unit: str | Key | Unit) -> Ticket:
    """The ticket of a job, planned here and not written."""
    job = cycle.job(step, unit)
    recipe = cycle.lineages.recipe(job)
    daq = dict(recipe.own.get(DAQ) or {})
    if daq:
        daq["mtime_ns"] = cycle.lineages.identities.mtime_ns(job.inputs[DAQ][0])
    texts: dict[str, object] = {name: cycle.lineages.recipes.text(part) for name, part in recipe.parts.items()}
    return Ticket(job, cycle.lineage(step, job.unit), Recipe(recipe.own, texts), daq)


class Tickets:
    """Writes the tickets of a cycle; what jobs share once.

    Parameters
    ----------
    cycle
        The cycle.
    """

    def __init__(self, cycle: Cycle) -> None:
        self._cycle = cycle
        self.folder = cycle.setup.path("tmp") / FOLDER
        self._shared: dict[tuple[object, ...], tuple[str, object]] = {}
        self._there: set[str] = set()

    def write(self, step: Step, unit: Unit) -> Path:
        """Write the ticket of a job; returns the file."""
        job, lineages = self._cycle.job(step.name, unit), self._cycle.lineages
        recipe = lineages.recipe(job)
        for digest, part in recipe.parts.items():
            if digest not in self._there:
                self._keep(f"{digest}.txt", lineages.recipes.text(part))
                self._there.add(digest)
        daq = dict(recipe.own.get(DAQ) or {})
        if daq:
            daq["mtime_ns"] = lineages.identities.mtime_ns(job.inputs[DAQ][0])
        content = _of_unit(job) | {
            "form": FORM,
            "lineage": self._cycle.lineage(step.name, unit),
            "recipe": dict(recipe.own),
            "parts": sorted(recipe.parts),
            "daq": daq,
            "shared": self._of_many(step, job),
        }
        file = self.folder / f"{self._cycle.paths.ticket(step).format_map(unit.fields)}.json"
        _write(file, json.dumps(content, ensure_ascii=False))
        return file

    def _of_many(self, step: Step, job: Job) -> str:
        """The name of the file with what a job shares with others."""
        maps = _maps_of(job)
        held = job.channels, job.all_channels, job.config, *maps
        place = (step.name, *map(id, held), job.overrides)
        if place not in self._shared:
            files = (*_configured(step, job), *job.overrides)
            text = packed(
                {
                    "setup": _plain(job.setup),
                    "module": job.module,
                    "tables": dict(job.tables),
                    "channels": [_channel(channel) for channel in job.channels],
                    "all_channels": [_channel(channel) for channel in job.all_channels],
                    "maps": [[_channel(channel) for channel in channels] for channels in maps],
                    "config": {"rule": job.config.rule, "inputs": job.config.inputs, "options": job.config.options},
                    "base": os.fspath(job.config.base),
                    "files": {os.fspath(path): self._cycle.metadata.reader(path).data for path in dict.fromkeys(files)},
                }
            )
            name = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:LENGTH]
            self._keep(f"{name}.txt", text)
            self._shared[place] = name, held  # kept with their ids, or these could come to mean others
        return self._shared[place][0]

    def _keep(self, name: str, text: str) -> None:
        file = self.folder / SHARED / name
        if not file.is_file():
            _write(file, text)


def read_ticket(file: Path) -> Ticket:
    """Read a ticket.

    Raises
    ------
    UserError
        If it is not there, or no ticket of this version.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["form"] != FORM:
            raise ValueError(f"form {content['form']}")
        shared_folder = file.parents[1] / SHARED
        shared = unpacked((shared_folder / f"{content['shared']}.txt").read_text(encoding="utf-8"))
        return _ticket(file, content, shared, shared_folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"the ticket {file} cannot be used: {error}", hint="start the run again") from error


def _ticket(file: Path, content: Mapping[str, Any], shared: Mapping[str, Any], folder: Path) -> Ticket:
    setup = _setup(shared["setup"])
    scheme = scheme_of(setup.keys)
    reader = GivenReader({Path(path): data for path, data in shared["files"].items()}, folder)
    made = shared["config"]
    maps = [tuple(Channel(**channel) for channel in channels) for channels in shared["maps"]]
    job = Job(
        step=content["step"],
        unit=_unit(content["unit"], scheme),
        inputs=_paths(content["inputs"]),
        outputs={role: Path(path) for role, path in content["outputs"].items()},
        channels=tuple(Channel(**channel) for channel in shared["channels"]),
        config=GivenConfig(made["rule"], made["inputs"], made["options"], Path(), Path(shared["base"]), reader),
        overrides_of=_paths(content["overrides_of"]),
        log=Path(content["log"]),
        setup=setup,
        module=shared["module"],
        _read=reader,
        all_channels=tuple(Channel(**channel) for channel in shared["all_channels"]),
        maps={Path(path): maps[number] for path, number in content["maps"].items()},
        runs={run: Held(_paths(held[0]), _paths(held[1])) for run, held in content["runs"].items()},
        tables=shared["tables"],
        content=content["content"],
    )
    parts: dict[str, object] = {digest: folder / f"{digest}.txt" for digest in content["parts"]}
    return Ticket(job, content["lineage"], Recipe(content["recipe"], parts), content["daq"], file)


def _of_unit(job: Job) -> dict[str, Any]:
    unit = job.unit
    return {
        "step": job.step,
        "unit": {
            "scope": str(unit.scope),
            "name": unit.name,
            "key": str(unit.key),
            "keys": [str(key) for key in unit.keys] if unit.scope is not Scope.CYCLE else [],
            "detectors": None if unit.detectors is None else sorted(unit.detectors),
            "group": unit.group,
            "note": unit.note,
        },
        "inputs": _texts(job.inputs),
        "outputs": {role: os.fspath(path) for role, path in job.outputs.items()},
        "overrides_of": _texts(job.overrides_of),
        "runs": {run: [_texts(held.inputs), _texts(held.overrides_of)] for run, held in job.runs.items()},
        "maps": _numbers_of_maps(job),
        "log": os.fspath(job.log),
        "content": job.content,
    }


def _maps_of(job: Job) -> list[tuple[Channel, ...]]:
    """The different channel maps of the files that a job reads, each once, in the order of the files."""
    return list({id(channels): channels for channels in job.maps.values()}.values())


def _numbers_of_maps(job: Job) -> dict[str, int]:
    """Which of :func:`_maps_of` belongs to each file."""
    numbers = {id(channels): number for number, channels in enumerate(_maps_of(job))}
    return {os.fspath(path): numbers[id(channels)] for path, channels in job.maps.items()}


def _unit(values: Mapping[str, Any], scheme: KeyScheme) -> Unit:
    return Unit(
        scope=Scope(values["scope"]),
        name=values["name"],
        key=scheme.key(values["key"]),
        keys=tuple(scheme.key(key) for key in values["keys"]),
        detectors=None if values["detectors"] is None else frozenset(values["detectors"]),
        group=values["group"],
        note=values["note"],
    )


def _texts(paths: Paths) -> dict[str, list[str]]:
    return {role: [os.fspath(path) for path in found] for role, found in paths.items()}


def _paths(texts: Mapping[str, Iterable[str]]) -> dict[str, tuple[Path, ...]]:
    return {role: tuple(map(Path, found)) for role, found in texts.items()}


def _channel(channel: Channel) -> dict[str, Any]:
    return vars(channel)


def _plain(setup: Setup) -> dict[str, Any]:
    """A configuration as plain values, without the execution environment: the job is in it already."""
    values = {name: value for name, value in vars(setup).items() if name != "execenv"}
    paths = {name: os.fspath(path) for name, path in setup.paths.items()}
    return values | {"file": os.fspath(setup.file), "directory": os.fspath(setup.directory), "paths": paths}


def _setup(values: Mapping[str, Any]) -> Setup:
    paths = {name: Path(path) for name, path in values["paths"].items()}
    own = {"file": Path(values["file"]), "directory": Path(values["directory"]), "paths": paths, "execenv": ExecEnv()}
    return Setup(**(dict(values) | own))


def _configured(step: Step, job: Job) -> list[Path]:
    """The files of the metadata that a job is configured by; what is shipped with the dataflow is read where it is."""
    others = {channel.name for channel in job.all_channels} - {channel.name for channel in job.channels}
    names = [name for key in step.configs for name in _leaves(job.config.inputs.get(key), others)]
    return [path for name in names if (path := job.config.base / name).is_file()]


def _leaves(value: object, without: set[str]) -> Iterator[str]:
    """The file names in an entry, without those of some detectors."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, str))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if name not in without:
                yield from _leaves(item, without)


def packed(value: object, *, in_order: bool = False) -> str:
    """Plain values as text: JSON where it gives back the same, else YAML (keys that are not texts, times).

    Parameters
    ----------
    value
        Mappings, lists, texts, numbers.
    in_order
        Whether mappings keep the order of their keys; they are sorted if not, for texts that are hashed.
    """
    text = ""
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=not in_order)
        same = json.loads(text) == value
    except (TypeError, ValueError):
        same = False
    return text if same else f"---\n{yaml.safe_dump(value, sort_keys=not in_order, allow_unicode=True)}"


def unpacked(text: str) -> Any:  # noqa: ANN401 - any tree of values
    """The values that :func:`packed` made a text of."""
    return yaml_data(text) if text.startswith("---") else json.loads(text)


def _write(file: Path, text: str) -> None:
    write_whole(file, text.encode("utf-8", "surrogateescape"))
