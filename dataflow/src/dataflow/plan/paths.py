"""Where files are: one template a kind of file, filled with the fields of a key (or with Snakemake's wildcards)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from dataflow.keys.key import Key
from dataflow.keys.scheme import KeyScheme
from dataflow.registry.step import Output, Scope, Step
from dataflow.setup.config import Setup

from .job import Unit

SHARES = "shares"
"""Below the temporary files of the cycle: what jobs did for a share of the detectors of others."""
_PLACE = re.compile(r"\{(\w+)\}|\{\{|\}\}")


def template_pattern(template: str, fields: Mapping[str, str]) -> re.Pattern[str]:
    """The expression that matches the paths a template stands for, with its fields as groups."""
    expression, end, seen = "", 0, set()
    for place in _PLACE.finditer(template):
        expression += re.escape(template[end : place.start()])
        name = place[1]
        if name is None:
            expression += re.escape(place[0][0])
        else:
            expression += f"(?P={name})" if name in seen else f"(?P<{name}>{fields[name]})"
            seen.add(name)
        end = place.end()
    return re.compile(expression + re.escape(template[end:]))


class Paths:
    """The paths of a setup.

    Templates are relative to the cycle where they lie in it, so that a cycle can be moved, else absolute.
    """

    def __init__(self, setup: Setup, scheme: KeyScheme) -> None:
        self._setup, self._scheme = setup, scheme
        self._folders: dict[str, str] = {}
        self._outputs: dict[str, Mapping[str, str]] = {}
        self._inside: dict[str, bool] = {}
        self._parents: dict[str, Path] = {}
        self._directory = os.path.join(setup.directory, "")  # noqa: PTH118 - thousands of paths: parsed once each

    def folder(self, name: str) -> str:
        """The path called `name` in the configuration, with braces doubled so that it can stand in a template."""
        if name not in self._folders:
            path = self.relative(self._setup.path(name))
            self._folders[name] = path.replace("{", "{{").replace("}", "}}")
        return self._folders[name]

    def relative(self, path: Path) -> str:
        """A path as workflow files spell it: relative to the cycle if it lies in it, else absolute."""
        text, cycle = os.fspath(path), os.fspath(self._setup.directory) + os.sep
        return text.removeprefix(cycle)

    def inside(self, name: str) -> bool:
        """Whether the path called `name` lies in the cycle, so that the cycle makes its files."""
        if name not in self._inside:
            self._inside[name] = self._setup.path(name).is_relative_to(self._setup.directory)
        return self._inside[name]

    def absolute(self, text: str) -> Path:
        """The path that a workflow file spells."""
        folder, _, name = text.rpartition(os.sep)
        if folder not in self._parents:  # a plan fills hundreds of thousands of templates, of few folders
            whole = text.startswith(os.sep)
            self._parents[folder] = Path(f"{folder}{os.sep}" if whole else f"{self._directory}{folder}")
        return self._parents[folder] / name

    def tier(self, tier: str) -> str:
        """Template of the files of a tier."""
        run_files = self._scheme.run_files or {}
        if tier in run_files:
            return f"{self.folder(f'tier_{tier}')}/{run_files[tier][0]}/{self._scheme.series_template}-tier_{tier}.lh5"
        return self._keyed(f"tier_{tier}", f"-tier_{tier}.lh5")

    def daq(self, key: Key) -> str:
        """Where a DAQ file would be filed, for a key without one."""
        template = f"{self.folder('tier_daq')}/{self._scheme.directory}/{self._scheme.key_template}.fcio"
        return template.format_map(key.fields)

    def par(self, tier: str) -> str:
        """Template of the parameter files of a tier."""
        return self._keyed(f"par_{tier}", f"-par_{tier}.yaml")

    def validity(self, tier: str) -> str:
        """The validity list of a tier's parameter files."""
        return f"{self.folder(f'par_{tier}')}/validity.yaml"

    def log(self, step: Step) -> str:
        """Template of the log of a step; it has the same fields as the outputs."""
        names = [self._name(step), step.name]
        return f"{self.folder('tmp_log')}/{step.name}/{'-'.join(filter(None, names))}.log"

    def ticket(self, step: Step) -> str:
        """Template of the ticket of a job below the folder of tickets, without ending."""
        return f"{step.name}/{self._name(step) or 'cycle'}"

    def share(self, step: Step) -> str:
        """Template of what tells of a share of a job, ``{lineage}`` and ``{share}`` among its fields."""
        return f"{self.folder('tmp')}/{SHARES}/{self.ticket(step)}/{{lineage}}/{{share}}.json"

    def _name(self, step: Step) -> str:
        """What the names of a step's files begin with."""
        if step.scope is Scope.CYCLE:
            return ""
        if step.scope is Scope.PARTITION:
            return self._scheme.partition_template
        per_run = step.kind == "tier" and step.tier in (self._scheme.run_files or {})
        return self._scheme.series_template if per_run else self._scheme.key_template

    def outputs(self, step: Step) -> Mapping[str, str]:
        """Templates of everything that a step makes, by role."""
        if step.name not in self._outputs:
            self._outputs[step.name] = {role: self._output(step, role, made) for role, made in step.outputs.items()}
        return self._outputs[step.name]

    def _output(self, step: Step, role: str, made: Output) -> str:
        if step.kind == "validity":
            return self.validity(step.tier)
        if made.area == "tier":
            return self.tier(step.tier)
        name = made.name or _file_name(step, role, made)
        ending = f"{self._name(step)}-{name}{made.suffix}"
        inner = "" if step.scope is Scope.PARTITION else f"/{self._scheme.directory}"
        folder = self.folder(area_of(step, made))
        if made.area == "step":
            return f"{folder}/{ending}"
        return f"{folder}/{step.tier}{inner}/{ending}" if made.area == "plot" else f"{folder}{inner}/{ending}"

    def fill(self, template: str, unit: Key | Unit) -> Path:
        """The absolute path that a template names for a key or a unit."""
        return self.absolute(template.format_map(unit.fields))

    def _keyed(self, folder: str, ending: str) -> str:
        return f"{self.folder(folder)}/{self._scheme.directory}/{self._scheme.key_template}{ending}"


def area_of(step: Step, made: Output) -> str:
    """The path of the configuration below which an output of a step lies."""
    return {"tier": f"tier_{step.tier}", "par": f"par_{step.tier}", "plot": "plt", "step": "tmp_par"}[made.area]


def _file_name(step: Step, role: str, made: Output) -> str:
    if made.area == "plot":
        return step.name.replace("par_", "plt_", 1)
    return step.name if role == step.main else f"{step.name}_{role}"
