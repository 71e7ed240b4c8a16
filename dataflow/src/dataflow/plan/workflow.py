"""What the Snakefile asks of the plan: targets from the command line, rule parts, the command of a job."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from .cycle import Cycle, open_cycle
from .errors import UserError
from .execenv import wrap
from .model import Job, Key
from .steps import Step, calibrated_tiers
from .targets import Target, is_target, resolve

USAGE = 2
Wildcards = Any
"""Snakemake's wildcards: the fields of a key as attributes."""


class Workflow:
    """A cycle as Snakemake sees it: paths relative to the cycle, functions of wildcards.

    Parameters
    ----------
    config
        The configuration file.
    """

    def __init__(self, config: str | os.PathLike[str]) -> None:
        self.config = Path(os.path.abspath(config))  # noqa: PTH100 - links stay: a cycle has the name it was given
        self.cycle: Cycle = open_cycle(self.config)
        self.steps: Sequence[Step] = self.cycle.steps

    @property
    def folder(self) -> str:
        """The folder in which everything runs: that of the cycle."""
        return str(self.cycle.setup.directory)

    def targets(self, words: Sequence[str]) -> list[Target]:
        """The targets among the words of a command line, with everything that they need planned and checked."""
        found = [resolve(word, self.cycle) for word in dict.fromkeys(words) if is_target(word)]
        for target in found:
            self.cycle.check(target.jobs)
        return found

    def files(self, target: Target) -> list[str]:
        """The files that a target asks for, with the validity lists of the parameters that they depend on."""
        outputs = [path for step, key in target.jobs for path in self._outputs(step, key)]
        return list(dict.fromkeys(outputs)) + self._validity(target)

    def outputs(self, step: Step) -> Mapping[str, str]:
        """Output patterns of a rule."""
        return self.cycle.paths.outputs(step)

    def log(self, step: Step) -> str:
        """Log pattern of a rule."""
        return self.cycle.paths.log(step)

    def inputs(self, step: Step) -> Callable[[Wildcards], dict[str, list[str]]]:
        """The input function of a rule."""

        def of(wildcards: Wildcards) -> dict[str, list[str]]:
            job = self._job(step, wildcards)
            return {role: [self.cycle.paths.relative(path) for path in paths] for role, paths in job.inputs.items()}

        return of

    def key(self, step: Step) -> Callable[[Wildcards], str]:
        """The function that gives a job's key."""
        return lambda wildcards: str(self._job(step, wildcards).key)

    def recipe(self, step: Step) -> Callable[[Wildcards], str]:
        """The function that gives a job's recipe."""
        return lambda wildcards: self.cycle.recipe(step.name, self._job(step, wildcards).key)

    def command(self) -> list[str]:
        """The beginning of a job's command line, up to the name of the step."""
        python = self.cycle.setup.path("install") / "bin" / "python"
        words, environment = wrap(self.cycle.setup, [str(python), "-m", "dataflow.jobs"], os.environ)
        changed = [f"{name}={value}" for name, value in environment.items() if os.environ.get(name) != value]
        gone = [word for name in os.environ if name not in environment for word in ("-u", name)]
        return ["env", *gone, *changed, *words]

    def require_software(self) -> None:
        """Refuse to start jobs where no software is installed.

        Raises
        ------
        UserError
            It says how to install it.
        """
        if not (self.cycle.setup.path("install") / "bin" / "python").exists():
            raise UserError(
                f"the software of this cycle is not installed in {self.cycle.setup.path('install')}",
                hint=f"run dataprod-install-sw {self.config}",
            )

    def _job(self, step: Step, wildcards: Wildcards) -> Job:
        return self.cycle.job(step.name, self._key(step, wildcards))

    def _key(self, step: Step, wildcards: Wildcards) -> Key:
        scheme = self.cycle.scheme
        if step.kind == "validity":
            return min(self.cycle.catalog.keys or self.cycle.keys, key=lambda key: key.order)
        names = [name for name in scheme.names if hasattr(wildcards, name)]
        if len(names) == len(scheme.names):
            return scheme.key("-".join(getattr(wildcards, name) for name in names))
        return self.cycle.runs["-".join(getattr(wildcards, name) for name in names)][0]

    def _outputs(self, step: str, key: Key) -> list[str]:
        job = self.cycle.job(step, key)
        return [self.cycle.paths.relative(path) for path in job.outputs.values()]

    def _validity(self, target: Target) -> list[str]:
        needed = self.cycle.upstream({step for step, _ in target.jobs})
        made = {step.name for step in self.steps}
        tiers = [tier for tier in calibrated_tiers() if f"par_{tier}" in needed and f"validity_{tier}" in made]
        return [self.cycle.paths.validity(tier) for tier in tiers]


def stop(error: UserError) -> NoReturn:
    """End the program with the sentences for the user."""
    print(error.render(), file=sys.stderr)
    raise SystemExit(USAGE)
