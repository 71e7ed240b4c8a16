"""Which settings describe which configuration: by rule of the metadata and input, as ``module:class``.

The modules are imported when something is checked or documented, because they need pydantic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataflow.keys.channel import Channel

    from .settings import StepSettings
    from .stepconfig import StepConfig

OPTIONS = "options"
_CHAIN = "steps.tier_dsp.settings:ProcessingChain"
_RAW = {
    "settings": "steps.tier_raw.settings:RawSettings",
    "out_spec": "steps.tier_raw.settings:OutSpec",
    OPTIONS: "steps.tier_raw.settings:RawOptions",
}
_NONE = "metadata.settings:StepOptions"

_HIT = {"hit_config": "steps.tier_hit.settings:HitConfig", OPTIONS: "steps.tier_hit.settings:HitOptions"}

SCHEMAS: Mapping[str, Mapping[str, str]] = {
    "tier_raw": _RAW,
    "tier_tcm": {"config": "steps.tier_tcm.settings:TcmSettings", OPTIONS: _NONE},
    "tier_dsp": {"processing_chain": _CHAIN, OPTIONS: "steps.tier_dsp.settings:DspOptions"},
    "tier_hit": _HIT,
    "tier_pht": _HIT,
    "tier_evt": {"evt_config": "steps.tier_evt.settings:EvtConfig", OPTIONS: "steps.tier_evt.settings:EvtOptions"},
    "tier_skm": {"skm_config": "steps.tier_skm.settings:SkmConfig", OPTIONS: _NONE},
    "pars_tcm_pulser": {"pulser_config": "steps.par_tcm_pulser.settings:PulserSettings", OPTIONS: _NONE},
    "pars_dsp_tau": {
        "tau_config": "steps.par_dsp_pz.settings:PzSettings",
        "processing_chain": _CHAIN,
        OPTIONS: _NONE,
    },
    "pars_dsp_nopt": {
        "optimiser_config": "steps.par_dsp_nopt.settings:NoptSettings",
        "processing_chain": _CHAIN,
        OPTIONS: _NONE,
    },
    "pars_dsp_dplms": {
        "dplms_pars": "steps.par_dsp_dplms.settings:DplmsSettings",
        "proc_chain": _CHAIN,
        OPTIONS: _NONE,
    },
    "pars_dsp_peak_selection": {
        "peak_config": "steps.par_dsp_evtsel.settings:SelectionSettings",
        "processing_chain": _CHAIN,
        "sources": "steps.par_hit_ecal.settings:Sources",
        OPTIONS: _NONE,
    },
    "pars_hit_ecal": {
        "ecal_config": "steps.par_hit_ecal.settings:Settings",
        "sources": "steps.par_hit_ecal.settings:Sources",
        OPTIONS: _NONE,
    },
    "pars_pht_partcal": {
        "pars_pht_partcal_config": "steps.par_pht_partcal.settings:PartitionSettings",
        "sources": "steps.par_hit_ecal.settings:Sources",
        OPTIONS: _NONE,
    },
    "pars_hit_aoecal": {"aoecal_config": "steps.par_hit_aoe.settings:Settings", OPTIONS: _NONE},
}
"""Settings of the inputs of each rule, and of its options; ``tier_raw`` stands for the rules of all DAQ formats."""

CHECKS: Mapping[str, str] = {
    "pars_dsp_peak_selection": "steps.par_dsp_evtsel.lines:selection_of",
    "pars_hit_ecal": "steps.par_hit_ecal.source:calibration_of",
    "pars_pht_partcal": "steps.par_pht_partcal.source:partition_of",
}
"""What is also called for each configured channel while planning: where inputs must fit one another."""

SECTIONS: Mapping[str, frozenset[str]] = {
    "processing_chain": frozenset({"outputs", "processors"}),
    "proc_chain": frozenset({"outputs", "processors"}),
    "hit_config": frozenset({"outputs", "operations"}),
    "evt_config": frozenset({"channels", "outputs", "operations"}),
}
"""Entries that make a configuration complete: with all of them it stands alone, as in the published flow."""


def _family(rule: str) -> str:
    is_raw = rule.startswith("tier_raw_") and not rule.startswith("tier_raw_blind")
    return "tier_raw" if is_raw else rule


@cache
def check_of(rule: str) -> Callable[[StepConfig, Channel], object] | None:
    """What checks the inputs of a rule together; None where nothing is declared."""
    module, _, name = CHECKS.get(rule, "").partition(":")
    found: Callable[[StepConfig, Channel], object] | None
    found = getattr(import_module(f"dataflow.{module}"), name) if module else None
    return found


@cache
def schema(rule: str, name: str) -> type[StepSettings] | None:
    """The settings of an input, or of the options of a rule; None where none are declared."""
    place = SCHEMAS.get(_family(rule), {}).get(name.partition(".")[0])
    if place is None:
        return None
    module, _, kind = place.partition(":")
    found: type[StepSettings] = getattr(import_module(f"dataflow.{module}"), kind)
    return found
