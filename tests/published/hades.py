"""A test stand for the flow of HADES: its step configuration, of dspeed's processors alone, and a simulated file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from .metadata import LOGGING

DETECTOR, MEASUREMENT = "V01001A", "th_HS2_top_psa"
DAQ = f"{DETECTOR}/c1/{MEASUREMENT}/char_data-{DETECTOR}-{MEASUREMENT}-run0001-240301T080000.fcio"
KEY = f"char_data-{DETECTOR}-{MEASUREMENT}-r001-20240301T080000Z"
PACKAGES = """
pkg_versions:
  legend-daq2lh5: "1.6.4"
  legend-pydataobj: "1.17.4"
  legend-lh5io: "0.1.0"
  numpy: "numpy<2.4"
"""
"""What of the flow's own pins does not run together; docs/coming-over.md says why."""
RAW = """
FCEventDecoder:
  raw:
    key_list: ["*"]
    out_stream: "{filekey}"
    proc_spec:
      window: [waveform, 1000, -1000, waveform_windowed]
      dsp_config:
        outputs: [presum_rate, waveform_presummed, t_sat_lo, t_sat_hi]
        processors:
          presum_rate, waveform_presummed:
            function: presum
            module: dspeed.processors
            args:
              - waveform
              - 1
              - presum_rate
              - "waveform_presummed(shape=len(waveform)/8, period=waveform.period*8, offset=waveform.offset, dtype='f')"
            unit: [ADC, ADC]
          t_sat_lo, t_sat_hi:
            function: saturation
            module: dspeed.processors
            args: [waveform, 16, t_sat_lo, t_sat_hi]
            unit: [ADC, ADC]
      drop: [waveform]
"""
CHAIN = """
outputs: [wf_pz, timestamp, bl_mean, bl_std, tail_slope, pz_mean, pz_std, pz_slope, trapTmax, trapEmax, cuspEmax,
          zacEmax, tp_0_est, tp_99, dt_eff]
processors:
  bl_mean, bl_std, bl_slope, bl_intercept:
    {function: linear_slope_fit, module: dspeed.processors, unit: [ADC, ADC, ADC, ADC],
     args: ["waveform_presummed[0:round(0.34*len(waveform_presummed))]", bl_mean, bl_std, bl_slope, bl_intercept]}
  wf_blsub: {function: bl_subtract, module: dspeed.processors, args: [waveform_presummed, bl_mean, wf_blsub], unit: ADC}
  wf_logged:
    {function: log_check, module: dspeed.processors, unit: ADC,
     args: ["wf_blsub[round(0.65*len(wf_blsub)):]", wf_logged]}
  tail_mean, tail_std, tail_slope, tail_intercept:
    {function: linear_slope_fit, module: dspeed.processors, unit: [ADC, ADC, ADC, ADC],
     args: [wf_logged, tail_mean, tail_std, tail_slope, tail_intercept]}
  wf_pz:
    {function: pole_zero, module: dspeed.processors, args: [wf_blsub, db.pz.tau1, wf_pz], unit: ADC,
     defaults: {db.pz.tau1: 300*us}}
  pz_mean, pz_std, pz_slope, pz_intercept:
    {function: linear_slope_fit, module: dspeed.processors, unit: [ADC, ADC, ADC, ADC],
     args: ["wf_pz[round(0.65*len(wf_pz)):]", pz_mean, pz_std, pz_slope, pz_intercept]}
  wf_trap: {function: trap_norm, module: dspeed.processors, args: [wf_pz, 6*us, 3*us, wf_trap], unit: ADC}
  wf_etrap:
    {function: trap_norm, module: dspeed.processors, args: [wf_pz, db.etrap.rise, db.etrap.flat, wf_etrap], unit: ADC,
     defaults: {db.etrap.rise: 8*us, db.etrap.flat: 3*us}}
  wf_full:
    {function: bl_subtract, module: dspeed.processors, unit: ADC,
     args: [waveform_windowed, bl_mean, "wf_full(shape=len(waveform_windowed), period=waveform_windowed.period,
            offset=waveform_windowed.offset, dtype='f')"]}
  wf_full_pz:
    {function: pole_zero, module: dspeed.processors, args: [wf_full, db.pz.tau1, wf_full_pz], unit: ADC,
     defaults: {db.pz.tau1: 300*us}}
  t0_kernel:
    {function: t0_filter, module: dspeed.processors,
     args: [128*ns/waveform_windowed.period, 2*us/waveform_windowed.period, "t0_kernel(shape=133, dtype='f')"]}
  wf_t0:
    {function: fft_convolve_wf, module: dspeed.processors, unit: ADC,
     args: [wf_full_pz, t0_kernel, "'s'",
            "wf_t0(shape=len(wf_full_pz), dtype='f', period=wf_full_pz.period, offset=wf_full_pz.offset)"]}
  t0_tp_min, t0_tp_max, t0_min, t0_max:
    {function: min_max, module: dspeed.processors, args: [wf_t0, t0_tp_min, t0_tp_max, t0_min, t0_max],
     unit: [ns, ns, ADC, ADC]}
  tp_0_est:
    {function: time_point_thresh, module: dspeed.processors, args: [wf_t0, bl_std, t0_tp_max, 0, tp_0_est], unit: ns}
  tp_99:
    {function: time_point_thresh, module: dspeed.processors, args: [wf_full_pz, 0.99*trapTmax, tp_0_est, 1, tp_99],
     unit: ns}
  charge_early:
    {function: trap_pickoff, module: dspeed.processors, args: [wf_full_pz, 4*us, 0, tp_0_est + 4*us, charge_early],
     unit: ADC}
  charge_fraction: {function: divide, module: numpy, args: [charge_early, trapTmax, charge_fraction]}
  dt_eff: {function: multiply, module: numpy, args: ["1 - charge_fraction", 4000, dt_eff], unit: ns}
"""
HIGHEST: Mapping[str, str] = {"trapTmax": "wf_trap", "trapEmax": "wf_etrap", "cuspEmax": "wf_cusp", "zacEmax": "wf_zac"}
"""Energies, and the filtered trace that each is the highest sample of."""
SETTINGS: Mapping[str, Any] = {
    "tau": {
        "run_tau": True,
        "threshold": 5000,
        "n_events": 2000,
        "mode": "single",
        "wf_field": "waveform_presummed",
        "cut_parameters": {"bl_std": {"cut_parameter": "bl_std", "cut_level": 4, "mode": "inclusive"}},
    },
    "peaks": {
        "run_selection": True,
        "peaks": [583.191, 2614.511],
        "kev_widths": [[20, 20], [50, 50]],
        "n_events": 2000,
        "energy_parameter": "trapTmax",
        "final_cut_field": "is_valid_cal",
        "cut_parameters": {
            "is_quiet": {"cut_parameter": "bl_std", "cut_level": 4, "mode": "inclusive"},
            "is_valid_cal": {"expression": "is_quiet"},
        },
    },
    "eopt": {
        "run_eopt": True,
        "peaks": [2614.511],
        "kev_widths": [[20, 20]],
        "fom": "om.fom_single_peak_alpha_sweep",
        "fom_field": "fwhm",
        "fom_err_field": "fwhm_err",
        "initial_samples": [[2.0], [5.0], [8.0]],
        "nan_default": 10,
        "acq_func": "lcb",
        "batch_size": 10,
        "n_iter": 3,
    },
}
RULES: Mapping[str, Mapping[str, str]] = {
    "tier_raw": {"raw_config": "raw"},
    "tier_dsp": {"processing_chain": "chain"},
    "pars_dsp_tau": {"tau_config": "tau", "processing_chain": "chain_pz"},
    "pars_dsp_peak_selection": {"peak_config": "peaks", "processing_chain": "chain"},
    "pars_dsp_eopt": {"optimiser_config": "eopt", "processing_chain": "chain"},
}


def write_hades(folder: Path) -> None:
    """Write the step configuration of the test stand."""
    chain = _chain()
    files = {"raw": yaml.safe_load(RAW), "chain_pz": chain, "logging": LOGGING, **SETTINGS}
    files["chain"] = chain | {"outputs": [name for name in chain["outputs"] if name != "wf_pz"]}
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    rules = {
        rule: {
            "inputs": {field: {"__default__": f"$_/{name}.yaml"} for field, name in fields.items()},
            "options": {"logging": "$_/logging.yaml"},
        }
        for rule, fields in RULES.items()
    }
    (folder / "l200-p00-r%-T%-all-config.yaml").write_text(yaml.safe_dump({"snakemake_rules": rules}))


def _chain() -> dict[str, Any]:
    chain: dict[str, Any] = yaml.safe_load(CHAIN)
    for name in ("cusp", "zac"):
        kernel, tau = f"{name}_kernel", {"db.pz.tau1": "300*us"}
        chain["processors"][kernel] = {
            "function": f"{name}_filter",
            "module": "dspeed.processors",
            "args": [
                f"db.{name}.sigma/wf_blsub.period",
                f"round(db.{name}.flat/wf_blsub.period)",
                "db.pz.tau1/wf_blsub.period",
                f"{kernel}(shape=round(0.6*len(wf_blsub)), dtype='f')",
            ],
            "defaults": {f"db.{name}.sigma": "10*us", f"db.{name}.flat": "3*us"} | tau,
        }
        filtered = f"wf_{name}(shape=len(wf_blsub)-len({kernel})+1, dtype='f', period=wf_blsub.period)"
        arguments = ["wf_blsub", kernel, "'v'", filtered]
        convolution = {"function": "fft_convolve_wf", "module": "dspeed.processors", "args": arguments, "unit": "ADC"}
        chain["processors"][f"wf_{name}"] = convolution
    for name, trace in HIGHEST.items():
        kinds = {"signature": "(n),()->()", "types": ["fi->f"]}
        largest = {"function": "amax", "module": "numpy", "args": [trace, 1, name], "kwargs": kinds, "unit": "ADC"}
        chain["processors"][name] = largest
    return chain


def write_file(folder: Path, events: int) -> tuple[float, float]:
    """Simulate a file of one detector below the folder of DAQ files; the true decay constant (ns) and keV per count."""
    from gebox.experiment import build
    from gebox.experiment.model import Layout
    from gebox.simulate import write_file as simulated

    experiment = build(seed=1, scale=1)
    (detector,) = (each for each in experiment.layout.detectors if each.name == DETECTOR)
    vars(experiment)["layout"] = Layout((detector,), (), experiment.layout.samples)
    file = replace(experiment.files[0], events=events, duration=3600)
    simulated(experiment, folder / "simulated", folder / "truth", file)
    (folder / DAQ).parent.mkdir(parents=True)
    (folder / "simulated" / f"{file.stem}.fcio").rename(folder / DAQ)
    true = experiment.constants(detector, file)
    return true.tau, true.gain
