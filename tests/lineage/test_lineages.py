"""What changes the lineage of which files, and what does not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dataflow.metadata import stepconfig
from dataflow.plan import UserError, open_cycle
from dataflow.registry.step import PROCESSING_CHAIN
from dataflow.registry.steps import STEPS

from ..plan.conftest import KEYS, MAP, STATUSES
from .conftest import Origin, changed, everything, of

CAL0A, CAL0B, PHY0A, PHY0B, CAL1, PHY1, CAL4, PHY4 = KEYS
ABOVE_HIT = ("tier_hit",)
DSP_AND_ABOVE = (
    *("tier_dsp", "tier_hit", "par_hit", "par_hit_lq", "par_hit_aoe", "par_hit_ecal", "par_hit_qc"),
    *("par_dsp", "par_dsp_pz", "par_dsp_evtsel", "par_dsp_nopt", "par_dsp_eopt", "par_dsp_dplms", "tier_evt"),
    "par_hit_spms",
)

CLASSIFIER = "operations: {x: {expression: timestamp, lgdo_attrs: {classifier: $_/weights.bin}}}\n"


def steps(names: list[str]) -> set[str]:
    return {name.split()[0] for name in names}


def test_a_lineage_is_the_same_each_time(origin: Origin) -> None:
    assert origin.lineages() == origin.lineages()


def test_an_override_reaches_the_pars_of_its_run_and_the_tiers_under_it_only(origin: Origin) -> None:
    before = origin.lineages()
    origin.override("dsp", "V02160A: {pz: {tau1: 1}}\n", "20230317T000000Z", "20230501T000000Z")
    reached = (
        of(("par_hit", "par_hit_lq", "par_hit_aoe", "par_hit_ecal", "par_hit_qc"), CAL1)
        + of(("tier_dsp", "tier_hit"), CAL1, PHY1)
        + of(("par_hit_spms", "tier_evt"), PHY1)
    )
    assert changed(before, origin.lineages()) == sorted(reached)


def test_an_override_of_hit_does_not_reach_dsp(origin: Origin) -> None:
    before = origin.lineages()
    origin.override("hit", "V02160A: {pars: {operations: {}}}\n", "20230317T000000Z", "20230501T000000Z")
    assert changed(before, origin.lineages()) == sorted([*of(("tier_hit",), CAL1, PHY1), f"tier_evt {PHY1}"])


def test_an_override_of_a_detector_that_is_not_processed_reaches_nothing(origin: Origin) -> None:
    before = origin.lineages()
    origin.override("dsp", "B00000C: {pz: {tau1: 1}}\n", "20230317T000000Z", "20230501T000000Z")
    assert changed(before, origin.lineages()) == []


def test_comments_in_metadata_and_code_reach_nothing(origin: Origin) -> None:
    before = origin.lineages()
    origin.write("inputs/datasets/statuses/always.yaml", f"# a comment\n{STATUSES}")
    file = origin.code("steps/tier_dsp/build.py")
    file.write_text(f"# a comment\n{file.read_text()}".replace('"""dsp: ', '"""Digital signal processing: ', 1))
    assert "Digital" in file.read_text()
    assert changed(before, origin.lineages()) == []


def test_code_reaches_what_it_implements(origin: Origin) -> None:
    before = origin.lineages()
    file = origin.code("steps/tier_hit/build.py")
    file.write_text(file.read_text() + "\nANOTHER = 1\n")
    assert steps(changed(before, origin.lineages())) == {"tier_hit", "tier_evt"}


def test_code_that_several_steps_import_reaches_them_all(origin: Origin) -> None:
    before = origin.lineages()
    file = origin.code("physics/lines.py")
    file.write_text(file.read_text() + "\nANOTHER = 1\n")
    assert steps(changed(before, origin.lineages())) == {
        "par_dsp_evtsel",
        "par_dsp_eopt",
        "par_dsp_dplms",
        "par_dsp",
        "tier_dsp",
        "par_hit_qc",
        "par_hit_ecal",
        "par_hit_aoe",
        "par_hit_lq",
        "par_hit_spms",
        "par_hit",
        "tier_hit",
        "tier_evt",
    }


def test_drawing_reaches_nothing(origin: Origin) -> None:
    origin.configure("pars_hit_ecal", ecal_config={"__default__": "$_/ecal.yaml"})
    origin.write("inputs/dataprod/config/ecal.yaml", "energy_params: [cuspEmax]\nplot_options: {bins: 10}\n")
    before = origin.lineages()
    origin.write("inputs/dataprod/config/ecal.yaml", "energy_params: [cuspEmax]\nplot_options: {bins: 20}\n")
    file = origin.code("steps/par_hit_ecal/figure.py")
    file.write_text(file.read_text() + "\nANOTHER = 1\n")
    assert changed(before, origin.lineages()) == []
    origin.write("inputs/dataprod/config/ecal.yaml", "energy_params: [trapEmax]\nplot_options: {bins: 20}\n")
    assert steps(changed(before, origin.lineages())) == {
        "par_hit_ecal",
        "par_hit_aoe",
        "par_hit_lq",
        "par_hit",
        "tier_hit",
        "tier_evt",
    }


def test_files_that_a_configuration_names_reach_what_it_reaches(origin: Origin) -> None:
    origin.configure("tier_hit", hit_config={"__default__": "$_/hit.yaml"})
    origin.write("inputs/dataprod/config/hit.yaml", CLASSIFIER.replace("bin}", "bin, other: $_/gone.bin}"))
    origin.write("inputs/dataprod/config/weights.bin", "1 2 3")
    before = origin.lineages()
    os.utime(origin.root / "inputs/dataprod/config/weights.bin")
    assert changed(before, origin.lineages()) == []
    origin.write("inputs/dataprod/config/weights.bin", "1 2 4")
    assert steps(changed(before, origin.lineages())) == {"tier_hit", "tier_evt"}


def test_metadata_elsewhere_give_the_same_lineages(origin: Origin, tmp_path: Path) -> None:
    origin.configure("tier_hit", hit_config={"__default__": "$_/hit.yaml"})
    origin.write("inputs/dataprod/config/hit.yaml", CLASSIFIER)
    origin.write("inputs/dataprod/config/weights.bin", "1 2 3")
    before = origin.lineages()
    shutil.move(origin.root / "inputs", tmp_path / "shared metadata")
    origin.config["paths"]["inputs"] = str(tmp_path / "shared metadata")
    assert changed(before, origin.lineages()) == []


def test_a_new_run_reaches_the_validity_list_only(origin: Origin) -> None:
    before = origin.lineages()
    origin.daq("l200-p05-r000-cal-20231001T000000Z")
    assert changed(before, origin.lineages()) == [f"validity_{tier} {CAL0A}" for tier in ("dsp", "hit")]


def test_a_new_file_of_a_calibration_run_reaches_what_the_run_calibrates(origin: Origin) -> None:
    before = origin.lineages()
    origin.daq("l200-p03-r001-cal-20230317T221819Z")
    after = changed(before, origin.lineages())
    assert f"tier_hit {PHY1}" in after and f"tier_raw {CAL1}" not in after
    assert {name.split()[1] for name in after} == {CAL1, PHY1}


def test_a_version_of_dspeed_reaches_dsp_and_above_and_not_raw(origin: Origin) -> None:
    before = origin.lineages()
    origin.software(dspeed="2.5.0")
    after = changed(before, origin.lineages())
    assert steps(after) == {*DSP_AND_ABOVE, "par_dsp_spms"}
    assert len([name for name in after if name.startswith("tier_dsp")]) == len(KEYS)


def test_a_version_of_what_no_step_imports_reaches_nothing(origin: Origin) -> None:
    before = origin.lineages()
    origin.software(matplotlib="99", snakemake="99")
    assert changed(before, origin.lineages()) == []


def test_touched_files_reach_nothing_and_changed_bytes_do(origin: Origin) -> None:
    daq = origin.root / f"generated/tier/daq/phy/p03/r001/{PHY1}.fcio"
    daq.write_bytes(b"0" * 5_000_000)
    before = origin.lineages()
    os.utime(daq)
    assert changed(before, origin.lineages()) == []
    content = bytearray(daq.read_bytes())
    content[2_500_000] ^= 1
    daq.write_bytes(content)
    lights = ("par_dsp_spms", "par_hit_spms")
    reached = of(("tier_raw", "tier_tcm", "tier_dsp", "tier_hit", "tier_evt", *lights), PHY1)
    present = {name for name in reached if name in before}
    assert changed(before, origin.lineages()) == sorted(present)


def test_buffers_threads_and_places_reach_nothing(origin: Origin, tmp_path: Path) -> None:
    before = origin.lineages()
    origin.config["settings"] = {"tier_dsp": {"buffer_len": 7}}
    origin.config["execenv"] = {"env": {"A": "b"}}
    assert changed(before, origin.lineages()) == []
    shutil.copytree(origin.root, tmp_path / "a copy" / "elsewhere")
    cycle = open_cycle(tmp_path / "a copy" / "elsewhere" / "config.json")
    assert {f"{step} {key}": cycle.lineage(step, key) for step, key in everything(cycle)} == before


def test_a_channel_number_reaches_everything(origin: Origin) -> None:
    before = origin.lineages()
    origin.metadata(channels=MAP.replace("1104001", "1104009"))
    after = changed(before, origin.lineages())
    assert steps(after) == steps(list(before)) - {"validity_dsp", "validity_hit"}


def test_a_checkout_counts_by_its_revision_and_what_is_changed_in_it(origin: Origin) -> None:
    source = origin.root / "software/python/src/dspeed"
    origin.write("software/python/src/dspeed/module.py", "x = 1\n")
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "a"],
    ):
        subprocess.run(["git", "-C", str(source), *words], check=True)
    lock = origin.root / "software/python/software-lock.json"
    lock.write_text(lock.read_text().replace('"checkouts": []', CHECKOUT))
    before = origin.lineages()
    origin.write("software/python/src/dspeed/module.py", "x = 2\n")
    second = origin.lineages()
    assert steps(changed(before, second)) == {*DSP_AND_ABOVE, "par_dsp_spms"}
    origin.write("software/python/src/dspeed/new.py", "x = 3\n")
    assert steps(changed(second, origin.lineages())) == {*DSP_AND_ABOVE, "par_dsp_spms"}


CHECKOUT = (
    '"checkouts": [{"name": "dspeed", "path": "software/python/src/dspeed", "revision": "", "remote": "", '
    '"changes": "", "dirty": true}]'
)


def test_code_that_is_no_python_is_an_error_with_its_line(origin: Origin) -> None:
    origin.code("steps/tier_hit/build.py").write_text("def (:\n")
    with pytest.raises(UserError, match=r"steps/tier_hit/build.py:1: "):
        origin.lineages()


def test_the_usability_of_a_detector_reaches_events_only(origin: Origin) -> None:
    before = origin.lineages()
    origin.metadata(statuses=STATUSES.replace("usability: 'off', psd", "usability: 'ac', psd"))
    assert steps(changed(before, origin.lineages())) == {"tier_evt"}


def test_a_classifier_that_a_status_calls_missing_reaches_its_calibration_and_above(origin: Origin) -> None:
    """Whether it is valid or present reaches events, as all other statuses do."""
    before = origin.lineages()
    origin.metadata(statuses=STATUSES.replace("low_aoe: missing", "low_aoe: present"))
    present = origin.lineages()
    above = {"par_hit_aoe", "par_hit_lq", "par_hit", "tier_hit", "tier_evt"}
    assert above <= steps(changed(before, present))
    assert not {"par_hit_ecal", "par_hit_qc", "tier_dsp"} & steps(changed(before, present))
    origin.metadata(statuses=STATUSES.replace("low_aoe: missing", "low_aoe: valid"))
    assert steps(changed(present, origin.lineages())) == {"tier_evt"}


def test_a_detector_that_is_not_processed_any_more_reaches_dsp_and_above(origin: Origin) -> None:
    before = origin.lineages()
    origin.metadata(statuses=STATUSES.replace("V02160B: {processable: true", "V02160B: {processable: false"))
    assert steps(changed(before, origin.lineages())) == set(DSP_AND_ABOVE)


def test_the_short_way_and_the_long_way_give_the_same_lineage(origin: Origin) -> None:
    origin.override("dsp", "V02160A: {pz: {tau1: 1}}\n", "20230317T000000Z", "20230501T000000Z")
    cycle = origin.open()
    for step, key in everything(cycle):
        assert cycle.lineages.explained(step, key).hash == cycle.lineage(step, key)


def test_an_override_of_a_detector_that_is_in_no_channel_map_reaches_nothing(origin: Origin) -> None:
    before = origin.lineages()
    origin.override("hit", "V99999X: {pars: {operations: {}}}\n", "20230317T000000Z", "20230501T000000Z")
    assert changed(before, origin.lineages()) == []
    origin.override("hit", "V99999X: {x: 1}\nV02160A: {x: 1}\n", "20230317T000000Z", "20230501T000000Z")
    reached = changed(before, origin.lineages())
    assert reached == sorted([*of(("tier_hit",), CAL1, PHY1), f"tier_evt {PHY1}"])
    both = origin.lineages()
    origin.override("hit", "V02160A: {x: 1}\n", "20230317T000000Z", "20230501T000000Z")
    assert changed(both, origin.lineages()) == []


def test_an_option_over_what_is_shipped_reaches_what_takes_it(origin: Origin) -> None:
    before = origin.lineages()
    origin.configure("pars_hit_ecal", ecal_config="$_/ecal.yaml")
    origin.write("inputs/dataprod/config/ecal.yaml", "deg: 1\nexcluded_lines: [$default]\n")
    assert changed(before, origin.lineages()) == []
    origin.write("inputs/dataprod/config/ecal.yaml", "deg: 0\n")
    assert steps(changed(before, origin.lineages())) == {
        "par_hit_ecal",
        "par_hit_aoe",
        "par_hit_lq",
        "par_hit",
        "tier_hit",
        "tier_evt",
    }


@pytest.mark.parametrize(
    ("is_complete", "concerned"),
    [(True, set()), (False, set(DSP_AND_ABOVE))],
)
def test_a_complete_chain_does_not_depend_on_the_one_that_is_shipped(
    origin: Origin, monkeypatch: pytest.MonkeyPatch, is_complete: bool, concerned: set[str]
) -> None:
    monkeypatch.setattr(stepconfig, "STEPS_FOLDER", origin.code("steps"))
    origin.configure("tier_dsp")
    chains = [(step.rule, name) for step in STEPS for name, kind in step.configs.items() if kind == PROCESSING_CHAIN]
    rules = {rule: {"inputs": {name: {"geds": "$_/chain.yaml"}}} for rule, name in chains}
    origin.write("inputs/dataprod/config/all.yaml", json.dumps({"snakemake_rules": rules}))
    chain = origin.code("steps/tier_dsp/defaults/processing_chain-geds.yaml")
    origin.write("inputs/dataprod/config/chain.yaml", chain.read_text() if is_complete else "outputs: [$default]\n")
    before = origin.lineages()
    chain.write_text(chain.read_text().replace("processors:\n", "processors:\n  new: baseline + 1\n", 1))
    assert steps(changed(before, origin.lineages())) == concerned


def test_a_processor_of_the_shipped_chain_reaches_the_steps_that_use_it(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepconfig, "STEPS_FOLDER", origin.code("steps"))
    before = origin.lineages()
    chain = origin.code("steps/tier_dsp/defaults/processing_chain-geds.yaml")
    text = chain.read_text()
    assert "0.8*db.etrap.flat" in text
    chain.write_text(text.replace("0.8*db.etrap.flat", "0.7*db.etrap.flat"))
    concerned = steps(changed(before, origin.lineages()))
    assert {"par_dsp_eopt", "par_dsp", "tier_dsp", "par_hit_ecal"} <= concerned
    assert {"tier_raw", "tier_tcm", "par_tcm_pulser"}.isdisjoint(concerned)
