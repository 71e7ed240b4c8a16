"""A step that is planned only where the metadata ask for it, run by the real Snakemake."""

from __future__ import annotations

import json

from ..plan.conftest import KEYS
from .conftest import Production

CAL, OTHER = KEYS[4], KEYS[0]
TARGET = "all-l200-p03-r001-cal-dsp.gen"
SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""What planning reads of the training data."""


def train_with(production: Production, content: bytes, since: str) -> None:
    """Configure training data from a time on."""
    rules = {"snakemake_rules": {"pars_dsp_svm": {"inputs": {"svm_config": "svm.yaml"}}}}
    production.tree.write("inputs/dataprod/config/all.yaml", json.dumps(rules))
    production.tree.write("inputs/dataprod/config/svm.yaml", "training_data: $_/train.lh5\n")
    (production.root / "inputs/dataprod/config/train.lh5").write_bytes(SIGNATURE + content)
    production.tree.validity("dataprod/config", {"valid_from": since, "apply": "all.yaml"})


def test_a_step_runs_where_the_metadata_ask_for_it(production: Production) -> None:
    production.begin_with(TARGET)
    assert production.made(TARGET) == []
    train_with(production, b"one", since="20200101T000000Z")
    asked = [f"{step} {CAL}" for step in ("par_dsp", "par_dsp_svm", "plt_dsp", "plt_dsp_svm", "tier_dsp")]
    assert production.made(TARGET) == asked
    assert production.made(TARGET) == []
    train_with(production, b"other", since="20200101T000000Z")
    assert production.made(TARGET) == asked
    # a run before the time from which on there are training data does without, as before
    train_with(production, b"other", since=CAL.rpartition("-")[2])
    assert production.made(TARGET) == []
    assert f"par_dsp_svm {OTHER}" not in production.made("all-l200-p03-r000-cal-dsp.gen")
    production.tree.validity("dataprod/config")
    assert production.made(TARGET) == [f"par_dsp {CAL}", f"plt_dsp {CAL}", f"tier_dsp {CAL}"]
