"""The registry of steps: what is made from what. Paths, rules, targets and docs derive from this one list.

A new step is one more entry: its inputs, and what it makes. Tier steps run once a file (or once a run), parameter
steps once a calibration run; the parameter file of a tier (``par_dsp``) merges the results of all steps that are
``part_of`` it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

DAQ = "daq"
GERMANIUM = ("geds",)
WITH_CHAINS = ("geds", "spms", "puls", "bsln")
"""Systems whose processable channels are always processed beyond raw."""
IF_CONFIGURED = ("auxs", "muon", "pmts")
"""Systems whose channels are processed only where the metadata configures them by name."""


@dataclass(frozen=True)
class Step:
    """One kind of job.

    Attributes
    ----------
    name
        What the job is called: ``tier_dsp``, ``par_hit_ecal``.
    inputs
        Roles of its inputs: ``daq``, a tier, or ``par_`` and a tier; without the tiers that the key scheme lacks.
    rule
        Its entry in the metadata ``dataprod/config``; ``{daq}`` stands for the DAQ format.
    configs
        Names of that entry's inputs, old spellings included.
    systems
        Systems of the channels it works on; empty for all channels of the map, processable or not.
    optional_systems
        Systems whose channels it works on where they are configured by name.
    part_of
        For a step of a calibration: the tier whose parameter file its result becomes a part of.
    plot
        Whether it draws figures.
    per_run
        Whether its inputs are all files of a run.
    with_status
        Whether what the metadata says of a channel beyond its numbers (usability, pulse-shape status, electronics)
        enters its results.
    mem_mb, threads
        What it needs: memory in MB, and how many threads help it.
    doc
        What it does, in a few words.
    """

    name: str
    inputs: tuple[str, ...]
    rule: str = ""
    configs: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    optional_systems: tuple[str, ...] = ()
    part_of: str = ""
    plot: bool = False
    per_run: bool = False
    with_status: bool = False
    mem_mb: int = 1000
    threads: int = 1
    doc: str = ""

    @cached_property
    def kind(self) -> str:
        """``tier``, ``par`` or ``validity``."""
        return self.name.partition("_")[0]

    @cached_property
    def tier(self) -> str:
        """The tier that it makes, or whose parameters it makes."""
        return self.part_of or self.name.partition("_")[2]

    @cached_property
    def module(self) -> str:
        """The module of the dataflow that does it: ``tiers.dsp``, ``pars.pz``, ``pars.merge``, ``jobs.validity``."""
        if self.kind == "validity":
            return "jobs.validity"
        rest = self.name.partition("_")[2]
        return f"tiers.{rest}" if self.kind == "tier" else f"pars.{rest.partition('_')[2] or 'merge'}"

    @property
    def is_merge(self) -> bool:
        """Whether it joins the results of a calibration's steps into the parameter file."""
        return self.kind == "par" and not self.part_of


STEPS: tuple[Step, ...] = (
    Step(
        "tier_raw", (DAQ,), "tier_raw_{daq}", ("settings", "out_spec"), mem_mb=2000, doc="DAQ file to LH5"
    ),
    Step("tier_tcm", ("raw",), "tier_tcm", ("config",), doc="which channels fired together"),
    Step(
        "tier_dsp", ("raw", "par_dsp"), "tier_dsp", ("processing_chain",), WITH_CHAINS, IF_CONFIGURED,
        mem_mb=3000, threads=4, doc="quantities from waveforms",
    ),
    Step(
        "tier_hit", ("dsp", "par_hit"), "tier_hit", ("hit_config",), WITH_CHAINS, IF_CONFIGURED,
        mem_mb=1500, doc="calibrated quantities",
    ),
    Step(
        "tier_evt", ("tcm", "dsp", "hit", "par_hit"), "tier_evt", ("evt_config", "muon_config"), WITH_CHAINS,
        IF_CONFIGURED, with_status=True, mem_mb=2000, doc="events",
    ),
    Step("tier_skm", ("evt",), "tier_skm", ("skm_config",), per_run=True, mem_mb=2000, doc="events for analysis"),
    Step(
        "par_dsp_pz", ("raw", "tcm"), "pars_dsp_tau", ("tau_config", "processing_chain"), GERMANIUM,
        part_of="dsp", plot=True, per_run=True, mem_mb=4000, threads=8, doc="decay constant",
    ),
    Step("par_dsp", (), systems=GERMANIUM, per_run=True, doc="parameters for dsp"),
    Step(
        "par_hit_ecal", ("dsp", "tcm", "par_dsp"), "pars_hit_ecal", ("ecal_config",), GERMANIUM,
        part_of="hit", plot=True, per_run=True, mem_mb=4000, threads=8, doc="energy calibration",
    ),
    Step("par_hit", (), systems=GERMANIUM, per_run=True, doc="parameters for hit"),
    Step("validity_dsp", (), doc="which dsp parameters hold when"),
    Step("validity_hit", (), doc="which hit parameters hold when"),
)  # fmt: skip

BY_NAME = {step.name: step for step in STEPS}


def parts_of(tier: str) -> tuple[Step, ...]:
    """The steps whose results are merged into the parameter file of a tier, in order."""
    return tuple(step for step in STEPS if step.part_of == tier)


def inputs_of(step: Step) -> tuple[str, ...]:
    """The input roles of a step; a merge takes the results of its parts, each under the step's name."""
    return tuple(part.name for part in parts_of(step.tier)) if step.is_merge else step.inputs


def calibrated_tiers() -> tuple[str, ...]:
    """The tiers that have parameter files."""
    return tuple(step.tier for step in STEPS if step.is_merge)
