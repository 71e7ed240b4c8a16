"""The comparison of every event with the truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from gebox import checkevents
from gebox.experiment import Experiment
from gebox.truth import Kind

Edit = Callable[[h5py.Group], None]


def write_events(truth: Path, target: Path) -> None:
    """What a perfect production would make of a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(truth) as known, h5py.File(target, "w") as file:
        true, evt = known["truth"], file.create_group("evt")
        ends = true["hit_rawid/cumulative_length"][:].astype(int)
        charge = true["hit_charge/flattened_data"][:]
        high = charge > checkevents.THRESHOLD
        number = np.add.reduceat(np.append(high, False), np.append(0, ends[:-1])) * (np.diff(ends, prepend=0) > 0)
        evt["trigger/timestamp"] = true["timestamp"][:]
        evt["geds/multiplicity"] = number
        for name, values in (("rawid", true["hit_rawid/flattened_data"][:]), ("energy", charge)):
            evt[f"geds/{name}/flattened_data"] = values[high]
            evt[f"geds/{name}/cumulative_length"] = np.cumsum(number)
        evt["coincident/puls"] = true["source"][:] == Kind.PULSER


@pytest.fixture
def cycle(simulated: Path, small: Experiment, tmp_path: Path) -> Path:
    """A cycle with perfect events."""
    from gebox.experiment.build import save

    (tmp_path / "inputs").mkdir()
    save(small, tmp_path / "inputs")
    for path in sorted((simulated / "truth").rglob("*-truth.lh5")):
        place = path.relative_to(simulated / "truth").parent
        name = f"{path.name.removesuffix('-truth.lh5')}-tier_evt.lh5"
        write_events(path, tmp_path / "generated/tier/evt" / place / name)
    return tmp_path


def edit(cycle: Path, change: Edit) -> str:
    """Change the first calibration file; its key."""
    path = sorted(cycle.rglob("*-cal-*-tier_evt.lh5"))[0]
    with h5py.File(path, "a") as file:
        change(file["evt"])
    return path.name.removesuffix("-tier_evt.lh5")


def test_perfect_events_agree(cycle: Path, simulated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = checkevents.compare(cycle, truth=simulated / "truth")
    assert checkevents.report(found) == 0
    assert (found.wrong, found.absent, found.events > 300) == (0, [], True)
    assert capsys.readouterr().out == f"all {found.events} events of {found.files} files agree with the truth\n"


def _late(evt: h5py.Group) -> None:
    evt["trigger/timestamp"][7] += 2e-6


def _without_time(evt: h5py.Group) -> None:
    evt["trigger/timestamp"][3:9] = np.nan


def _other_detector(evt: h5py.Group) -> None:
    numbers = evt["geds/rawid/flattened_data"]
    numbers[0] = next(n for n in np.unique(numbers[:]) if n != numbers[0])


def _other_energy(evt: h5py.Group) -> None:
    evt["geds/energy/flattened_data"][:] *= 1.1


def _counted_twice(evt: h5py.Group) -> None:
    evt["geds/multiplicity"][0] += 5


def _no_pulser(evt: h5py.Group) -> None:
    evt["coincident/puls"][:] = False


@pytest.mark.parametrize(
    ("change", "cause", "least"),
    [
        (_late, "time", 1),
        (_without_time, "time", 6),
        (_other_detector, "detectors", 1),
        (_other_energy, "energies", 50),
        (_counted_twice, "multiplicity", 1),
        (_no_pulser, "pulser", 1),
    ],
)
def test_what_differs_is_counted_and_the_first_event_named(
    cycle: Path, simulated: Path, capsys: pytest.CaptureFixture[str], change: Edit, cause: str, least: int
) -> None:
    key = edit(cycle, change)
    found = checkevents.compare(cycle, truth=simulated / "truth")
    assert checkevents.report(found) == 1
    assert found.causes[cause] >= least
    assert found.wrong >= least
    shown = capsys.readouterr().out
    assert f"{found.wrong} of {found.events} events differ from the truth (" in shown
    assert f"{cause} {found.causes[cause]}" in shown
    assert f" of {key}: " in shown


@pytest.mark.parametrize(
    ("kind", "factor", "wrong"),
    [(Kind.SURFACE, 0.92, 0), (Kind.SURFACE, 0.8, 1), (Kind.SURFACE, 1.1, 1), (Kind.SINGLE, 0.92, 1)],
)
def test_only_a_surface_event_may_lack_late_charge(
    cycle: Path, simulated: Path, kind: Kind, factor: float, wrong: int
) -> None:
    truth = sorted((simulated / "truth").rglob("*-cal-*-truth.lh5"))[0]
    with h5py.File(truth, "a") as file:
        hits = file["truth"]
        charge, kinds = hits["hit_charge/flattened_data"][:], hits["hit_kind/flattened_data"][:]
        high = charge > checkevents.THRESHOLD
        usable = high & np.isin(kinds, (Kind.SINGLE, Kind.SURFACE)) & (hits["hit_saturated/flattened_data"][:] == 0)
        place = int(np.argmax(np.where(usable, charge, 0)))
        before = kinds[place]
        hits["hit_kind/flattened_data"][place] = kind

    def lower(evt: h5py.Group) -> None:
        evt["geds/energy/flattened_data"][int(high[:place].sum())] *= factor

    edit(cycle, lower)
    found = checkevents.compare(cycle, truth=simulated / "truth")
    with h5py.File(truth, "a") as file:
        file["truth/hit_kind/flattened_data"][place] = before
    assert found.causes["energies"] == wrong


def test_a_file_with_another_number_of_events_is_named(
    cycle: Path, simulated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def shorten(evt: h5py.Group) -> None:
        times = evt["trigger/timestamp"][:-1]
        del evt["trigger/timestamp"]
        evt["trigger/timestamp"] = times

    key = edit(cycle, shorten)
    assert checkevents.report(checkevents.compare(cycle, truth=simulated / "truth")) == 1
    assert f"{key} has " in capsys.readouterr().out


def test_detectors_without_calibration_and_files_without_events_are_left_out(
    cycle: Path, simulated: Path, small: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    name = small.layout.detectors[0].name

    def fail(evt: h5py.Group) -> Any:
        own = evt["geds/rawid/flattened_data"][:] == small.layout.detectors[0].address.rawid
        evt["geds/energy/flattened_data"][...] = np.where(own, 1e5, evt["geds/energy/flattened_data"][:])
        evt.attrs["degraded"] = f"{name}: no line"

    edit(cycle, fail)
    absent = sorted(cycle.rglob("*-tier_evt.lh5"))[-1]
    absent.unlink()
    found = checkevents.compare(cycle, truth=simulated / "truth")
    assert found.causes["energies"] == 0
    assert found.absent == [absent.name.removesuffix("-tier_evt.lh5")]
    checkevents.report(found)
    assert f"1 files have no events yet: {found.absent[0]}" in capsys.readouterr().out
