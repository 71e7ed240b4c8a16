"""What Snakemake makes again when something has changed, and what is written beside the outputs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from dataflow.jobs.atomic import whole_files
from dataflow.jobs.parfiles import write_pars
from dataflow.jobs.stamp import stamping
from dataflow.plan import open_cycle
from dataflow.provenance.records import Records

from ..plan.conftest import KEYS
from ..workflow.conftest import Production

TARGET = "all-l200-p03-r001-*-hit.gen"
CAL, PHY = KEYS[4], KEYS[5]


def output(production: Production, tier: str, key: str) -> Path:
    _, period, run, datatype, _ = key.split("-")
    return production.root / f"generated/tier/{tier}/{datatype}/{period}/{run}/{key}-tier_{tier}.lh5"


def test_an_override_makes_again_what_it_reaches_and_nothing_else(production: Production) -> None:
    everything = "all-l200-p03-*-*-hit.gen"
    production.made(everything)
    production.tree.write("inputs/dataprod/overrides/dsp/a.yaml", "V02160A: {pz: {tau1: 1}}\n")
    production.tree.validity("dataprod/overrides/dsp", {"valid_from": "20230317T000000Z", "apply": "a.yaml"})
    calibrations = ("par_hit", "par_hit_lq", "par_hit_aoe", "par_hit_ecal", "par_hit_qc")
    wanted = [f"{step} {CAL}" for step in (*calibrations, "plt_hit", "tier_dsp", "tier_hit")]
    assert production.made(everything) == sorted([*wanted, f"par_hit_spms {PHY}", f"tier_dsp {PHY}", f"tier_hit {PHY}"])
    assert production.made(everything) == []


def test_touching_and_copying_make_nothing_again_and_changed_bytes_do(production: Production, tmp_path: Path) -> None:
    production.begin_with(TARGET)
    for path in sorted(production.root.rglob("*")):
        os.utime(path)
    assert production.made(TARGET) == []
    copy = tmp_path / "a copy"
    shutil.copytree(production.root, copy, symlinks=True, ignore=shutil.ignore_patterns(".snakemake"))
    production.root = copy
    assert production.made(TARGET) == [], "the records beside the outputs tell, without any of Snakemake's own"
    (copy / f"generated/tier/daq/phy/p03/r001/{PHY}.fcio").write_text("other bytes")
    lights = [f"{step} {PHY}" for step in ("par_dsp_spms", "par_hit_spms")]
    assert production.made(TARGET) == lights + [f"tier_{tier} {PHY}" for tier in ("dsp", "hit", "raw")]


def test_an_output_without_any_record_is_that_of_others_and_stays(production: Production) -> None:
    production.begin_with(TARGET)
    shutil.rmtree(output(production, "hit", PHY).parent / ".lineage")
    assert production.made(TARGET) == []
    output(production, "hit", PHY).unlink()
    assert production.made(TARGET) == [f"tier_hit {PHY}"]


def test_the_record_tells_how_a_file_was_made(production: Production) -> None:
    production.made(TARGET)
    cycle = open_cycle(production.root / "config.json")
    record = Records().read(output(production, "dsp", PHY))
    assert record is not None
    assert record["lineage"] == cycle.lineage("tier_dsp", cycle.scheme.key(PHY))
    assert record["recipe"]["shared"]["configs"], "the configuration itself, not only its hash"
    assert set(record["recipe"]["shared"]["code"]) >= {"steps.tier_dsp.build", "jobs.shards"}
    assert list(record["inputs"]) == ["raw", "par_dsp", "coefficients", "spms"]
    assert {"command", "host", "began", "seconds", "cpu_seconds", "peak_memory_mb", "software"} <= set(record)
    assert str(production.root) not in json.dumps([record["recipe"], record["inputs"]])


def test_a_failed_attempt_leaves_the_old_file_and_its_record(production: Production) -> None:
    production.begin_with("all-l200-p03-r001-phy-raw.gen")
    raw = output(production, "raw", PHY)
    lineage = Records().lineage(raw)
    assert lineage
    (production.root / f"generated/tier/daq/phy/p03/r001/{PHY}.fcio").write_text("other bytes")
    result = production.run("all-l200-p03-r001-phy-raw.gen", BROKEN=f"tier_raw {PHY}")
    assert result.returncode == 1
    records = Records()
    assert raw.is_file() and records.lineage(raw) == lineage and records.has_failed(raw)
    failure = records.failure(raw)
    assert failure is not None and failure["error"] == "error: made to break"
    assert production.made("all-l200-p03-r001-phy-raw.gen") == [f"tier_raw {PHY}"]
    assert not Records().has_failed(raw)


def test_a_raw_file_keeps_its_lineage_when_its_daq_file_goes(production: Production) -> None:
    production.begin_with(TARGET)
    (production.root / f"generated/tier/daq/phy/p03/r001/{PHY}.fcio").unlink()
    assert production.made(TARGET) == []


def test_files_that_were_copied_alone_still_tell_their_lineage(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    outputs = {"tier": tmp_path / "a.lh5", "par": tmp_path / "a.yaml"}
    with stamping("0123"), whole_files(outputs) as parts:
        with h5py.File(parts["tier"], "w") as file:
            file["x"] = 1
        write_pars(parts["par"], {"V02160A": {"pz": 1}})
    with h5py.File(outputs["tier"]) as file:
        assert file.attrs["lineage"] == "0123" and file["x"][()] == 1
    assert outputs["par"].read_text().endswith("\n# lineage: 0123\n")
    assert yaml.safe_load(outputs["par"].read_text()) == {"V02160A": {"pz": 1}}
