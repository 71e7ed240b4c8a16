"""Writing the whole tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gebox.experiment import Experiment, save
from gebox.experiment.build import TH228
from gebox.experiment.constants import TWO_POLES
from gebox.metadata import datasets, hardware
from gebox.writing import write_yaml

ONE_LINE = ("Am241", "K40", "Cs137", "Na22")
"""Sources of which one line stands out: where to look must be said."""
EXPECTED_GAIN = [0.14, 0.26]
"""Between which gains, in keV per count, on cards of 16 bits."""
SAMPLES = {"training": "svm/l200-svm-train.lh5", "test": "svm/l200-svm-test.lh5"}
"""Labelled traces, by their use, in the configuration."""
LABEL_CUT = "is_valid_svm"
"""The quality cut on the label of the support vector machine."""
OVERRIDDEN_TIERS = ("raw", "dsp", "hit", "psp", "pht", "evt", "pet", "ann", "pan")


def write_tree(experiment: Experiment, folder: Path) -> None:
    """Write the metadata of `experiment` below `folder`; the same seed gives the same bytes."""
    for name, content in sorted(tree(experiment).items()):
        write_yaml(folder / name, content)
    save(experiment, folder)


def tree(experiment: Experiment) -> dict[str, Any]:
    """Every file of the tree by its path."""
    return {**_hardware(experiment), **_datasets(experiment), **_dataprod(experiment)}


def _validity(experiment: Experiment, name: str) -> list[dict[str, Any]]:
    """One entry a period: valid from its first key on, for all datatypes."""
    first: dict[str, str] = {}
    for (period, _), files in experiment.runs().items():
        first.setdefault(period, datasets.stamp(files[0]))
    return [
        {"valid_from": stamp, "category": "all", "mode": "reset", "apply": [name.format(period=period)]}
        for period, stamp in sorted(first.items())
    ]


def _hardware(experiment: Experiment) -> dict[str, Any]:
    found: dict[str, Any] = {}
    name = "l200-{period}-r%-T%-all-config.yaml"
    maps = "hardware/configuration/channelmaps"
    found[f"{maps}/validity.yaml"] = _validity(experiment, name)
    for period in sorted({period for period, _ in experiment.runs()}):
        content = hardware.channel_map(experiment.layout.detectors, experiment.layout.auxiliaries)
        found[f"{maps}/{name.format(period=period)}"] = content
    for detector in experiment.layout.detectors:
        found[f"hardware/detectors/germanium/diodes/{detector.name}.yaml"] = hardware.diode(detector)
        found[f"hardware/detectors/germanium/crystals/{detector.name[:-1]}.yaml"] = hardware.crystal(detector)
    return found


def _datasets(experiment: Experiment) -> dict[str, Any]:
    name = "l200-{period}-r%-T%-all-config.yaml"
    found: dict[str, Any] = {"datasets/statuses/validity.yaml": _validity(experiment, name)}
    for period in sorted({period for period, _ in experiment.runs()}):
        found[f"datasets/statuses/{name.format(period=period)}"] = datasets.statuses(
            experiment.layout.detectors, experiment.layout.auxiliaries
        )
    return found | {
        "datasets/runinfo.yaml": datasets.run_info(experiment),
        "datasets/runlists.yaml": datasets.run_lists(experiment),
        "datasets/cal_groupings.yaml": datasets.groupings(experiment, "cal"),
        "datasets/phy_groupings.yaml": datasets.groupings(experiment, "phy"),
        "datasets/ignored_daq_cycles.yaml": datasets.ignored(experiment),
        "datasets/run_override.yaml": datasets.run_override(experiment),
    }


def _dataprod(experiment: Experiment) -> dict[str, Any]:
    """Empty step configuration (the dataflow ships defaults) and empty overrides."""
    start = datasets.stamp(next(iter(experiment.runs().values()))[0])
    entry = {"valid_from": start, "category": "all", "mode": "reset"}
    name = "l200-all-config.yaml"
    found: dict[str, Any] = {"dataprod/config/validity.yaml": [{**entry, "apply": [name]}]}
    found[f"dataprod/config/{name}"] = {}
    rules, files = _configured(experiment)
    if rules:
        found[f"dataprod/config/{name}"] = {"snakemake_rules": rules}
    found |= {f"dataprod/config/{path}": content for path, content in files.items()}
    for tier in OVERRIDDEN_TIERS:
        found[f"dataprod/overrides/{tier}/validity.yaml"] = [{**entry, "apply": []}]
    if experiment.preset == "full":
        found |= _override(experiment, found["dataprod/overrides/dsp/validity.yaml"])
    return found


def _configured(experiment: Experiment) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the metadata configure: rules, and the files that they name, relative to the configuration."""
    rules: dict[str, Any] = {}
    files: dict[str, Any] = {}

    def configure(rule: str, entry: str, path: str, content: dict[str, Any], channels: str = "__default__") -> None:
        rules[rule] = {"inputs": {entry: {channels: path}}}
        files[path] = content

    if experiment.source != TH228:
        configure("pars_hit_ecal", "ecal_config", "ecal/l200-ecal-config.yaml", calibration(experiment.source))
        peaks = {"source": experiment.source}
        configure("pars_dsp_peak_selection", "peak_config", "ecal/l200-peak-config.yaml", peaks)
    if experiment.training:
        configure("pars_dsp_svm", "svm_config", "svm/l200-svm-config.yaml", machine())
        cut = {"cal_fields": {"cut_parameters": {LABEL_CUT: {"expression": "svm_label == 0"}}}}
        configure("pars_hit_qc", "qc_config", "svm/l200-qc-config.yaml", cut)
        shown = {"outputs_if_calibrated": ["$default", LABEL_CUT]}
        configure("tier_hit", "hit_config", "svm/l200-hit-config.yaml", shown, "geds")
    return rules, files


def machine() -> dict[str, Any]:
    """The support vector machine: half of the bursts look like good pulses, which may not be lost for them."""
    data = {f"{use}_data": f"$_/{Path(path).name}" for use, path in SAMPLES.items()}
    return {**data, "class_weight": None}


def samples(metadata: Path) -> dict[str, Path]:
    """The files with labelled traces in the metadata, by their use: ``training`` and ``test``."""
    return {use: metadata / "dataprod" / "config" / path for use, path in SAMPLES.items()}


def calibration(source: str) -> dict[str, Any]:
    """How energies are calibrated with a source that is not 228Th."""
    found: dict[str, Any] = {"energy_params": ["trapEmax", "cuspEmax"], "source": source}
    if source in ONE_LINE:
        found["expected_gain"] = EXPECTED_GAIN
    return found


def _override(experiment: Experiment, validity: list[dict[str, Any]]) -> dict[str, Any]:
    """Both decay constants of the detector with two of them, set by hand for one run."""
    runs = {run: files[0] for run, files in experiment.runs().items()}
    file, following = runs["p03", "r001"], runs["p03", "r002"]
    detector = next(d for d in experiment.layout.detectors if d.name == TWO_POLES)
    true = experiment.constants(detector, file)
    name = f"cal/{file.period}/{file.run}/{file.key}-par_dsp-overwrite.yaml"
    taus = {"tau1": f"{true.tau:.0f}*ns", "tau2": f"{true.tau_second:.0f}*ns", "frac": true.tau_fraction}
    entry = {"category": "all", "mode": "reset"}
    timeline = [
        *validity,
        {"valid_from": datasets.stamp(file), **entry, "apply": [name]},
        {"valid_from": datasets.stamp(following), **entry, "apply": []},
    ]
    return {
        "dataprod/overrides/dsp/validity.yaml": timeline,
        f"dataprod/overrides/dsp/{name}": {detector.name: {"pz": taus}},
    }
