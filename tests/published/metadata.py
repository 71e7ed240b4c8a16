"""Step configuration in the form that the published flow wants, from the defaults of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

STEPS = Path(__file__).resolve().parents[2] / "dataflow/src/dataflow/steps"
KEY = "l200-p03-r000-cal-20240301T080000Z"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"simple": {"format": "%(name)s [%(levelname)s] %(message)s"}},
    "handlers": {
        "dataflow": {"class": "logging.FileHandler", "level": "INFO", "formatter": "simple", "filename": "x.log"}
    },
    "loggers": {"prod": {"level": "INFO", "handlers": ["dataflow"]}},
}
CHAIN = """
outputs: [timestamp, baseline, wf_min, wf_max, tp_max, bl_mean, bl_std, trapEmax]
processors:
  tp_min, tp_max, wf_min, wf_max:
    {function: min_max, module: dspeed.processors, args: [waveform, tp_min, tp_max, wf_min, wf_max],
     unit: [ns, ns, ADC, ADC]}
  bl_mean, bl_std, bl_slope, bl_intercept:
    {function: linear_slope_fit, module: dspeed.processors,
     args: ["waveform[0:round(0.34*len(waveform))]", bl_mean, bl_std, bl_slope, bl_intercept],
     unit: [ADC, ADC, ADC, ADC]}
  wf_blsub: {function: bl_subtract, module: dspeed.processors, args: [waveform, bl_mean, wf_blsub], unit: ADC}
  wf_pz:
    {function: pole_zero, module: dspeed.processors, args: [wf_blsub, db.pz.tau, wf_pz], unit: ADC,
     defaults: {db.pz.tau: 100*us}}
  wf_trap: {function: trap_norm, module: dspeed.processors, args: [wf_pz, 4*us, 2*us, wf_trap], unit: ADC}
  trapEmax:
    {function: amax, module: numpy, args: [wf_trap, 1, trapEmax], unit: ADC,
     kwargs: {signature: "(n),()->()", types: ["fi->f"]}}
"""
"""Processors of dspeed alone: our default chain has some of our own, which the published environment lacks."""
HIT = """
outputs: [timestamp, trapEmax_cal, is_high, is_quiet]
operations:
  trapEmax_cal: {expression: a + b * trapEmax, parameters: {a: 0, b: 1}, lgdo_attrs: {units: keV}}
  is_high: {expression: trapEmax_cal > 1000}
  is_quiet: {expression: (bl_std < a) & (wf_min > 0), parameters: {a: 100}}
"""
PLAIN: Mapping[tuple[str, str], str] = {("tier_dsp", "processing_chain"): CHAIN, ("tier_hit", "hit_config"): HIT}
OF_CHANNELS: Mapping[str, Mapping[str, str]] = {
    "pars_dsp_tau": {"tau_config": "par_dsp_pz/tau_config", "processing_chain": "chain"},
    "pars_dsp_peak_selection": {
        "peak_config": "par_dsp_evtsel/peak_config",
        "processing_chain": "chain",
    },
    "pars_dsp_nopt": {
        "optimiser_config": "par_dsp_nopt/optimiser_config",
        "processing_chain": "chain",
    },
    "pars_dsp_eopt": {
        "optimiser_config": "par_dsp_eopt/optimiser_config",
        "processing_chain": "chain",
    },
    "pars_dsp_dplms": {"dplms_pars": "par_dsp_dplms/dplms_pars", "proc_chain": "chain"},
    "pars_psp": {"psp_config": "par_dsp_nopt/optimiser_config"},
    "pars_psp_dplms": {"dplms_pars": "par_dsp_dplms/dplms_pars", "proc_chain": "chain"},
    "pars_hit_qc": {"qc_config": "par_hit_qc/qc_config"},
    "pars_hit_ecal": {"ecal_config": "par_hit_ecal/ecal_config"},
    "pars_hit_aoecal": {"aoecal_config": "par_hit_aoe/aoecal_config"},
    "pars_hit_lqcal": {"lqcal_config": "par_hit_lq/lqcal_config"},
    "pars_pht_qc": {"qc_config": "par_hit_qc/qc_config"},
    "pars_pht_ecal": {"ecal_config": "par_hit_ecal/ecal_config"},
    "pars_pht_partcal": {"pars_pht_partcal_config": "par_pht_partcal/pars_pht_partcal_config"},
    "pars_pht_aoecal": {"par_pht_aoecal_config": "par_hit_aoe/aoecal_config"},
    "pars_pht_lqcal": {"lqcal_config": "par_hit_lq/lqcal_config"},
}
"""Inputs by germanium detector, and the default of ours that stands for each."""


def write_published(inputs: Path) -> None:
    """Add the step configuration to metadata that have channel maps."""
    config = inputs / "dataprod/config"
    systems = {name: system for name, system in _systems(inputs).items() if system != "spms"}
    pulser = {"pulser_multiplicity_threshold": 10}
    rules: dict[str, Any] = {
        "tier_tcm": {"inputs": {"config": _written(config, "tcm", _tcm())}},
        "tier_dsp": {"inputs": {"processing_chain": _by_channel(config, systems, "tier_dsp", "processing_chain")}},
        "tier_hit": {"inputs": {"hit_config": _by_channel(config, systems, "tier_hit", "hit_config")}},
        "pars_tcm_pulser": {"inputs": {"pulser_config": _written(config, "pulser", pulser)}},
        "tier_evt": {"inputs": {"evt_config": _written(config, "evt", {"channels": {}, "operations": {}})}},
        "tier_skm": {"inputs": {"skm_config": _written(config, "skm", {"operations": {}})}},
        "pars_spms_dsp_trg_thr": {"inputs": {}},
        "tier_raw_blind_check": {"inputs": {}},
    }
    rules["tier_ann"] = rules["tier_pan"] = rules["tier_dsp"]
    rules["tier_psp"], rules["tier_pht"] = rules["tier_dsp"], rules["tier_hit"]
    detectors = [name for name, system in systems.items() if system == "geds"]
    for rule, fields in OF_CHANNELS.items():
        files = {field: _written(config, f"{rule}-{field}", _default(path)) for field, path in fields.items()}
        rules[rule] = {"inputs": {field: dict.fromkeys(detectors, file) for field, file in files.items()}}
    for rule in rules.values():
        rule["options"] = {"logging": _written(config, "logging", LOGGING)}
    (config / "l200-all-config.yaml").write_text(yaml.safe_dump({"snakemake_rules": rules}))
    _override(inputs / "dataprod/overrides/ann", *(f"cal/p03/r000/{KEY}-par_ann_{name}.yaml" for name in CUTS))


CUTS = ("cuts", "cuts-overwrite")
"""What the flow asks for in periods up to p09, and up to p11: the cuts of a network."""


def _override(folder: Path, *names: str) -> None:
    """Empty overrides."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}\n")
    entry = {"valid_from": "20000101T000000Z", "category": "all", "mode": "reset", "apply": list(names)}
    (folder / "validity.yaml").write_text(yaml.safe_dump([entry]))


def write_parameters(folder: Path, inputs: Path) -> None:
    """Parameters as both flows read them, one calibration for all times: decay constants, and factors to keV."""
    systems = _systems(inputs)
    detectors = sorted(name for name, system in systems.items() if system == "geds")
    dsp = {name: {"pz": {"tau": f"{200 + number}*us"}} for number, name in enumerate(detectors)}
    hit = {
        name: {"pars": {"operations": {"trapEmax_cal": {"parameters": {"a": -0.5, "b": 0.1 + number / 100}}}}}
        for number, name in enumerate(detectors)
    }
    for tier, content in (("dsp", dsp), ("hit", hit)):
        name = f"cal/p03/r000/{KEY}-par_{tier}.yaml"
        (folder / tier / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / tier / name).write_text(yaml.safe_dump(content))
        entry = {"valid_from": "20000101T000000Z", "category": "all", "mode": "reset", "apply": [name]}
        (folder / tier / "validity.yaml").write_text(yaml.safe_dump([entry]))


def _systems(inputs: Path) -> dict[str, str]:
    file = next((inputs / "hardware/configuration/channelmaps").glob("*-config.yaml"))
    return {name: channel["system"] for name, channel in yaml.safe_load(file.read_text()).items()}


def _tcm() -> dict[str, Any]:
    return {"coin_cols": "timestamp", "coin_windows": 1e-5, "window_refs": "last", "hash_func": r"\d+"}


def _default(path: str) -> Any:
    if path == "chain":
        return yaml.safe_load(CHAIN)
    step, name = path.split("/")
    return yaml.safe_load((STEPS / step / "defaults" / f"{name}.yaml").read_text())


def _by_channel(config: Path, systems: Mapping[str, str], step: str, kind: str) -> dict[str, str]:
    """The file of each channel."""
    found = {}
    for name, system in systems.items():
        content = yaml.safe_load(PLAIN[step, kind]) if system == "geds" else _default(f"{step}/{kind}-{system}")
        found[name] = _written(config, f"{step}-{system}", content)
    return found


def _written(config: Path, name: str, content: Any) -> str:
    file = config / "files" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return f"$_/files/{name}.yaml"
