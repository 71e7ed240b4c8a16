"""``dataprod config``, and what ``status``, ``plan`` and ``doctor`` say of configuration without effect."""

from __future__ import annotations

import json

import pytest

from ..plan.conftest import STATUSES
from .conftest import Box


def test_config_shows_values_with_their_origin(box: Box) -> None:
    tree = box.cycle()
    rules = {"pars_hit_ecal": {"inputs": {"ecal_config": "$_/ecal.yaml"}}}
    tree.write("inputs/dataprod/config/all.yaml", json.dumps({"snakemake_rules": rules}))
    tree.validity("dataprod/config", {"valid_from": "20200101T000000Z", "apply": ["all.yaml"]})
    tree.write("inputs/dataprod/config/ecal.yaml", "# higher\nthreshold: 120\nenergy_params: [$default, own]\n")
    text = box.ok("config", "cycles/v01", "par_hit_ecal", "V02160A")
    lines = [line.split() for line in text.splitlines() if line.strip()]
    assert ["threshold", "120", "inputs/dataprod/config/ecal.yaml:2"] in lines
    assert ["deg", "1", "default"] in lines
    assert ["energy_params", "[own]", "inputs/dataprod/config/ecal.yaml:3"] in lines
    assert any(line[0] == "energy_params" and line[-1] == "default" and "cuspEmax," in line for line in lines)
    found = box.json("config", "cycles/v01", "par_hit_ecal", "--at", "l200-p03-r000-cal-20230311T235840Z")
    (ecal,) = [part for part in found["parts"] if part["name"] == "ecal_config"]
    assert found["key"] == "l200-p03-r000-cal-20230311T235840Z" and "V02160A" in ecal["detectors"]
    (threshold,) = [value for value in ecal["values"] if value["place"] == ["threshold"]]
    assert (threshold["value"], threshold["file"], threshold["line"]) == (120, "inputs/dataprod/config/ecal.yaml", 2)


def test_a_wrong_setting_is_exit_code_2_with_the_line(box: Box) -> None:
    tree = box.cycle()
    rules = {"pars_hit_ecal": {"inputs": {"ecal_config": "$_/ecal.yaml"}}}
    tree.write("inputs/dataprod/config/all.yaml", json.dumps({"snakemake_rules": rules}))
    tree.validity("dataprod/config", {"valid_from": "20200101T000000Z", "apply": ["all.yaml"]})
    tree.write("inputs/dataprod/config/ecal.yaml", "energy_params: trapEmax\n")
    for found in [*tree.root.rglob("*-tier_hit.lh5"), *tree.root.rglob("*-par_hit.yaml")]:
        found.unlink()  # files that no job of ours made would be taken as they are, whatever is configured
    done = box.dataprod("plan", "cycles/v01", "all-l200-p03-*-*-hit.gen")
    assert done.returncode == 2
    assert "ecal.yaml:1: ecal_config.energy_params must be a list, not 'trapEmax'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["status", "plan", "doctor"])
def test_what_does_nothing_is_said(box: Box, verb: str) -> None:
    tree = box.cycle()
    tree.metadata(statuses=STATUSES.replace("usability: on", "usability: onn"))
    words = ["cycles/v01", *(["all-l200-*-hit.gen"] if verb == "plan" else [])]
    done = box.dataprod(verb, *words)
    text = " ".join(done.stdout.split())
    assert "always.yaml:1: the usability 'onn' of V02160A is none of on, off, ac, no_psd" in text
    assert "did you mean 'on'?" in text
    assert done.returncode == 0 or verb == "doctor"
