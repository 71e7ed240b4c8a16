"""What the Snakefile asks of the plan: targets from the command line, rule parts, the command of a job."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from dataflow.base.errors import UserError
from dataflow.keys.inventory import left_out_note
from dataflow.provenance.records import Records
from dataflow.registry.step import DAQ, Step
from dataflow.setup.execenv import own_python, wrap
from dataflow.setup.wishes import not_installed

from .cores import share_out
from .cycle import Cycle, open_cycle
from .demand import Demand, Seen
from .job import Job, Unit
from .noeffect import findings
from .paths import template_pattern
from .portion import Portion, first_of
from .survey import START, Item, Survey, all_jobs
from .targets import Target, form, is_target, resolve
from .ticket import FOLDER, Ticket, Tickets, read_ticket
from .troubles import Trouble, counted, sentences, troubles_of
from .units import Place

USAGE = 2
_NOT_MADE = "generated/tmp/not-made-here"
"""No file: what nothing in the cycle can be made from."""
PORTION, FAILED, EVENTS = "DATAPROD_PORTION", "DATAPROD_FAILED", "DATAPROD_EVENTS"
"""What ``dataprod run`` says: how many jobs at a time, a file with outputs that failed, and the pipe that it reads."""
DRY_RUN = frozenset({"-n", "--dry-run", "--dryrun"})
Wildcards = Any
"""Snakemake's wildcards: the fields of a key as attributes."""


class Workflow:
    """A cycle as Snakemake sees it: paths relative to the cycle, functions of wildcards.

    Parameters
    ----------
    config
        The configuration file.
    experiment
        Name of the setup in it.
    planned
        Whether this is Snakemake for one job on a node of a cluster: it takes the job's ticket and plans nothing.
    """

    def __init__(self, config: str | os.PathLike[str], experiment: str | None = None, *, planned: bool = False) -> None:
        self.planned = planned
        self.config = Path(os.path.abspath(config))  # noqa: PTH100 - links stay: a cycle has the name it was given
        self.cycle: Cycle = open_cycle(self.config, experiment)
        self.steps: Sequence[Step] = self.cycle.steps
        self._units: dict[tuple[str, ...], Unit] = {}
        self._resolved: dict[str, Target] = {}
        self._portion = Portion((), {})
        self._undrawn: list[str] = []

    @property
    def folder(self) -> str:
        """The folder in which everything runs: that of the cycle."""
        return str(self.cycle.setup.directory)

    @property
    def example(self) -> str:
        """The form of a target."""
        return form(self.cycle.scheme, self.cycle.keys)

    def targets(self, words: Sequence[str]) -> list[Target]:
        """The targets among the words of a command line.

        Everything that they, and the paths among the words, need is planned here, so that what is wrong comes out as
        one sentence before Snakemake begins. Software that is not installed yet is not an error of a dry run.

        Raises
        ------
        UserError
            The first thing that is wrong.
        """
        if is_listening() and "--" in words:  # behind it stand nothing but targets and files
            self._require_known(words[words.index("--") + 1 :])
        found = self._targets(words)
        if self._checked(found, words):
            self._refuse_other_software(words)
        return found

    def _targets(self, words: Sequence[str]) -> list[Target]:
        """The targets among words, each resolved once."""
        for word in words:
            if is_target(word) and word not in self._resolved:
                self._resolved[word] = resolve(word, self.cycle)
        return [self._resolved[word] for word in dict.fromkeys(words) if is_target(word)]

    def not_installed(self) -> UserError | None:
        """What is to be said if the installed software is not what the configuration asks for."""
        return not_installed(self.cycle.setup)

    def ignored(self) -> list[str]:
        """What stands in configuration and metadata and does nothing, and DAQ files that are left out, in sentences."""
        note = left_out_note(self.cycle.inventory, self.cycle.setup.path("tier_daq"))
        return [*map(str, findings(self.cycle)), *([note] if note else [])]

    def _refuse_other_software(self, words: Sequence[str]) -> None:
        said = self.not_installed()
        if said and DRY_RUN.isdisjoint(words):
            raise said
        if said:
            print(said.render().replace("error:", "warning:", 1), file=sys.stderr)

    def wanted(self, words: Sequence[str]) -> list[Place]:
        """The jobs that targets and output files (relative to the cycle) ask for, validity lists included.

        Figures of the calibrations are wanted besides, see :meth:`figures`.

        Raises
        ------
        UserError
            If a word is neither, or something is wrong with what is needed.
        """
        self._require_known(words)
        found = self._targets(words)
        lists = [self.job_of(path) for target in found for path in self._validity(target)]
        return list(dict.fromkeys([*self._checked(found, words), *filter(None, lists)]))

    def _require_known(self, words: Iterable[str]) -> None:
        for word in words:
            if not is_target(word) and self.job_of(word) is None:
                raise UserError(f"{word!r} is neither a target nor an output of a step", hint=f"write {self.example}")

    def _checked(self, found: Sequence[Target], words: Sequence[str]) -> list[Place]:
        """The jobs of targets and paths, with all that they need planned."""
        wanted = [job for target in found for job in target.jobs]
        wanted += [job for word in words if (job := self.job_of(word)) is not None]
        with self.cycle.chains.builds.beside():
            self.cycle.check(wanted)
            self.cycle.check(self.figures(words))
            self.cycle.chains.builds.check()
        return wanted

    def figures(self, words: Sequence[str]) -> list[Place]:
        """The jobs that make the figures of the calibrations that targets need, after these were planned."""
        return self.cycle.figures() if any(map(is_target, words)) else []

    def job_of(self, word: str) -> Place | None:
        """The job that makes the output file `word` (relative to the cycle), None if no step does."""
        for step, pattern in self._patterns:
            match = pattern.fullmatch(word)
            if match:
                return step.name, self.cycle.units.named(step, match.groupdict())
        return None

    @cached_property
    def _patterns(self) -> list[tuple[Step, re.Pattern[str]]]:
        fields = self.cycle.scheme.patterns
        return [(s, template_pattern(made, fields)) for s in self.steps for made in self.outputs(s).values()]

    def files(self, target: Target, made: frozenset[str] | None = None) -> list[str]:
        """The files that a target asks for, with the validity lists of the parameters that they depend on.

        Parameters
        ----------
        target
            The target.
        made
            The outputs that this run makes, see :meth:`to_make`, where Snakemake need not know of the others: one of
            them stands for all that are current. None for all files.
        """
        jobs = (*target.jobs, *self.figures([target.text]))
        outputs = [path for step, unit in jobs for path in self._outputs(step, unit)]
        found = list(dict.fromkeys([*outputs, *self._validity(target)]))
        if made is None:
            return found
        if self._portion.is_part or self._failed:  # what of the target cannot be made now is not asked for
            return sorted(made) or [str(self.config)]
        return [path for path in found if path in made] or [self.as_found(found[0], made)]

    def as_found(self, path: str, made: frozenset[str]) -> str:
        """A path as Snakemake is told of it: of one that is current it need not know which rule makes it.

        All outputs of rules are relative to the cycle, so no rule makes what an absolute path names, and Snakemake
        looks no further.
        """
        full = os.path.join(self.folder, path)  # noqa: PTH118 - a hundred thousand of them
        return path if path in made or not self.cycle.lineages.records.is_there(full) else full

    def outputs(self, step: Step) -> Mapping[str, str]:
        """Output patterns of a rule."""
        return self.cycle.paths.outputs(step)

    def log(self, step: Step) -> str:
        """Log pattern of a rule."""
        return self.cycle.paths.log(step)

    def share(self, step: Step) -> str:
        """Pattern of a share of a job; see :mod:`dataflow.jobs.shares`."""
        return self.cycle.paths.share(step)

    def shares(self, step: Step, wildcards: Wildcards, number: int) -> list[str]:
        """The shares that a job is divided into, one for each detector at most; none where it is not divided."""
        most = min(number, len(self._job(step, wildcards).channels))
        if most < 2 or self._gone(step, wildcards):
            return []
        fields = self._fields(wildcards) | {"lineage": self.lineage(step)(wildcards)}
        names = [f"{each}-of-{most}" for each in range(1, most + 1)]
        return [self.share(step).format_map(fields | {"share": name}) for name in names]

    def inputs(self, step: Step) -> Callable[[Wildcards], dict[str, list[str]]]:
        """The input function of a rule."""

        def of(wildcards: Wildcards) -> dict[str, list[str]]:
            if ticket := self._ticket(step, wildcards):
                return {role: self._relative(paths) for role, paths in ticket.job.inputs.items()}
            gone = self._gone(step, wildcards)
            if gone:
                return {"daq": [gone]}
            job = self._job(step, wildcards)
            return {role: self._relative(paths) for role, paths in job.inputs.items()}

        return of

    def _relative(self, paths: Iterable[Path]) -> list[str]:
        return [self.cycle.paths.relative(path) for path in paths]

    def key(self, step: Step) -> Callable[[Wildcards], str]:
        """The function that gives the name of a job's unit."""

        def of(wildcards: Wildcards) -> str:
            ticket = self._ticket(step, wildcards)
            return str(ticket.job.unit if ticket else self._unit(step, wildcards))

        return of

    def threads(self, step: Step, cores: int | None) -> int | Callable[[Wildcards], int]:
        """How many threads a job of a step gets, after :meth:`to_make` was asked.

        Parameters
        ----------
        step
            The step.
        cores
            How many threads run here at a time; None where jobs run elsewhere.
        """
        most = step.resources.threads
        if most == 1 or not cores:
            return most
        units = [item.unit for item in self._portion.now if item.step == step.name]
        found = dict(zip(units, share_out(len(units), cores, most), strict=True))
        return lambda wildcards: found.get(self._unit(step, wildcards), most)

    def priority(self, step: Step) -> int | Callable[[Wildcards], int]:
        """What a job's priority is: 1 for what parameters are derived from, 0 else.

        Tiers of physics wait for parameters, and fill the processors while only a few calibrations can run.
        """
        if self.planned:
            return 0
        calibration = self.cycle.scheme.calibration
        return lambda wildcards: int(self._unit(step, wildcards).key.datatype in calibration)

    def to_make(
        self, words: Sequence[str], threads: int = 2, known: Callable[[Sequence[str]], object] | None = None
    ) -> frozenset[str]:
        """The outputs that a run for the words of a command line makes, as the records beside the files say.

        What Snakemake has noted of files and their times does not count: they may have been touched, restored or
        copied, and then only the records tell what they are. DAQ files that are new are read for their identity, as
        far as jobs are told of now.

        Parameters
        ----------
        words
            The command line. What is needed for a path among them Snakemake makes in any case, so that the jobs are
            not divided into portions.
        threads
            How many files are read at a time.
        known
            Told the step of each job, of later portions too, as soon as that is known, where ``dataprod run`` listens.

        Raises
        ------
        UserError
            If a DAQ file cannot be read.
        """
        found = self._targets(words)
        wanted = [job for target in found for job in target.jobs]
        lists = [path for target in found for path in self._validity(target)]
        paths = [job for word in words if (job := self.job_of(word)) is not None]
        wanted += [*paths, *filter(None, map(self.job_of, lists))]
        self._identify(self._raw_there(), threads)
        survey = Survey(self.cycle)
        items = survey.to_make(dict.fromkeys(wanted), self.figures(words))
        self._undrawn = survey.undrawn_said()
        self._require_readable(items)
        most = os.environ.get(PORTION, "")
        at_a_time = int(most) if most.isdigit() and not paths else 0
        self._portion = first_of(items, at_a_time, self._has_failed, lambda place: self.cycle.needs(*place))
        if is_listening():
            self._tell_of(survey, items)
            if known:
                known([item.step for item in items])
        self._identify([(item.step, item.unit) for item in self._portion.now], threads)
        return frozenset(path for item in self._portion.now for path in self._outputs(item.step, item.unit))

    def _raw_there(self) -> list[Place]:
        """The jobs whose raw files are there: what they would be made by tells whether they are to be made again."""
        there, output = self.cycle.lineages.records.is_there, self.cycle.output_text
        return [place for place in self.cycle.planned if place[0] == "tier_raw" and there(output(*place))]

    def _require_readable(self, items: Iterable[Item]) -> None:
        """Refuse DAQ files that cannot be read, also those that are read for their identity in a later portion."""
        for item in items:
            path = self.cycle.inventory.daq.get(item.unit.key) if item.step == "tier_raw" else None
            if path and not os.access(path, os.R_OK):
                self.cycle.lineages.identities.of(path)  # which says why, or can after all

    def _identify(self, jobs: Iterable[Place], threads: int) -> None:
        """Read the DAQ files of some jobs that are new; where ``dataprod run`` listens, that is told and remembered."""
        lineages = self.cycle.lineages
        new = lineages.unread(jobs)
        size = sum(lineages.identities.size(path) for path in new)
        if size:
            tell(event="reading", files=len(new), bytes=size)
        lineages.identities.learn(new, threads)
        if is_listening():
            lineages.identities.save()

    def _tell_of(self, survey: Survey, items: Sequence[Item]) -> None:
        """Tell ``dataprod run`` what comes after this portion, and what jobs took before."""
        if self._portion.is_part:
            tell(event="portion", later=self._portion.later)
        ahead = {(item.step, item.unit) for item in items}
        if 0 < len(ahead) < len(self.cycle.planned):
            costs = survey.costs(self.cycle.planned - ahead)
            tell(event="took", steps={step: (cost.seconds + START, cost.threads) for step, cost in costs.items()})

    def _has_failed(self, item: Item) -> bool:
        return not self._failed.isdisjoint(self._outputs(item.step, item.unit)) if self._failed else False

    @cached_property
    def _failed(self) -> frozenset[str]:
        """The outputs that failed before in this run."""
        file = os.environ.get(FAILED, "")
        return frozenset(Path(file).read_text(encoding="utf-8").splitlines() if file else ())

    def is_among(self, step: Step, wildcards: Wildcards, files: frozenset[str]) -> bool:
        """Whether an output of a job is among some files."""
        return not files.isdisjoint(self._outputs(step.name, self._unit(step, wildcards)))

    def lineage(self, step: Step) -> Callable[[Wildcards], str]:
        """The function that gives a job's lineage."""

        def of(wildcards: Wildcards) -> str:
            ticket = self._ticket(step, wildcards)
            return ticket.lineage if ticket else self.cycle.lineage(step.name, self._unit(step, wildcards))

        return of

    def _ticket(self, step: Step, wildcards: Wildcards) -> Ticket | None:
        """The ticket of a job that was planned before, None where it is planned here."""
        if not self.planned:
            return None
        file = Path(self.tickets) / self.ticket(step)(wildcards)
        return read_ticket(file) if file.is_file() else None

    def ticket(self, step: Step) -> Callable[[Wildcards], str]:
        """The function that gives the place of a job's ticket below :attr:`tickets`."""
        form = self.cycle.paths.ticket(step)
        return lambda wildcards: f"{form.format_map(self._fields(wildcards))}.json"

    @property
    def tickets(self) -> str:
        """The folder of the tickets."""
        return str(self.cycle.setup.path("tmp") / FOLDER)

    def demand(self, step: Step) -> Demand:
        """What the jobs of a step need on a cluster, learned from those that are done."""
        return Demand(step.resources, self._seen.get(step.name))

    @cached_property
    def _seen(self) -> Mapping[str, Seen]:
        return Survey(self.cycle).demands(all_jobs(self.cycle))

    def write_tickets(self, jobs: Iterable[tuple[str, Wildcards]]) -> None:
        """Write the tickets of the jobs that are about to run: the name of the rule and the wildcards of each."""
        self.cycle.chains.builds.remember()
        tickets, steps = Tickets(self.cycle), {step.name: step for step in self.steps}
        for name, wildcards in jobs:
            if name in steps:
                tickets.write(steps[name], self._unit(steps[name], wildcards))

    def command(self, module: str = "dataflow.jobs") -> list[str]:
        """The beginning of a job's command line, up to the name of the step; or that of another module."""
        setup = self.cycle.setup
        words, environment = wrap(setup, [*own_python(setup), "-m", module], os.environ)
        changed = [f"{name}={value}" for name, value in environment.items() if os.environ.get(name) != value]
        gone = [word for name in os.environ if name not in environment for word in ("-u", name)]
        return ["env", *gone, *changed, *words]

    @property
    def forks(self) -> bool:
        """Whether jobs on this machine may be forked from one process: not into a container."""
        setup = self.cycle.setup
        return not self.planned and not setup.execenv.cmd and bool(setup.options.get("forked_jobs", True))

    def require_folder(self, here: Path) -> None:
        """Refuse to run anywhere but in the cycle: the paths of its files are relative to it.

        Raises
        ------
        UserError
            If Snakemake was sent elsewhere.
        """
        if not here.samefile(self.folder):
            raise UserError(f"--directory {here} is not the cycle {self.folder}", hint="leave --directory out")

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

    def troubles(self, words: Sequence[str]) -> list[Trouble]:
        """What the records say of detectors, in all that targets and output files ask for and need, and in figures.

        Raises
        ------
        UserError
            If a target means nothing any more.
        """
        found = self._targets(words)
        jobs = [job for target in found for job in target.jobs]
        jobs += [job for word in words if (job := self.job_of(word)) is not None]
        return troubles_of(self.cycle, [*jobs, *self.figures(words)], Records())

    def last_words(self, words: Sequence[str]) -> None:
        """Say what was ignored and what became of detectors, after Snakemake has ended: its last lines know jobs only.

        Where ``dataprod run`` listens, it is told instead, unless it starts Snakemake again for what comes after.
        """
        if is_listening() and self._portion.is_part:
            return
        found = self.troubles(words)
        lines = [f"warning: {each}" for each in (*self.ignored(), *self._undrawn)]
        lines += sentences(found, f"dataprod status {self.folder} --json has them all")
        if is_listening():
            lost = any(each.is_lost for each in found)
            tell(event="detectors", lines=lines, counted=counted(found), lost=lost, undrawn=len(self._undrawn))
            return
        for line in lines:
            print(line, file=sys.stderr)

    def _job(self, step: Step, wildcards: Wildcards) -> Job:
        return self.cycle.job(step.name, self._unit(step, wildcards))

    def _gone(self, step: Step, wildcards: Wildcards) -> str:
        """A file that is missing, for an output that is there and not made: Snakemake then takes that as it is."""
        unit = self._unit(step, wildcards)
        if self.cycle.is_made(step.name, unit):
            return ""
        if any(each.of == DAQ for each in step.inputs):
            return self.cycle.paths.daq(unit.key) if unit.key in self.cycle.inventory.raw else _NOT_MADE
        return _NOT_MADE

    def _unit(self, step: Step, wildcards: Wildcards) -> Unit:
        """The unit of the job whose output has these fields."""
        fields = self._fields(wildcards)
        place = step.name, *fields.values()
        if place not in self._units:
            self._units[place] = self.cycle.units.named(step, fields)
        return self._units[place]

    def _fields(self, wildcards: Wildcards) -> dict[str, str]:
        names = self.cycle.scheme.patterns
        return {name: getattr(wildcards, name) for name in names if hasattr(wildcards, name)}

    def _outputs(self, step: str, unit: Unit) -> list[str]:
        if not self.cycle.is_made(step, unit):
            return [self.cycle.paths.relative(self.cycle.output(step, unit))]
        return [form.format_map(unit.fields) for form in self.outputs(self.cycle.step(step)).values()]

    def _validity(self, target: Target) -> list[str]:
        needed = self.cycle.upstream({step for step, _ in target.jobs})
        made, calibrated = {step.name for step in self.steps}, self.cycle.registry.calibrated_tiers()
        tiers = [tier for tier in calibrated if f"par_{tier}" in needed and f"validity_{tier}" in made]
        lists = {tier: self.cycle.step(f"validity_{tier}") for tier in tiers}
        possible = [tier for tier, step in lists.items() if self.cycle.is_possible(step.name, self._whole(step))]
        return [self.cycle.paths.validity(tier) for tier in possible]

    def _whole(self, step: Step) -> Unit:
        return self.cycle.units.cycle(step)


def is_listening() -> bool:
    """Whether a ``dataprod run`` listens to what is told."""
    return os.environ.get(EVENTS, "").isdigit()


def tell(**event: object) -> None:
    """Tell an event to the ``dataprod run`` that listens."""
    if is_listening():
        rest = (json.dumps(event) + "\n").encode()
        with suppress(OSError):  # it is gone: its own end is what ends this
            while rest:
                rest = rest[os.write(int(os.environ[EVENTS]), rest) :]


def stop(error: UserError) -> NoReturn:
    """End the program with the sentences for the user."""
    tell(event="refused", message=error.message, hint=error.hint)
    print(error.render(), file=sys.stderr)
    raise SystemExit(USAGE)
