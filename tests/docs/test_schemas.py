"""The JSON Schemas take what the program takes, and refuse what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from dataflow.base.textfile import read
from dataflow.metadata.schemas import schema
from dataflow.metadata.stepconfig import STEPS_FOLDER
from dataflow.registry.steps import STEPS
from dataflow.setup.config import read_config

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "docs" / "schemas"
NAMES = sorted(path.name for path in SCHEMAS.glob("*.json"))


def errors(name: str, value: Any) -> list[str]:
    validator = Draft202012Validator(json.loads((SCHEMAS / name).read_text(encoding="utf-8")))
    return [error.message for error in validator.iter_errors(value)]


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(json.loads((SCHEMAS / name).read_text(encoding="utf-8")))


def test_what_is_shipped_fits() -> None:
    checked = []
    for path in sorted(STEPS_FOLDER.glob("*/defaults/*.yaml")):
        rule = next(step.rule for step in STEPS if step.name == path.parents[1].name)
        name = f"{rule}.{path.stem.partition('-')[0]}.json"
        if name in NAMES:
            assert errors(name, yaml.safe_load(path.read_text(encoding="utf-8"))) == [], path
            checked.append(name)
    assert {"tier_dsp.processing_chain.json", "tier_evt.evt_config.json", "pars_hit_ecal.ecal_config.json"} <= set(
        checked
    )


def test_the_example_of_raw_settings_fits_schemas_and_settings() -> None:
    kinds = {"settings": "settings", "general": "out_spec", "geds": "out_spec"}
    for stem, name in kinds.items():
        text = read(ROOT / "docs" / "examples" / "legend-raw" / f"{stem}.yaml")
        kind = schema("tier_raw_orca", name)
        assert kind is not None
        kind.read(text.mapping(), name, text)
        assert errors(f"tier_raw.{name}.json", text.data) == []


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("pars_hit_ecal.ecal_config.json", {"threshold": 3}, True),
        ("pars_hit_ecal.ecal_config.json", {"energy_params": ["$default", "mine"], "$replace": True}, True),
        ("pars_hit_ecal.ecal_config.json", {"p_val": 0.1}, True),
        ("pars_hit_ecal.ecal_config.json", {"treshold": 3}, False),
        ("pars_hit_ecal.ecal_config.json", {"energy_params": "trapEmax"}, False),
        ("pars_hit_ecal.ecal_config.json", {"excluded_lines": ["$default", 1592.5]}, True),
        ("pars_hit_ecal.ecal_config.json", {"excluded_lines": ["DEP"]}, False),
        ("tier_dsp.processing_chain.json", {"processors": {"$replace": True, "a": "b + 1"}}, True),
        ("tier_dsp.processing_chain.json", {"processors": {"a": {"functon": "b"}}}, False),
        ("tier_raw.out_spec.json", {"ORFlashCamWaveformDecoder": {"ch{key}": {"key_list": [1]}}}, True),
        ("dataprod-config.json", {"snakemake_rules": {"tier_dsp": {"inputs": {"processing_chain": "$_/x"}}}}, True),
        ("dataprod-config.json", {"snakemake_rules": {"tier_dsp": {"options": {"settings": {"buffer": 1}}}}}, False),
        ("dataprod-config.json", {"snakemake_rules": {"tier_dps": {}}}, False),
        ("config.json", {"$schema": "x", "setups": {"l200": {"paths": {"tier": "$_/x"}}}}, True),
        ("config.json", {"setups": {"l200": {"paths": {"teir": "$_/x"}}}}, False),
    ],
)
def test_files_fit_as_the_program_takes_them(name: str, value: Any, fits: bool) -> None:
    assert (errors(name, value) == []) is fits


def test_the_entry_for_editors_is_taken_and_changes_nothing(tmp_path: Path) -> None:
    for number, content in enumerate(({"setups": {"l200": {}}}, {"experiment": "l200"})):
        plain, led = tmp_path / f"{number}.json", tmp_path / f"led{number}.json"
        plain.write_text(json.dumps(content))
        led.write_text(json.dumps({"$schema": "docs/schemas/config.json"} | content))
        assert read_config(led).paths == read_config(plain).paths


def test_the_configuration_of_a_real_production_fits(shared_data: Path) -> None:
    value = json.loads((shared_data / "lh5/prod-ref-l200/config.json").read_text(encoding="utf-8"))
    assert errors("config.json", value) == []
