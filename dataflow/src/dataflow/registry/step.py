"""The registry of steps: what is made from what. Paths, rules, targets and docs derive from this one list.

A new step is one more entry. An entry says what the step runs once for (its *scope*), what it reads (*inputs*), what it
makes (*outputs*), and which module does it. Which files that are for one file, run or partition is known to
:class:`dataflow.plan.units.Units` alone::

    Step(
        "par_dsp_nopt", Scope.RUN,
        inputs=(Input("raw", role="noise", datatypes=("fft",), optional=True), Input("par_dsp_evtsel.peaks", "peaks")),
        outputs=PART_AND_FIGURES,
        part_of="dsp", rule="pars_dsp_nopt", channels=GERMANIUM,
        configs={"optimiser_config": "par_dsp_nopt.settings:NoptSettings", "processing_chain": PROCESSING_CHAIN},
    )

The parameter file of a tier (``par_dsp``) merges the results of all steps that are ``part_of`` it. Parameters that
a file or a run gets from its own data, not from a calibration (SiPMs), are not ``merged``: the jobs of these read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

DAQ = "daq"


class Scope(StrEnum):
    """What a step runs once for."""

    FILE = "file"
    RUN = "run"
    PARTITION = "partition"
    CYCLE = "cycle"


@dataclass(frozen=True)
class Input:
    """What a step reads.

    Attributes
    ----------
    of
        A tier (``raw``), ``daq``, the parameter file of a tier (``par_dsp``), or a step's output: ``par_dsp_pz`` is
        its first one, ``par_dsp_evtsel.peaks`` the one called so.
    role
        What the step calls it; `of` if not given.
    datatypes
        Of a tier: the files of the same run that have these datatypes. None given: the files of the unit itself.
    optional
        Whether the step works without: the role is then missing where there are no such files.
    """

    of: str
    role: str = ""
    datatypes: tuple[str, ...] = ()
    optional: bool = False

    @cached_property
    def name(self) -> str:
        """The role."""
        return self.role or self.of

    @cached_property
    def source(self) -> str:
        """What makes it: ``daq``, or the name of a step (``tier_raw``, ``par_dsp``, ``par_dsp_evtsel``)."""
        name = self.of.partition(".")[0]
        return name if name == DAQ or name.startswith(("tier_", "par_", "plt_")) else f"tier_{name}"

    @cached_property
    def output(self) -> str:
        """Which output of that step; empty for the first."""
        return self.of.partition(".")[2]

    @cached_property
    def tier(self) -> str:
        """The tier that it is, empty for parameters."""
        return self.source.removeprefix("tier_") if self.source.startswith("tier_") else ""


@dataclass(frozen=True)
class Output:
    """A file that a step makes.

    Attributes
    ----------
    suffix
        Ending of the file.
    area
        Where it is kept: ``tier``, ``par`` (with the parameters of the tier), ``plot``, or ``step`` (below
        ``generated/tmp``, only for other steps).
    name
        What stands in its file name after the key; made from the step and the role if not given.
    """

    suffix: str = ".yaml"
    area: str = "step"
    name: str = ""


@dataclass(frozen=True)
class Select:
    """The channels that a step works on.

    Attributes
    ----------
    systems
        Systems whose processable channels are always among them; empty for all channels, processable or not.
    if_configured
        Systems whose channels are among them where the metadata configures them by name.
    with_status
        Whether what the metadata says of a channel beyond its numbers (usability, pulse-shape status, electronics)
        enters the results.
    classifiers
        Pulse-shape classifiers that the step makes, by their names in the status: of them it enters whether one is
        missing.
    """

    systems: tuple[str, ...] = ()
    if_configured: tuple[str, ...] = ()
    with_status: bool = False
    classifiers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resources:
    """What a job needs: memory in MB, and how many threads help it."""

    mem_mb: int = 1000
    threads: int = 1


ALL_CHANNELS = Select()
GERMANIUM = Select(("geds",))
SIPMS = Select(("spms",))
PROCESSED = Select(("geds", "spms", "puls", "bsln"), ("auxs", "muon", "pmts"))

TIER = {"tier": Output(".lh5", "tier")}
PART = {"par": Output()}
DATA = "data"
"""Role of what figures show, as LH5; a step of their own makes a document of it."""
FIGURES = "steps.figures.build"
"""The module that draws figures."""
PART_AND_FIGURES = {"par": Output(), DATA: Output(".lh5")}
PARS = {"par": Output(".yaml", "par")}
OWN_PARS = {"par": Output(".yaml", "par"), "plt": Output(".pdf", "plot")}
LIGHT = ("phy", "lar", "ssc", "fft")
"""Datatypes in which the light sensors are read out in every event."""

PROCESSING_CHAIN = "tier_dsp.settings:ProcessingChain"
"""What describes a processing chain, of whichever step."""


@dataclass(frozen=True)
class Step:
    """One kind of job.

    Attributes
    ----------
    name
        What the job is called: ``tier_dsp``, ``par_hit_ecal``.
    scope
        What it runs once for.
    inputs
        What it reads; without the tiers that the key scheme lacks. A merge reads the results of its parts.
    outputs
        What it makes, by role; the first is the one that other steps read.
    datatypes
        Of which datatypes the files of its unit are; empty for all (files), or those that give parameters.
    part_of
        The tier whose parameter file its result becomes a part of.
    merged
        Whether it does become one. If not, it stands beside the parameter files, for the jobs of the same files.
    module
        The module of the dataflow that does it, ``steps.tier_dsp.build``; from the name if not given.
    rule
        Its entry in the metadata ``dataprod/config``; ``{daq}`` stands for the DAQ format.
    configs
        That entry's inputs: what describes their settings, as ``module:class`` below ``dataflow.steps``, by the name of
        the input. The modules import no numpy, since settings are checked while planning. An input that is accepted
        and not read has an empty text.
    options
        What describes the options of the entry, in the same form; those that all steps have if not given.
    check
        What is called besides for each configured channel while planning, in the same form: where inputs must fit one
        another.
    only_with
        An input of the rule and an entry of it: the step is planned only where the metadata says it for a channel.
    channels
        What it works on.
    resources
        What it needs.
    figures_of
        The step of a calibration whose figures it makes: nothing needs them, and they are made last.
    doc
        What it does, in a few words.
    """

    name: str
    scope: Scope
    inputs: tuple[Input, ...] = ()
    outputs: Mapping[str, Output] = field(default_factory=lambda: TIER, hash=False)
    datatypes: tuple[str, ...] = ()
    part_of: str = ""
    merged: bool = True
    module: str = ""
    rule: str = ""
    configs: Mapping[str, str] = field(default_factory=dict, hash=False)
    options: str = ""
    check: str = ""
    only_with: tuple[str, str] | None = None
    channels: Select = ALL_CHANNELS
    resources: Resources = Resources()
    figures_of: str = ""
    doc: str = ""

    def __post_init__(self) -> None:
        if not self.module:
            object.__setattr__(self, "module", self._own_module())

    def _own_module(self) -> str:
        if self.kind == "validity":
            return "steps.validity.build"
        return f"steps.{self.name}.build" if self.kind == "tier" or self.part_of else "steps.merge.build"

    @cached_property
    def kind(self) -> str:
        """``tier``, ``par``, ``plt`` (figures) or ``validity``."""
        return self.name.partition("_")[0]

    @cached_property
    def is_of_calibration(self) -> bool:
        """Whether it runs for calibrations: it makes parameters or their figures."""
        return self.kind in ("par", "plt")

    @cached_property
    def is_drawn_apart(self) -> bool:
        """Whether a step of its own makes a document of what it has to show."""
        return self.kind == "par" and DATA in self.outputs and not self.is_merge and "plt" not in self.outputs

    @cached_property
    def tier(self) -> str:
        """The tier that it makes, or whose parameters it makes."""
        return self.part_of or self.name.partition("_")[2]

    @cached_property
    def is_merge(self) -> bool:
        """Whether it joins the results of a calibration's steps into the parameter file."""
        return self.kind == "par" and not self.part_of

    @cached_property
    def main(self) -> str:
        """The role of the output that other steps read."""
        return next(iter(self.outputs))

    @cached_property
    def tables(self) -> Mapping[str, str]:
        """The tier whose tables a role means, where a twin calls them otherwise: ``{"dsp": "psp"}``."""
        of = {each.name: each.tier for each in self.inputs if each.tier and each.name != each.tier}
        own = self.module.split(".")[1].partition("_")[2]
        return of | ({own: self.tier} if self.kind == "tier" and own != self.tier else {})


def twin(step: Step, tiers: Mapping[str, str], **changes: object) -> Step:
    """The same step for other tiers: same module and roles, other files.

    Parameters
    ----------
    step
        For example ``tier_hit``.
    tiers
        The other names, ``{"hit": "pht", "dsp": "psp"}``.
    **changes
        What else is different: ``scope``, ``rule``, ``doc`` …
    """

    def renamed(name: str) -> str:
        kind, _, rest = name.partition("_")
        if not rest:
            return tiers.get(name, name)
        tier, under, part = rest.partition("_")
        return f"{kind}_{tiers.get(tier, tier)}{under}{part}"

    inputs = tuple(replace(each, of=_of(renamed, each.of), role=each.name) for each in step.inputs)
    name, part_of = renamed(step.name), tiers.get(step.part_of, step.part_of)
    return replace(step, **{"name": name, "inputs": inputs, "part_of": part_of, "module": step.module} | changes)  # type: ignore[arg-type]


def _of(renamed: Callable[[str], str], of: str) -> str:
    name, dot, output = of.partition(".")
    return f"{renamed(name)}{dot}{output}"


def figures(merge: Step, parts: Iterable[Step]) -> Step:
    """The step that makes the figures of a run's calibration: a document for each of some parts of the merge.

    What the figures show is joined, that of parts whose figures are made apart too.
    """
    documents = {part.name: _document(part) for part in parts}
    return Step(
        merge.name.replace("par_", "plt_", 1),
        merge.scope,
        outputs={DATA: Output(".lh5", "plot"), **documents},
        module=FIGURES,
        channels=merge.channels,
        resources=Resources(2000, 8),
        figures_of=merge.name,
        doc=f"figures of the {merge.tier} calibration",
    )


def figures_apart(part: Step) -> Step:
    """The step that makes the figures of one part: of a partition, or of what is not there in every run."""
    return Step(
        part.name.replace("par_", "plt_", 1),
        part.scope,
        (Input(f"{part.name}.{DATA}", role=part.name),),
        {part.name: _document(part)},
        part.datatypes,
        part_of=part.part_of,
        module=FIGURES,
        only_with=part.only_with,
        channels=part.channels,
        resources=Resources(2000, 8),
        figures_of=part.name,
        doc=f"figures of {part.name}",
    )


def _document(part: Step) -> Output:
    return Output(".pdf", "plot", part.name.replace("par_", "plt_", 1))


def with_figures(steps: Iterable[Step]) -> Iterator[Step]:
    """Steps, and behind each merge those that make the figures of its parts."""
    steps = tuple(steps)
    for step in steps:
        yield step
        if step.is_merge:
            drawing = [part for part in steps if part.part_of == step.tier and part.is_drawn_apart]
            apart = [part for part in drawing if part.scope is not step.scope or part.only_with]
            yield from map(figures_apart, apart)
            yield figures(step, (part for part in drawing if part not in apart))


class Registry:
    """A list of steps.

    Parameters
    ----------
    steps
        In the order in which they are shown; parts of a parameter file in the order in which they are merged.
    """

    def __init__(self, steps: Iterable[Step]) -> None:
        self.steps = tuple(steps)
        self.by_name: Mapping[str, Step] = {step.name: step for step in self.steps}
        self._inputs: dict[str, tuple[Input, ...]] = {}

    def parts_of(self, tier: str) -> tuple[Step, ...]:
        """The steps whose results are merged into the parameter file of a tier, in order."""
        return tuple(step for step in self.steps if step.part_of == tier and step.merged and not step.figures_of)

    def inputs_of(self, step: Step) -> tuple[Input, ...]:
        """The inputs of a step; a merge reads the results of its parts, each under the step's name."""
        if step.name not in self._inputs:
            self._inputs[step.name] = self._results(step)
        return self._inputs[step.name]

    def _results(self, step: Step) -> tuple[Input, ...]:
        if step.is_merge:
            return tuple(Input(part.name) for part in self.parts_of(step.tier))
        if step.figures_of and not step.part_of:
            drawing = (part.name for part in self.parts_of(step.tier) if part.is_drawn_apart)
            return tuple(Input(f"{name}.{DATA}", role=name) for name in drawing)
        return step.inputs

    def calibrated_tiers(self) -> tuple[str, ...]:
        """The tiers that have parameter files."""
        return tuple(step.tier for step in self.steps if step.is_merge)

    def datatypes_of(self, tier: str) -> tuple[str, ...]:
        """The datatypes whose runs give parameters of a tier: those of its parts; empty for what the scheme says."""
        parts = self.parts_of(tier)
        own = self.by_name[f"par_{tier}"].datatypes if f"par_{tier}" in self.by_name else ()
        if own or not all(part.datatypes for part in parts):
            return own
        return tuple(dict.fromkeys(name for part in parts for name in part.datatypes))
