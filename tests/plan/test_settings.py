"""``settings`` of a configuration: only what a step knows, and of the right kind."""

from __future__ import annotations

import json

import pytest

from dataflow.base.errors import UserError
from dataflow.registry.steps import BY_NAME
from dataflow.setup.schema import SETTINGS, json_schema, settings_of

from .conftest import Tree


def refused(tree: Tree, settings: object) -> UserError:
    tree.config["settings"] = settings
    with pytest.raises(UserError) as caught:
        tree.open()
    return caught.value


def test_a_misspelt_entry_is_refused_with_the_nearest_right_one(empty: Tree) -> None:
    error = refused(empty, {"tier_dsp": {"bufer_len": 100}})
    assert "config.json:1: unknown key 'settings.tier_dsp.bufer_len'" in error.message
    assert error.hint == "did you mean 'buffer_len'?"
    assert "timeout" in refused(empty, {"par_dsp": {"buffer_len": 100}}).hint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tier_dsp": {"buffer_len": "x"}}, "settings.tier_dsp.buffer_len must be a whole number, not 'x'"),
        ({"tier_dsp": {"buffer_len": True}}, "must be a whole number, not True"),
        ({"tier_dsp": {"buffer_len": 0}}, "must be a whole number above 0, not 0"),
        ({"tier_dsp": {"block_width": 1.5}}, "must be a whole number, not 1.5"),
        ({"tier_evt": {"buffer_len": -3}}, "above 0, not -3"),
        ({"tier_raw": {"hdf5_settings": "zstd"}}, "must be a mapping, not 'zstd'"),
        ({"tier_hit": {"timeout": "soon"}}, "settings.tier_hit.timeout must be a number, not 'soon'"),
        ({"tier_hit": {"timeout": 0}}, "must be a number above 0, not 0"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(empty: Tree, settings: object, message: str) -> None:
    assert message in refused(empty, settings).message


def test_right_settings_are_taken(empty: Tree) -> None:
    settings = {
        "tier_raw": {"buffer_size": 100, "hdf5_settings": {"compression": "gzip"}, "timeout": 0.5},
        "tier_dsp": {"buffer_len": 10, "block_width": 4},
        "tier_evt": {"buffer_len": 10},
        "par_hit_ecal": {"timeout": 100},
    }
    empty.config["settings"] = settings
    assert empty.open().setup.settings == settings


def test_the_schema_knows_the_settings() -> None:
    assert set(SETTINGS) <= set(BY_NAME)
    found = json_schema()["anyOf"][1]["properties"]["settings"]
    assert set(found["properties"]) == set(BY_NAME) and found["additionalProperties"] is False
    assert set(found["properties"]["tier_dsp"]["properties"]) == set(settings_of("tier_dsp"))
    assert json.loads(json.dumps(found)) == found
