"""The channel map or a status changes inside a run: each file by its own, rows joined by the detector's name.

The cables of two detectors of the simulated experiment are swapped between the two files of a calibration run, in the
data and in the channel map: then everything must come out as without the swap, value by value.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import yaml
from lgdo import Array, VectorOfVectors

from dataflow.base.errors import UserError
from dataflow.jobs.lh5files import read_many, rows_by_file
from dataflow.plan import open_cycle
from dataflow.plan.ticket import Tickets, read_ticket
from dataflow.steps.tier_skm.build import renumbered, run_numbers

if TYPE_CHECKING:
    from tests.physics.conftest import SmallCycle

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning:pygama")

Maker = Callable[..., "SmallCycle"]
FIRST, SECOND = "l200-p03-r000-cal-20240301T080000Z", "l200-p03-r000-cal-20240301T090000Z"
MAPS = "inputs/hardware/configuration/channelmaps"
STATUSES = "inputs/datasets/statuses"
ONE, OTHER = "V01001A", "V01002B"
TRACEMAP = 68 + 4 + 10 * 8 + 4
"""Where the trace map stands in a FlashCam file: after the protocol and the configuration record's first frames."""
PER_FILE = ("tier_raw", "tier_tcm", "tier_dsp")


def change_from(cycle: SmallCycle, folder: str, time: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Let a changed channel map (or statuses) hold from a time on."""
    (old,) = (path for path in (cycle.folder / folder).glob("*.yaml") if path.name != "validity.yaml")
    content = yaml.safe_load(old.read_text())
    change(content)
    (cycle.folder / folder / "changed.yaml").write_text(yaml.safe_dump(content))
    validity = cycle.folder / folder / "validity.yaml"
    entries = yaml.safe_load(validity.read_text())
    entries.append({"valid_from": time, "category": "all", "mode": "reset", "apply": ["changed.yaml"]})
    validity.write_text(yaml.safe_dump(entries))


def swap_numbers(content: dict[str, Any]) -> None:
    content[ONE]["daq"], content[OTHER]["daq"] = content[OTHER]["daq"], content[ONE]["daq"]


def swap_cables(cycle: SmallCycle, key: str) -> None:
    """Swap two detectors in the trace map of a DAQ file."""
    channels = yaml.safe_load(next((cycle.folder / MAPS).glob("l200*.yaml")).read_text())
    one, other = (channels[name]["daq"] for name in (ONE, OTHER))
    codes = [int(daq["card"]["address"], 16) << 16 | daq["channel"] for daq in (one, other)]
    (path,) = (cycle.folder / "generated/tier/daq").rglob(f"{key}.fcio")
    data = path.read_bytes()
    length = struct.unpack_from("<i", data, TRACEMAP - 4)[0]
    entries = list(struct.unpack_from(f"<{length // 4}i", data, TRACEMAP))
    assert set(codes) <= set(entries)
    swapped = {codes[0]: codes[1], codes[1]: codes[0]}
    changed = struct.pack(f"<{len(entries)}i", *(swapped.get(entry, entry) for entry in entries))
    path.write_bytes(data[:TRACEMAP] + changed + data[TRACEMAP + length :])


def made(cycle: SmallCycle) -> SmallCycle:
    for key in (FIRST, SECOND):
        cycle.recorded(*((step, key) for step in PER_FILE[:2]))
    cycle.recorded(("par_dsp_pz", FIRST), ("par_dsp", FIRST))
    cycle.recorded(("tier_dsp", FIRST), ("tier_dsp", SECOND))
    return cycle


def columns_by_name(cycle: SmallCycle) -> dict[str, dict[str, Any]]:
    """What the energy calibration reads of each detector."""
    job = open_cycle(cycle.config).job("par_hit_ecal", FIRST)
    tables = {channel.name: job.tables_in("dsp", channel) for channel in job.channels}
    return read_many(job.inputs["dsp"], tables, ("trapEmax", "tp_0_est", "timestamp"))


def test_swapped_cables_change_no_value_of_any_detector(gebox_cycle: Maker) -> None:
    plain, swapped = gebox_cycle("plain", FIRST, SECOND), gebox_cycle("swapped", FIRST, SECOND)
    change_from(swapped, MAPS, SECOND.rpartition("-")[2], swap_numbers)
    swap_cables(swapped, SECOND)
    made(plain)
    made(swapped)
    job = open_cycle(swapped.config).job("par_dsp_pz", FIRST)
    one = next(channel for channel in job.channels if channel.name == ONE)
    first, second = job.tables_in("raw", one)
    assert first != second
    for tier, table in (("raw", second), ("dsp", second.replace("/raw", "/dsp"))):
        with h5py.File(next(swapped.folder.rglob(f"{SECOND}-tier_{tier}.lh5"))) as file:
            assert file[f"{tier}/{ONE}"] == file[f"{ONE}/{tier}"] == file[table]
    before, after = columns_by_name(plain), columns_by_name(swapped)
    assert before.keys() == after.keys()
    for name, columns in before.items():
        assert len(columns["trapEmax"]) > 50
        for column, values in columns.items():
            np.testing.assert_array_equal(values, after[name][column], err_msg=f"{name} {column}")
    assert not np.array_equal(before[ONE]["trapEmax"], before[OTHER]["trapEmax"])
    assert plain.pars("par_dsp")[ONE]["pz"] == swapped.pars("par_dsp")[ONE]["pz"]
    assert plain.pars("par_dsp") == swapped.pars("par_dsp")
    recipes = [open_cycle(cycle.config).recipe("par_dsp_pz", FIRST) for cycle in (plain, swapped)]
    assert recipes[0] != recipes[1]


def test_a_changed_status_inside_a_run_leaves_out_the_files_of_that_detector_alone(gebox_cycle: Maker) -> None:
    """The definition: a calibration of a run takes a detector from the files in which it is processable."""
    cycle = gebox_cycle("cycle", FIRST, SECOND)

    def switch_off(content: dict[str, Any]) -> None:
        content[ONE]["processable"] = False

    change_from(cycle, STATUSES, SECOND.rpartition("-")[2], switch_off)
    cycle.recorded(*((step, key) for key in (FIRST, SECOND) for step in PER_FILE[:2]))
    cycle.recorded(("par_dsp_pz", FIRST), ("par_dsp", FIRST), ("tier_dsp", FIRST), ("tier_dsp", SECOND))
    job = open_cycle(cycle.config).job("par_hit_ecal", FIRST)
    tables = {channel.name: job.tables_in("dsp", channel) for channel in job.channels}
    assert tables[ONE][1] is None
    counts = rows_by_file(job.inputs["dsp"], tables)
    assert counts[ONE][0] > 50
    assert counts[ONE][1] == 0
    assert min(counts[OTHER]) > 50
    with h5py.File(cycle.output("tier_dsp")) as file:
        assert len(file[f"{tables[ONE][0]}/trapEmax"]) == counts[ONE][0]


def test_a_detector_that_comes_inside_a_run_is_calibrated_from_its_files(gebox_cycle: Maker) -> None:
    cycle = gebox_cycle("cycle", FIRST, SECOND)
    (path,) = (p for p in (cycle.folder / STATUSES).glob("*.yaml") if p.name != "validity.yaml")
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(content | {ONE: {"processable": False, "usability": "off"}}))
    change_from(cycle, STATUSES, SECOND.rpartition("-")[2], lambda later: later.update(content))
    job = open_cycle(cycle.config).job("par_dsp_pz", FIRST)
    one = next(channel for channel in job.channels if channel.name == ONE)
    assert [table is None for table in job.tables_in("raw", one)] == [True, False]


def test_a_ticket_carries_the_maps_of_all_files(gebox_cycle: Maker) -> None:
    cycle = gebox_cycle("cycle", FIRST, SECOND)
    change_from(cycle, MAPS, SECOND.rpartition("-")[2], swap_numbers)
    opened = open_cycle(cycle.config)
    job = opened.job("par_dsp_pz", FIRST)
    read = read_ticket(Tickets(opened).write(opened.step("par_dsp_pz"), job.unit)).job
    assert read.maps == job.maps
    for channel in job.channels:
        assert read.tables_in("raw", channel) == job.tables_in("raw", channel)
    assert len({read.tables_in("raw", channel)[0] for channel in read.channels}) == len(read.channels)
    assert any(len(set(read.tables_in("raw", channel))) == 2 for channel in read.channels)


def test_numbers_in_files_of_events_are_those_of_the_first_map(gebox_cycle: Maker) -> None:
    cycle = gebox_cycle("cycle", FIRST, SECOND)
    change_from(cycle, MAPS, SECOND.rpartition("-")[2], swap_numbers)
    opened = open_cycle(cycle.config)
    job = opened.job("par_dsp_pz", FIRST)
    first, second = job.inputs["raw"]
    numbers = {channel.name: channel.rawid for channel in job.map_of(first)}
    one, other = numbers[ONE], numbers[OTHER]
    assert run_numbers(job, first) == {}
    changed = run_numbers(job, second)
    assert changed == {one: other, other: one}
    assert one is not None
    assert other is not None
    columns = {
        "geds/rawid": VectorOfVectors([[one, other], [], [other]], dtype="int64"),
        "first/rawid": Array(np.array([one, 7])),
        "geds/energy": Array(np.array([float(one)])),
    }
    found = renumbered(columns, changed)
    np.testing.assert_array_equal(found["geds/rawid"].flattened_data.nda, [other, one, one])
    np.testing.assert_array_equal(found["first/rawid"].nda, [other, 7])
    np.testing.assert_array_equal(found["geds/energy"].nda, [float(one)])


def test_two_detectors_with_one_number_in_a_run_are_refused_in_one_file(gebox_cycle: Maker) -> None:
    cycle = gebox_cycle("cycle", FIRST, SECOND)

    def replace(content: dict[str, Any]) -> None:
        content["V07777A"] = content.pop(ONE) | {"name": "V07777A"}

    change_from(cycle, MAPS, SECOND.rpartition("-")[2], replace)
    change_from(
        cycle, STATUSES, SECOND.rpartition("-")[2], lambda content: content.update(V07777A={"processable": True})
    )
    job = open_cycle(cycle.config).job("par_dsp_pz", FIRST)
    with pytest.raises(UserError, match="V07777A has the channel number .* at the beginning of .* is that of V01001A"):
        run_numbers(job, job.inputs["raw"][1])
    tables = {channel.name: job.tables_in("raw", channel) for channel in job.channels}
    assert tables[ONE][1] is None
    assert tables["V07777A"] == (None, tables[ONE][0])


def test_a_map_of_equal_content_under_another_name_changes_no_recipe(gebox_cycle: Maker) -> None:
    cycle = gebox_cycle("cycle", FIRST, SECOND)
    before = open_cycle(cycle.config).recipe("par_dsp_pz", FIRST)
    change_from(cycle, MAPS, SECOND.rpartition("-")[2], lambda _: None)
    assert open_cycle(cycle.config).recipe("par_dsp_pz", FIRST) == before
