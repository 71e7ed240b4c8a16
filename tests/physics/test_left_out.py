"""Detectors that are not in the data, or that a step cannot do: recorded, with the first cause, in all that follows."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dspeed
import h5py
import pytest
import yaml

from dataflow.base.errors import UserError
from dataflow.metadata.stepconfig import STEPS_FOLDER, shipped_folder
from dataflow.plan import open_cycle
from dataflow.plan.troubles import troubles_of
from dataflow.provenance.records import Records
from dataflow.steps.tier_hit.build import _not_calibrated

from .conftest import TO_EVENTS, cycle_around

if TYPE_CHECKING:
    from tests.physics.conftest import SmallCycle

Maker = Callable[..., "SmallCycle"]
CAL = "l200-p03-r000-cal-20240301T080000Z"
MAP = "hardware/configuration/channelmaps/l200-p03-r%-T%-all-config.yaml"


def change(cycle: SmallCycle, file: str, **entries: dict[str, Any]) -> None:
    """Merge entries into a file of the metadata."""
    path = cycle.folder / "inputs" / file
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | entries))


def chain_with(cycle: SmallCycle, old: str, new: str) -> Path:
    """Give V01001A a chain of its own, that of all germanium detectors with one change."""
    text = (shipped_folder("tier_dsp") / "processing_chain-geds.yaml").read_text()
    assert old in text
    own = cycle.folder / "inputs/dataprod/config/own.yaml"
    own.write_text(text.replace(old, new))
    rules = {"tier_dsp": {"inputs": {"processing_chain": {"V01001A": "own.yaml"}}}}
    change(cycle, "dataprod/config/l200-all-config.yaml", snakemake_rules=rules)
    return own


def install_packages(cycle: SmallCycle) -> None:
    """Let the cycle's software be the packages of the tests; planning reads their sources."""
    site = cycle.folder / "software/python/install/lib/python3.11/site-packages"
    site.parent.mkdir(parents=True)
    site.symlink_to(Path(dspeed.__file__).parents[1])


def channels_noted(cycle: SmallCycle, step: str) -> dict[str, dict[str, str]]:
    """What the notes of an output say of channels."""
    made = open_cycle(cycle.config)
    return dict(Records().notes(made.output(step, made.scheme.key(CAL))).get("channels", {}))


@pytest.fixture(scope="module")
def troubled(gebox_data: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallCycle:
    """A cycle up to events with three troubles: V09999Z is not in the data, V01001A and B02001A cannot be processed.

    V01001A has a wrong variable in its chain, which cannot be told from a column of the raw file before the data is
    there; B02001A wants more events for its decay constant than there are.
    """
    cycle = cycle_around(gebox_data, tmp_path_factory.mktemp("troubled") / "cycle", CAL)
    lost = {"name": "V09999Z", "system": "geds", "daq": {"rawid": 1999999, "fcid": 1}}
    change(cycle, MAP, V09999Z=lost)
    change(
        cycle,
        "datasets/statuses/l200-p03-r%-T%-all-config.yaml",
        V09999Z={"processable": True, "usability": "on"},
    )
    chain_with(cycle, "args: [wf_presum, tp_min", "args: [other_column, tp_min")
    config = "dataprod/config/l200-all-config.yaml"
    rules = yaml.safe_load((cycle.folder / "inputs" / config).read_text())["snakemake_rules"]
    rules["pars_dsp_tau"] = {"inputs": {"tau_config": {"B02001A": "tau.yaml"}}}
    change(cycle, config, snakemake_rules=rules)
    (cycle.folder / "inputs/dataprod/config/tau.yaml").write_text("least: 1000000\n")
    cycle.recorded(*((step, CAL) for step in TO_EVENTS))
    return cycle


def test_a_channel_that_the_daq_file_lacks_is_missing_in_every_step_that_follows(troubled: SmallCycle) -> None:
    cycle = troubled
    for step in TO_EVENTS:
        found = channels_noted(cycle, step)["V09999Z"]
        assert (found["state"], found["step"]) == ("missing", "tier_raw"), step
        assert found["reason"] == "the DAQ file has no channel 1999999"
    assert cycle.pars("par_hit")["V09999Z"]["pars"] == {}
    status = cycle.pars("par_hit")["V09999Z"]["status"]
    assert status == {
        "state": "failed",
        "step": "tier_raw",
        "reason": "the DAQ file has no channel 1999999",
        "then": "par_hit_ecal: V09999Z has no events in this run",
    }
    assert cycle.pars("par_dsp")["V09999Z"]["status"]["then"] == "par_dsp_pz: V09999Z has no events in this run"
    made = open_cycle(cycle.config)
    (trouble,) = [t for t in troubles_of(made, [("tier_evt", made.scheme.key(CAL))]) if t.detector == "V09999Z"]
    assert (trouble.state, trouble.step, trouble.files) == ("missing", "tier_raw", len(TO_EVENTS))
    assert trouble.steps == (
        "tier_raw",
        "tier_tcm",
        "tier_dsp",
        "tier_hit",
        "tier_evt",
        *(step for step in TO_EVENTS if step.startswith("par_")),
    )
    assert trouble.sentence().startswith(
        "V09999Z is missing: the DAQ file has no channel 1999999 (then par_dsp_pz: V09999Z has no events in this run) "
        "[l200-p03-r000-cal: tier_raw"
    )


def test_a_detector_that_fails_in_dsp_carries_that_cause_to_its_calibration_and_events(troubled: SmallCycle) -> None:
    cycle = troubled
    for step in ("tier_dsp", "par_hit_ecal", "par_hit", "tier_hit", "tier_evt"):
        found = channels_noted(cycle, step)["V01001A"]
        assert found["step"] == "tier_dsp", step
        assert "other_column" in found["reason"]
    assert channels_noted(cycle, "tier_evt")["V01001A"]["state"] == "failed"
    assert "V01001A" not in channels_noted(cycle, "par_dsp")
    status = cycle.pars("par_hit")["V01001A"]["status"]
    assert status["step"] == "tier_dsp"
    assert status["then"] == "par_hit_ecal: V01001A has no events in this run"
    tables = {"V01001A": [], "V01002B": ["hit"]}
    with h5py.File(cycle.output("tier_hit")) as file:
        job = open_cycle(cycle.config).job("tier_hit", CAL)
        assert {c.name: list(file.get(job.table("hit", c).partition("/")[0], ())) for c in job.channels}.items() >= (
            tables.items()
        )


def test_a_decay_constant_that_fails_is_the_cause_of_what_comes_of_it(troubled: SmallCycle) -> None:
    states = {step: channels_noted(troubled, step)["B02001A"] for step in TO_EVENTS[3:]}
    assert {step: found["step"] for step, found in states.items()} == dict.fromkeys(TO_EVENTS[3:], "par_dsp_pz")
    assert all("are too few for a decay constant" in found["reason"] for found in states.values())
    assert {step: found["state"] for step, found in states.items()} == {
        "par_dsp_pz": "failed",
        "par_dsp_evtsel": "failed",
        "par_dsp_nopt": "failed",
        "par_dsp_eopt": "failed",
        "par_dsp_dplms": "failed",
        "par_dsp": "failed",
        "tier_dsp": "degraded",
        "par_hit_qc": "degraded",  # quality cuts follow from what there is
        "par_hit_ecal": "failed",  # of so few events no source is identified; the cause told is the first one
        "par_hit_aoe": "failed",
        "par_hit_lq": "failed",
        "par_hit": "failed",
        "tier_hit": "degraded",
        "tier_evt": "degraded",
    }


def test_a_detector_without_trouble_is_in_no_notes(gebox_cycle: Maker) -> None:
    cycle = gebox_cycle("cycle", CAL)
    cycle.recorded(*((step, CAL) for step in ("tier_raw", "tier_tcm", "par_dsp_pz", "par_dsp", "tier_dsp")))
    assert "V01001A" not in channels_noted(cycle, "tier_dsp")
    assert list(cycle.folder.rglob("*-tier_raw.lh5.*.notes.json")) == []


def test_notes_are_gone_when_the_trouble_is(gebox_cycle: Maker) -> None:
    cycle = gebox_cycle("cycle", CAL)
    change(cycle, MAP, S099={"name": "S099", "system": "spms", "daq": {"rawid": 1999999}})
    cycle.recorded(("tier_raw", CAL))
    assert channels_noted(cycle, "tier_raw").keys() == {"S099"}
    change(cycle, MAP, S099={"name": "S099", "system": "pmts", "daq": {"rawid": 1999999}})
    cycle.recorded(("tier_raw", CAL))
    assert channels_noted(cycle, "tier_raw") == {}


@pytest.mark.parametrize(
    ("old", "new", "said", "line"),
    [
        ("function: presum", "function: presun", "dspeed.processors has no function 'presun'", "function: presun"),
        ("function: presum", "function: dspeed.processors.presum_2(waveform)", "no function 'presum_2'", "presum_2"),
        (
            "module: dspeed.processors",
            "module: dspeed.procesors",
            "no module 'dspeed.procesors'",
            "module: dspeed.procesors",
        ),
        ("function: presum", "function: 'presum('", "is not an expression", "presum("),
        (
            "args: [wf_presum, tp_min",
            "args: [wf_persum, tp_min",
            "uses 'wf_persum', which no proc",
            "wf_persum",
        ),
        ("  - trapEmax", "  - trapEmx", "the outputs name 'trapEmx'", "outputs:"),
    ],
)
def test_a_misspelt_function_stops_the_plan_with_file_and_line(
    gebox_cycle: Maker, old: str, new: str, said: str, line: str
) -> None:
    cycle = gebox_cycle("cycle", CAL)
    own = chain_with(cycle, old, new)
    install_packages(cycle)
    made = open_cycle(cycle.config)
    with pytest.raises(UserError, match=said) as caught:
        made.check([("tier_evt", made.scheme.key(CAL))])
    number = int(caught.value.message.removeprefix(f"{own}:").partition(":")[0])
    assert line in own.read_text().splitlines()[number - 1]


def test_the_chains_that_are_shipped_pass(gebox_cycle: Maker) -> None:
    cycle = gebox_cycle("cycle", CAL)
    install_packages(cycle)
    made = open_cycle(cycle.config)
    made.check([("tier_evt", made.scheme.key(CAL))])
    looked_at = {path.relative_to(STEPS_FOLDER).parts[0] + path.stem[16:] for (path,) in made.chains._done}
    assert looked_at == {f"tier_dsp-{system}" for system in ("geds", "spms", "puls", "bsln")}  # one for all steps


def test_an_energy_that_alone_could_not_be_calibrated_is_told() -> None:
    nan, known = {"parameters": {"a": 0, "b": math.nan}}, {"parameters": {"a": 0, "b": 0.2}}
    failed = {"results": {"ecal_failed": {"cuspEmax_ctc": "one line", "zacEmax_ctc": "few events", "trapTmax": "none"}}}
    config = {
        "outputs": ["cuspEmax_ctc_cal", "zacEmax_ctc_cal"],
        "operations": {"cuspEmax_ctc_cal": nan, "zacEmax_ctc_cal": known, "trapTmax_cal": nan},
    }
    assert list(_not_calibrated(failed, config)) == ["cuspEmax_ctc is not calibrated: one line"]
    assert list(_not_calibrated({}, config)) == []
