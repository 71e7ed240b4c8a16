"""What analysts ask of a cycle: parameters as one table, live time, exposure."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import awkward as ak
import lh5
import numpy as np
import pandas as pd
import pytest
from lgdo import Array, Table
from numpy.typing import NDArray

import dataprod
from dataprod import Production, UserError
from dataprod.exposure import YEAR, live_time

from ..plan.conftest import Tree
from .conftest import CHANNELS, KEYS, fill, hit_par, place, sipms

CAL, PHY, NEXT = KEYS
FWHM = "results.ecal.e_cal.eres_linear.Qbb_fwhm_in_kev"
SLOPE = "pars.operations.e_cal.parameters.b"
PERIOD, PULSES = 20.0, 100


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A cycle with two calibrations; from the middle of the first run on a slope is set by hand."""
    tree = Tree(tmp_path / "cycle")
    tree.metadata()
    tree.daq(*KEYS)
    tree.save()
    for key in KEYS:
        fill(tree, key)
    place(tree, "par", "hit", NEXT, ".yaml").write_text(json.dumps({name: hit_par(3.0) for name in CHANNELS}))
    tree.write(
        "inputs/dataprod/overrides/hit/mine.yaml",
        json.dumps({"V02160A": {"pars": {"operations": {"e_cal": {"parameters": {"b": 0.15}}}}}}),
    )
    tree.validity(
        "dataprod/overrides/hit",
        {"valid_from": "20230312T000000Z", "apply": ["mine.yaml"]},
        {"valid_from": "20230401T000000Z", "mode": "reset", "apply": []},
    )
    return tree


def row(frame: pd.DataFrame, run: str, detector: str, quantity: str) -> dict[str, Any]:
    """The one row of a quantity."""
    chosen = frame[(frame["run"] == run) & (frame["detector"] == detector) & (frame["quantity"] == quantity)]
    assert len(chosen) == 1
    return dict(chosen.iloc[0])


def test_parameters_of_all_runs_and_detectors_are_one_table(tree: Tree) -> None:
    frame = dataprod.open(tree.root).parameters("hit")
    found = row(frame, "l200-p03-r001-cal", "V02160B", FWHM)
    assert (found["value"], found["error"], found["unit"], found["by_hand"]) == (3.0, 0.02, "keV", False)
    assert (found["valid_from"], found["valid_until"]) == ("20230317T211819Z", "20230401T000000Z")
    assert row(frame, "l200-p03-r000-phy", "V02160B", FWHM)["value"] == 2.2
    wide = frame[frame["quantity"] == FWHM].pivot_table(index="detector", columns="run", values="value", observed=True)
    assert wide.loc["V02160A"].to_dict() == {
        "l200-p03-r000-cal": 2.2,
        "l200-p03-r000-phy": 2.2,
        "l200-p03-r001-cal": 3.0,
    }


def test_overrides_are_marked_with_their_validity(tree: Tree) -> None:
    frame = dataprod.open(tree.root).parameters("hit", detectors="V*A")
    before, by_hand = (row(frame, f"l200-p03-r000-{kind}", "V02160A", SLOPE) for kind in ("cal", "phy"))
    assert (before["value"], before["by_hand"], before["valid_from"], before["valid_until"]) == (
        0.16, False, "20230311T235840Z", "20230312T000000Z",
    )  # fmt: skip
    assert (by_hand["value"], by_hand["by_hand"], by_hand["valid_from"], by_hand["valid_until"]) == (
        0.15, True, "20230312T000000Z", "20230317T211819Z",
    )  # fmt: skip
    assert math.isnan(by_hand["error"])
    later = row(frame, "l200-p03-r001-cal", "V02160A", SLOPE)
    assert (later["by_hand"], later["valid_until"]) == (True, "20230401T000000Z")
    assert set(frame["detector"]) == {"V02160A"}


def test_what_sipms_have_from_their_own_data_is_in_the_table(tree: Tree) -> None:
    sipms(tree, PHY, gain=20.0)
    cycle = dataprod.open(tree.root)
    found = row(cycle.parameters("hit"), "l200-p03-r000-phy", "S001", "results.spms.gain")
    assert (found["value"], found["error"], found["valid_from"], found["valid_until"]) == (
        20.0, 0.1, "20230312T043356Z", "",
    )  # fmt: skip
    noise = cycle.parameters("dsp", detectors="S*")
    assert noise[["run", "quantity", "value"]].to_numpy().tolist() == [["l200-p03-r000-phy", "baseline_curr_fwhm", 4.0]]
    assert cycle.par("hit", PHY, "S001").results.spms.gain == 20.0
    with pytest.raises(UserError, match="no hit parameters of 'S001'"):
        cycle.par("hit", CAL, "S001")
    text = json.dumps({"S001": {"results": {"spms": {"gain": 21.5}}}})
    tree.write("inputs/dataprod/overrides/hit/mine.yaml", text)
    found = row(dataprod.open(tree.root).parameters("hit", PHY), "l200-p03-r000-phy", "S001", "results.spms.gain")
    assert (found["value"], found["by_hand"]) == (21.5, True)


def test_the_table_says_what_par_says(tree: Tree) -> None:
    cycle = dataprod.open(tree.root)
    for key in KEYS:
        par = cycle.par("hit", key, "V02160A")
        found = row(cycle.parameters("hit", cycle.key(key)), key.rpartition("-")[0], "V02160A", SLOPE)
        assert found["value"] == par.pars.operations.e_cal.parameters.b


def test_parameters_are_the_same_in_awkward(tree: Tree) -> None:
    cycle = dataprod.open(tree.root)
    frame, array = (cycle.parameters("hit", library=library) for library in ("pd", "ak"))
    assert ak.to_list(array.quantity) == frame["quantity"].tolist()
    assert np.array_equal(ak.to_numpy(array.value), frame["value"])


def test_a_detector_that_failed_has_a_row_with_the_reason(tree: Tree) -> None:
    text = json.dumps({"V02160B": {"status": {"state": "failed", "reason": "no peak"}}})
    place(tree, "par", "hit", CAL, ".yaml").write_text(text)
    frame = dataprod.open(tree.root).parameters("hit", CAL)
    assert frame[["detector", "quantity", "failed"]].to_numpy().tolist() == [["V02160B", "", "no peak"]]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"tier": "evt"}, "tier evt has no parameters.*there are: .*dsp.*hit"),
        ({"keys": "p99"}, "no key fits 'p99'"),
        ({"keys": []}, "there are no keys"),
        ({"detectors": "X*"}, r"no hit parameters of X\*.*there are: .*V02160A"),
        ({"library": "lgdo"}, "not there in LGDO.*'pd' or 'ak'"),
    ],
)
def test_mistakes_are_answered_with_a_sentence(tree: Tree, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        dataprod.open(tree.root).parameters(**{"tier": "hit", **arguments})


def pulsed(missing: int = 0, seed: int = 1) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Events of a file: pulses at a fixed rate without some in the middle, and random ones between first and last."""
    rng = np.random.default_rng(seed)
    pulses = 1e9 + PERIOD * np.arange(PULSES)
    pulses = np.delete(pulses, rng.choice(np.arange(1, PULSES - 1), missing, replace=False))
    physics = 1e9 + rng.uniform(0, PERIOD * (PULSES - 1), 500)
    times = np.concatenate([pulses, physics])
    order = np.argsort(times)
    return times[order], (np.arange(len(times)) < len(pulses))[order]


def test_the_pulser_tells_the_live_time() -> None:
    whole, dead = live_time(*pulsed()), live_time(*pulsed(missing=30))
    assert (whole.real, whole.live, whole.missing, whole.method) == (pytest.approx(2000.0), whole.real, 0, "pulser")
    assert (dead.real, dead.live) == (pytest.approx(2000.0), pytest.approx(1400.0))
    assert (dead.pulses, dead.missing, dead.period) == (70, 30, pytest.approx(PERIOD))


def test_without_a_regular_pulser_the_events_tell_it() -> None:
    times, is_pulser = pulsed()
    for marked in (np.zeros(len(times), dtype=bool), ~is_pulser, is_pulser & (times < 1e9 + 5 * PERIOD)):
        found = live_time(times, marked)
        assert (found.live, found.real, found.method) == (1980.0, 1980.0, "events")
    assert live_time(np.empty(0), np.empty(0, dtype=bool)).live == 0.0
    assert live_time(np.array([np.nan, 5.0, 8.0]), np.zeros(3, dtype=bool)).live == 3.0


def with_events(tree: Tree, key: str, missing: int, pulser: bool = True) -> None:
    """Events with known live time."""
    times, is_pulser = pulsed(missing)
    coincident = {"coincident": Table({"puls": Array(is_pulser)})} if pulser else {}
    events = Table({"trigger": Table({"timestamp": Array(times)}), **coincident})
    path = place(tree, "tier", "evt", key)
    path.unlink()
    lh5.write(events, "evt", str(path), wo_mode="append")


@pytest.fixture
def measured(tree: Tree) -> Production:
    """Two physics files of a run, one with dead time, and a run without pulser; detectors have masses."""
    second, last = "l200-p03-r000-phy-20230312T053356Z", "l200-p03-r001-phy-20230318T015140Z"
    tree.daq(second, last)
    for key in (second, last):
        fill(tree, key)
    with_events(tree, PHY, 0)
    with_events(tree, second, 25)
    with_events(tree, last, 0, pulser=False)
    for name, grams in (("V02160A", 1500.0), ("V02160B", 2000.0), ("B00000C", 700.0)):
        content = {"name": name, "production": {"mass_in_g": grams}}
        tree.write(f"inputs/hardware/detectors/germanium/diodes/{name}.yaml", json.dumps(content))
    return dataprod.open(tree.root)


def test_live_times_of_files(measured: Production) -> None:
    frame = measured.livetime()
    assert frame["run"].tolist() == ["l200-p03-r000-phy"] * 2 + ["l200-p03-r001-phy"]
    assert frame["livetime_in_s"].to_numpy() == pytest.approx([2000.0, 1500.0, 1980.0])
    assert frame["realtime_in_s"].to_numpy() == pytest.approx([2000.0, 2000.0, 1980.0])
    assert frame["method"].tolist() == ["pulser", "pulser", "events"]
    assert frame["missing_pulses"].tolist() == [0, 25, 0]
    assert frame["to"][0] - frame["from"][0] == 1980.0
    assert ak.to_list(measured.livetime("r000-phy", library="ak").pulses) == [100, 75]


def test_exposure_is_mass_times_live_time_of_usable_detectors(measured: Production) -> None:
    frame = measured.exposure()
    first = frame[frame["run"] == "l200-p03-r000-phy"].set_index("detector")
    assert first["livetime_in_s"].to_dict() == pytest.approx({"V02160A": 3500.0, "V02160B": 0.0, "B00000C": 0.0})
    assert first["exposure_in_kg_yr"]["V02160A"] == pytest.approx(1.5 * 3500.0 / (365.25 * 86400))
    assert first["left_out"].to_dict() == {
        "V02160A": "", "V02160B": "usability off", "B00000C": "not processable",
    }  # fmt: skip
    assert frame["exposure_in_kg_yr"].sum() == pytest.approx(1.5 * (3500.0 + 1980.0) / YEAR)
    every = measured.exposure(usability=["on", "off"])
    assert every["exposure_in_kg_yr"].sum() == pytest.approx((1.5 + 2.0) * (3500.0 + 1980.0) / YEAR)


def test_a_detector_without_calibration_does_not_count(tree: Tree, measured: Production) -> None:
    text = json.dumps({name: {"status": {"state": "failed", "reason": "no peak"}} for name in CHANNELS})
    place(tree, "par", "hit", NEXT, ".yaml").write_text(text)
    tree.validity("dataprod/overrides/hit")
    frame = dataprod.open(tree.root).exposure().set_index(["run", "detector"])
    assert frame["livetime_in_s"]["l200-p03-r000-phy", "V02160A"] == pytest.approx(3500.0)
    assert frame["livetime_in_s"]["l200-p03-r001-phy", "V02160A"] == 0.0
    assert frame["left_out"]["l200-p03-r001-phy", "V02160A"] == "no calibration: no peak"


def test_a_detector_whose_energy_in_events_is_not_calibrated_does_not_count(tree: Tree, measured: Production) -> None:
    def entry(energy: str) -> dict[str, Any]:
        return {"pars": {"operations": {}}, "results": {"ecal": {}, "ecal_failed": {energy: "one line"}}}

    content = {"V02160A": entry("cuspEmax_ctc"), "V02160B": entry("zacEmax_ctc")}
    place(tree, "par", "hit", NEXT, ".yaml").write_text(json.dumps(content))
    tree.validity("dataprod/overrides/hit")
    frame = dataprod.open(tree.root).exposure(usability=("on", "off")).set_index(["run", "detector"])
    assert frame["livetime_in_s"]["l200-p03-r001-phy", "V02160A"] == 0.0
    assert frame["left_out"]["l200-p03-r001-phy", "V02160A"] == "no calibration of cuspEmax_ctc_cal: one line"
    assert frame["livetime_in_s"]["l200-p03-r001-phy", "V02160B"] > 0.0  # events are not made of zacEmax


def test_an_unknown_mass_is_named_with_the_file_to_write(tree: Tree, measured: Production) -> None:
    path = tree.root / "inputs/hardware/detectors/germanium/diodes/V02160A.yaml"
    path.write_text("production: {mass_in_g: heavy}")
    with pytest.raises(UserError, match="V02160A.yaml.*mass_in_g must be a mass in grams"):
        dataprod.open(tree.root).exposure()
    path.unlink()
    with pytest.raises(UserError, match="do not say the mass of V02160A.*V02160A.yaml: .production"):
        dataprod.open(tree.root).exposure()


def test_events_without_times_have_no_live_time(tree: Tree) -> None:
    path = place(tree, "tier", "evt", PHY)
    path.unlink()
    lh5.write(Table({"trigger": Table({"x": Array(np.zeros(3))})}), "evt", str(path), wo_mode="append")
    with pytest.raises(UserError, match="have no trigger/timestamp"):
        dataprod.open(tree.root).livetime()
