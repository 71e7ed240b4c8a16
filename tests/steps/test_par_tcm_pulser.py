"""Pulser, forced-trigger and recovery masks, from coincidence maps and raw data written here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lh5
import numpy as np
import pytest
import yaml
from lgdo import Array, Table, VectorOfVectors

from dataflow.base.errors import UserError
from dataflow.jobs.errors import BadInput
from dataflow.jobs.runner import run
from dataflow.physics.pulser import event_masks
from dataflow.plan import open_cycle
from dataflow.steps.par_tcm_pulser.masks import Hits, forced_events, pulser_events, recovering, rows_of
from dataflow.steps.par_tcm_pulser.settings import PulserSettings

SETTINGS = PulserSettings()
CAL = ("l200-p03-r000-cal-20240301T080000Z", "l200-p03-r000-cal-20240301T090000Z")
PZC = "l200-p03-r000-pzc-20240301T120000Z"
GERMANIUM, PULSER, BASELINE = np.array([1, 2]), np.array([9]), np.array([8])
MAP = {"V1": ("geds", 1), "V2": ("geds", 2), "BSLN01": ("bsln", 8), "PULS01": ("puls", 9)}

Events = list[list[tuple[int, int]]]


def hits(events: Events) -> Hits:
    """A map of events, each a list of (rawid, row)."""
    flat = [hit for event in events for hit in event]
    ends = np.cumsum([len(event) for event in events])
    return Hits(np.array([key for key, _ in flat]), np.array([row for _, row in flat]), ends)


EVENTS: Events = [[(1, 0)], [(1, 1), (2, 0), (9, 0)], [(2, 1)], [(9, 1), (1, 2)], [(1, 3), (2, 2)], [(8, 0), (2, 3)]]


def test_rows_with_the_pulser_or_the_baseline_in_the_event_are_marked() -> None:
    map_of = hits(EVENTS)
    pulser = pulser_events(map_of, PULSER, GERMANIUM, SETTINGS)
    forced = forced_events(map_of, BASELINE)
    assert rows_of(map_of, 1, pulser).tolist() == [False, True, True, False]
    assert rows_of(map_of, 2, pulser).tolist() == [True, False, False, False]
    assert rows_of(map_of, 2, forced).tolist() == [False, False, False, True]
    assert rows_of(map_of, 1, forced).tolist() == [False] * 4


def test_rows_need_not_come_in_the_order_of_events() -> None:
    map_of = hits([[(1, 2), (9, 0)], [(1, 0)], [(1, 1)]])
    marked = pulser_events(map_of, PULSER, GERMANIUM, SETTINGS)
    assert rows_of(map_of, 1, marked).tolist() == [False, False, True]


def test_a_channel_that_is_read_out_always_marks_nothing() -> None:
    map_of = hits([[(1, row), (8, row), (9, row)] for row in range(20)])
    assert not pulser_events(map_of, PULSER, GERMANIUM, SETTINGS).any()
    assert not forced_events(map_of, BASELINE).any()


def test_without_a_pulser_channel_the_number_of_detectors_decides_if_it_is_configured() -> None:
    events: Events = [[(1, 0)], [(1, 1), (2, 0)], [(2, 1), (8, 0)]]
    none = np.empty(0, dtype=np.int64)
    assert not pulser_events(hits(events), none, GERMANIUM, SETTINGS).any()
    least = PulserSettings(pulser_multiplicity_threshold=1)
    assert pulser_events(hits(events), none, GERMANIUM, least).tolist() == [False, True, False]
    # a channel that tells is believed: showers have many detectors too
    assert pulser_events(hits([*events, [(9, 0)]]), PULSER, GERMANIUM, least).tolist() == [False, False, False, True]


def test_what_follows_a_discharge_is_recovering_and_the_discharge_itself_is_not() -> None:
    """The published flow compares with numbers of rows in place of times, so that it never marks any."""
    times = 1.7e9 + np.array([0.0, 5.0, 5.0, 5.004, 5.0099, 5.011, 9.0, 9.001])
    discharges = np.array([0, 1, 0, 0, 0, 0, 1, 1], dtype=bool)
    expected = [False, False, False, True, True, False, False, True]
    assert recovering(times, discharges, 0.010).tolist() == expected
    assert not recovering(times, np.zeros(8, dtype=bool), 0.010).any()


def write_map(path: Path, events: Events, table: str = "hardware_tcm_1") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "table_key": VectorOfVectors([[rawid for rawid, _ in event] for event in events], dtype="int64"),
        "row_in_table": VectorOfVectors([[row for _, row in event] for event in events], dtype="int64"),
    }
    lh5.write(Table(col_dict=columns), table, str(path), wo_mode="a")


def write_raw(path: Path, rows: dict[int, int], saturated: dict[int, int]) -> None:
    """Raw tables with rows 1 ms apart; one row of some channels is a discharge."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for rawid, count in rows.items():
        columns = {"timestamp": Array(1.7e9 + 1e-3 * np.arange(count))}
        if rawid in saturated:
            columns["t_sat_lo"] = Array((np.arange(count) == saturated[rawid]).astype("u2"))
        lh5.write(Table(col_dict=columns), f"ch{rawid:07d}/raw", str(path))


@pytest.fixture
def cycle(tmp_path: Path) -> Path:
    """A cycle with two calibration files and a pole-zero file."""
    (tmp_path / "config.json").write_text(json.dumps({"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}}))
    channels = {name: {"name": name, "system": system, "daq": {"rawid": n}} for name, (system, n) in MAP.items()}
    for place, content in (
        ("hardware/configuration/channelmaps", channels),
        ("datasets/statuses", {name: {"processable": True, "usability": "on"} for name in MAP}),
        ("dataprod/config", {}),
    ):
        folder = tmp_path / "inputs" / place
        folder.mkdir(parents=True)
        (folder / "validity.yaml").write_text('[{valid_from: "20240101T000000Z", apply: [config.yaml]}]')
        (folder / "config.yaml").write_text(yaml.safe_dump(content))
    for key in (*CAL, PZC):
        file = tmp_path / f"generated/tier/daq/{key.split('-')[3]}/p03/r000/{key}.fcio"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path


def fill(cycle: Path, maps: dict[str, Events], rows: dict[int, int], saturated: dict[int, int]) -> None:
    opened = open_cycle(cycle / "config.json")
    for key, events in maps.items():
        write_map(opened.job("tier_tcm", key).outputs["tier"], events)
        write_raw(opened.job("tier_raw", key).outputs["tier"], rows, saturated)


SECOND: Events = [[(1, 0), (9, 0)], [(1, 1)], [(1, 2)], [(1, 3)], [(2, 0)], [(2, 1)], [(2, 2)], [(2, 3)]]


def test_masks_of_all_files_of_the_run_are_kept_and_read_file_by_file(cycle: Path) -> None:
    fill(cycle, {CAL[0]: EVENTS, CAL[1]: SECOND, PZC: EVENTS}, {1: 4, 2: 4}, {2: 1})
    opened = open_cycle(cycle / "config.json")
    run(opened.job("par_tcm_pulser", CAL[0]))
    job = opened.job("par_dsp_pz", CAL[0])
    assert job.inputs["masks"] == (opened.job("par_tcm_pulser", CAL[0]).outputs["masks"],)
    found = event_masks(job, {"V1": [4, 4], "V2": [4, 4]})
    assert found["V1"].pulser.tolist() == [False, True, True, False, True, False, False, False]
    assert found["V2"].forced.tolist() == [False, False, False, True, False, False, False, False]
    assert not found["V1"].recovering.any(), "its raw table does not say when it was saturated"
    assert found["V2"].recovering.tolist() == [False, False, True, True, False, False, True, True]
    others = event_masks(job, {"V1": [4], "V2": [4]}, [cycle / f"{PZC}-tier_raw.lh5"])
    assert others["V1"].pulser.tolist() == [False, True, True, False]
    assert others["V2"].usable.tolist() == [False, True, False, False]


def test_detectors_in_several_crates_each_have_their_map(cycle: Path) -> None:
    fill(cycle, {CAL[0]: [[(1, 0)], [(1, 1), (9, 0)]], CAL[1]: [], PZC: []}, {1: 2, 2: 3}, {})
    opened = open_cycle(cycle / "config.json")
    write_map(opened.job("tier_tcm", CAL[0]).outputs["tier"], [[(2, 0)], [(2, 1)], [(2, 2)]], "hardware_tcm_2")
    run(opened.job("par_tcm_pulser", CAL[0]))
    found = event_masks(opened.job("par_dsp_pz", CAL[0]), {"V1": [2, 0], "V2": [3, 0]})
    assert found["V1"].pulser.tolist() == [False, True]
    assert found["V2"].pulser.tolist() == [False, False, False]


def test_a_cycle_that_begins_with_tcm_has_masks_without_recovery(cycle: Path) -> None:
    fill(cycle, {CAL[0]: EVENTS, CAL[1]: SECOND}, {1: 4, 2: 4}, {2: 1})
    for path in (cycle / "generated/tier/daq").rglob("*.fcio"):
        path.unlink()
    for path in (cycle / "generated/tier/raw").rglob("*.lh5"):
        path.unlink()
    opened = open_cycle(cycle / "config.json")
    job = opened.job("par_tcm_pulser", CAL[0])
    assert "raw" not in job.inputs
    run(job)
    found = event_masks(opened.job("par_hit_ecal", CAL[0]), {"V1": [4, 4], "V2": [4, 4]})
    assert found["V1"].pulser.sum() == 3
    assert not found["V2"].recovering.any()


def test_a_map_and_raw_data_that_do_not_belong_together_are_refused(cycle: Path) -> None:
    fill(cycle, {CAL[0]: EVENTS, CAL[1]: SECOND, PZC: EVENTS[:5]}, {1: 4, 2: 4}, {2: 1})
    with pytest.raises(BadInput, match="V2 has 4 rows in .*-pzc-.* and 3 in its coincidence map"):
        run(open_cycle(cycle / "config.json").job("par_tcm_pulser", CAL[0]))


def test_a_file_without_a_map_is_refused(cycle: Path) -> None:
    fill(cycle, {CAL[0]: EVENTS, CAL[1]: SECOND, PZC: EVENTS}, {1: 4, 2: 4}, {})
    opened = open_cycle(cycle / "config.json")
    path = opened.job("tier_tcm", CAL[1]).outputs["tier"]
    path.unlink()
    lh5.write(Array(np.zeros(1)), "other", str(path))
    with pytest.raises(BadInput, match="has no coincidence map"):
        run(opened.job("par_tcm_pulser", CAL[0]))
    assert not opened.job("par_tcm_pulser", CAL[0]).outputs["masks"].exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"threshold": 3}, "pulser_config has no entry 'threshold'"),
        ({"pulser_multiplicity_threshold": 0}, "must be a number at least 1"),
        ({"recovery_time": -1.0}, "must be a number at least 0"),
    ],
)
def test_settings_are_checked(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        PulserSettings.read(config, "pulser_config")


def test_the_published_configuration_is_taken() -> None:
    published = {"pulser_multiplicity_threshold": 10}
    assert PulserSettings.read(published, "pulser_config").pulser_multiplicity_threshold == 10
