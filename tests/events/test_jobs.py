"""The jobs tcm, evt and skm on files made here: sparse, with repeated rows and times that go backwards."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import lh5
import numpy as np
import pytest
from lgdo import Array, Table
from numpy.typing import NDArray

from dataflow.base.errors import UserError
from dataflow.jobs.counts import counts_of
from dataflow.jobs.notes import taking_notes
from dataflow.plan import open_cycle
from dataflow.steps.tier_evt import build as evt
from dataflow.steps.tier_skm import build as skm
from dataflow.steps.tier_tcm import build as tcm

from ..physics.conftest import make_cycle

if TYPE_CHECKING:
    from dataflow.plan.job import Job

KEY = "ts1-p01-r000-phy-20230318T000000Z"
START = 1.6790976e9
RAWIDS = {"V01A": 1000001, "B02B": 1000002, "S001": 1000005, "V99X": 1000009}
Times = dict[str, NDArray[np.float64]]


class Files:
    """A cycle with the raw, dsp and hit files of given times; energies are 100 keV and more."""

    def __init__(self, folder: Path, times: Times, tails: Sequence[int] = ()) -> None:
        source = folder / "none.fcio"
        source.write_bytes(b"")
        channels = {n: {"rawid": r, "system": "spms" if n[0] == "S" else "geds"} for n, r in RAWIDS.items()}
        self.cycle = make_cycle(folder / "cycle", source, KEY, channels)
        self.cycle.set(allow_none_par=True)
        status = folder / "cycle/inputs/datasets/statuses/config.yaml"
        lines = [f"{n}: {{processable: {str(n != 'V99X').lower()}, usability: 'on'}}\n" for n in RAWIDS]
        status.write_text("".join(lines))
        self.times, self.tails = times, tails
        self.energies = {n: 100.0 + np.arange(len(t)) + 1000 * place for place, (n, t) in enumerate(times.items())}
        for name, values in times.items():
            self._write(name, values)

    def job(self, step: str) -> Job:
        """A job of the cycle."""
        return open_cycle(self.cycle.config).job(step, KEY)

    def _write(self, name: str, times: NDArray[np.float64]) -> None:
        count, energy = len(times), self.energies[name]
        tables: dict[str, dict[str, Any]] = {"raw": {"timestamp": times, "fcid": np.ones(count, "int32")}}
        if name != "V99X":
            tables["dsp"] = {"timestamp": times, "tp_0_est": np.full(count, 48_000.0) - RAWIDS[name] % 10}
            tables["dsp"] |= {"daqenergy": np.arange(count) + RAWIDS[name] % 10}
            tables["dsp"]["trapTmax"] = np.zeros(count)
            tables["hit"] = {"cuspEmax_ctc_cal": energy, "energy_sum": energy, "drift_time": energy / 2}
            alone = ~np.isin(np.arange(count), self.tails)
            tables["hit"] |= {"is_valid_cal": np.ones(count, bool), "is_valid_0vbb": alone}
            tables["hit"]["quality_flags"] = np.zeros(count, "uint8")
        for tier, columns in tables.items():
            path = self.job(f"tier_{tier}").outputs["tier"]
            path.parent.mkdir(parents=True, exist_ok=True)
            table = Table({column: Array(values) for column, values in columns.items()})
            lh5.write(table, tier, str(path), group=f"ch{RAWIDS[name]:07d}", wo_mode="append")

    def run(self) -> Any:
        """Run tcm and evt; the events."""
        tcm.build(self.job("tier_tcm"))
        evt.build(self.job("tier_evt"))
        return lh5.read("evt", str(self.job("tier_evt").outputs["tier"])).view_as("ak")


@pytest.fixture
def files_of(tmp_path: Path) -> Callable[..., Files]:
    """Makes a cycle: ``files_of(V01A=[…], B02B=[…])``, times in seconds from the start of the file.

    ``tails`` are the rows of each detector that come after another pulse.
    """

    def made(*, tails: Sequence[int] = (), **times: Sequence[float]) -> Files:
        starts = {name: START + np.asarray(values, float) for name, values in times.items()}
        return Files(tmp_path, starts, tails)

    return made


def seconds(times: Any) -> list[float]:
    return [round(value - START, 7) for value in times.tolist()]


def test_each_event_has_the_time_of_its_earliest_row(files_of: Callable[..., Files]) -> None:
    """Also where only a channel fired that is not processed: no event is without a time."""
    events = files_of(V01A=[1, 3.000002], B02B=[2, 3.000001], S001=[4], V99X=[3, 5]).run()
    assert seconds(events.trigger.timestamp) == [1, 2, 3.000001, 4, 5]
    assert events.geds.name.tolist() == [[b"V01A"], [b"B02B"], [b"B02B", b"V01A"], [], []]
    assert events.geds.energy.tolist() == [[100], [1100], [1101, 101], [], []]
    assert events.geds.multiplicity.tolist() == [1, 1, 2, 0, 0]
    assert events.geds.t0.tolist() == [[47_999.0], [47_998.0], [47_998.0, 47_999.0], [], []]
    assert events.geds.daqenergy.tolist() == [[1], [2], [3, 2], [], []]
    assert events.geds.psd.drift_time.tolist() == [[50], [550], [550.5, 50.5], [], []]
    assert events.spms.hit_idx.tolist() == [[], [], [], [5], []]
    assert events.trigger.is_forced.tolist() == [False] * 5
    assert events.spms.name.tolist() == [[], [], [], [b"S001"], []]
    assert events.trigger.cycle.tolist() == [b"20230318T000000Z"] * 5
    assert events.trigger.period.tolist() == [1] * 5
    assert events.trigger.is_repeated.tolist() == [False] * 5


def test_sums_of_light_are_finite_in_all_events(files_of: Callable[..., Files]) -> None:
    """Also in events without light, and where no SiPM is on; in a calibration most events have none."""
    events = files_of(V01A=[1, 3], B02B=[2], S001=[2.000001, 4]).run()
    assert events.spms.energy_sum.tolist() == [0, 2100, 0, 2101]
    assert events.spms.multiplicity.tolist() == [0, 1, 0, 1]
    assert events.coincident.spms.tolist() == [False, True, False, True]


def test_a_cycle_without_sipms_has_events_with_all_times_and_no_light(files_of: Callable[..., Files]) -> None:
    events = files_of(V01A=[1, 3.000002], B02B=[2, 3.000001]).run()
    assert seconds(events.trigger.timestamp) == [1, 2, 3.000001]
    assert events.spms.energy_sum.tolist() == [0, 0, 0]
    assert events.spms.name.tolist() == [[], [], []]


def test_the_record_has_first_and_last_time(files_of: Callable[..., Files]) -> None:
    files = files_of(V01A=[1, 3], B02B=[2], S001=[7])
    files.run()
    counts = counts_of(files.job("tier_evt"))
    assert (counts["events"], counts["from"] - START, counts["to"] - START) == (4, 1, 7)
    assert counts["detectors"] == {"B02B": 1, "V01A": 2}


def test_pulses_are_valid_by_the_quality_cuts_for_physics(files_of: Callable[..., Files]) -> None:
    """Those of hit.is_valid_0vbb, not of is_valid_cal, which lets pulses on tails pass; events by all their pulses."""
    events = files_of(tails=[0], V01A=[1, 3.000002, 4], B02B=[3.000001, 4.000001, 5], S001=[6]).run()
    assert events.geds.name.tolist() == [[b"V01A"], [b"B02B", b"V01A"], [b"B02B", b"V01A"], [b"B02B"], []]
    assert events.geds.is_valid.tolist() == [[False], [False, True], [True, True], [True], []]
    assert events.geds.quality.is_bb_like.tolist() == [False, False, True, True, True]


def test_two_rows_of_a_channel_in_an_event_count_once(
    files_of: Callable[..., Files], caplog: pytest.LogCaptureFixture
) -> None:
    files = files_of(V01A=[1, 1.000003, 2], B02B=[1.000001], S001=[9])
    with taking_notes() as notes:
        events = files.run()
    assert notes.warnings == {"": ["1 events have several rows of a channel; the first in time is used"]}
    assert seconds(events.trigger.timestamp) == [1, 2, 9]
    assert events.geds.energy.tolist() == [[1100, 100], [102], []]
    assert events.geds.energy_sum.tolist() == [1200, 102, 0]
    assert events.geds.multiplicity.tolist() == [2, 1, 0]
    assert events.geds.hit_idx.tolist() == [[1, 0], [3], []]
    assert events.trigger.is_repeated.tolist() == [True, False, False]
    assert counts_of(files.job("tier_evt"))["repeated"] == 1
    assert "1 events have several rows of a channel; the first in time is used" in caplog.text


def test_times_that_go_backwards_are_counted_and_sorted(
    files_of: Callable[..., Files], caplog: pytest.LogCaptureFixture
) -> None:
    files = files_of(V01A=[5, 6, 1, 2], B02B=[6.000001, 2.000001], S001=[3])
    with caplog.at_level(logging.WARNING), taking_notes() as notes:
        events = files.run()
    assert notes.warnings == dict.fromkeys(("V01A", "B02B"), ["times go backwards 1 times; rows are sorted by time"])
    assert seconds(events.trigger.timestamp) == [1, 2, 3, 5, 6]
    assert events.geds.energy.tolist() == [[102], [1101, 103], [], [100], [1100, 101]]
    assert "times go backwards (ch1000001: 1, ch1000002: 1): rows are sorted by time" in caplog.text
    assert counts_of(files.job("tier_tcm")) == {"backward_steps": 2}
    with h5py.File(files.job("tier_tcm").outputs["tier"]) as file:
        assert file[files.job("tier_tcm").table("tcm")].attrs["backward_steps"] == "ch1000001: 1, ch1000002: 1"


def test_shuffled_rows_give_the_same_events(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    times = {
        name: START + np.sort(rng.integers(0, 400, 300)) * 1.0 + rng.uniform(0, 1e-6, 300) for name in list(RAWIDS)[:3]
    }
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    sorted_times = {name: np.sort(values) for name, values in times.items()}
    shuffled = {name: rng.permutation(values) for name, values in sorted_times.items()}
    one, other = Files(tmp_path / "a", sorted_times).run(), Files(tmp_path / "b", shuffled).run()
    expected = by_hand(sorted_times)
    assert seconds(one.trigger.timestamp) == seconds(other.trigger.timestamp) == expected
    assert one.geds.name.tolist() == other.geds.name.tolist()


def by_hand(times: Times) -> list[float]:
    """Begins of groups of rows, none of which follows the row before it by more than 10 us."""
    joined = sorted(float(value) for values in times.values() for value in values)
    begins = [v for v, before in zip(joined, [-1.0, *joined], strict=False) if v - before > 1e-5]
    return [round(value - START, 7) for value in begins]


def test_skm_keeps_texts_and_lists_of_texts_in_their_rows(files_of: Callable[..., Files]) -> None:
    files = files_of(V01A=[1, 3.000002], B02B=[2, 3.000001], S001=[4])
    files.run()
    skm.build(files.job("tier_skm"))
    path = files.job("tier_skm").outputs["tier"]
    events = lh5.read("skm", str(path)).view_as("ak")
    assert events.trigger.cycle.tolist() == [b"20230318T000000Z"] * 2
    assert events.geds.name.tolist() == [[b"V01A"], [b"B02B"]]
    assert seconds(events.trigger.timestamp) == [1, 2]
    with h5py.File(path) as file:
        assert file["skm/trigger/cycle"].attrs["datatype"] == "array<1>{string}"
        assert file["skm/geds/name"].attrs["datatype"] == "array<1>{array<1>{string}}"
        assert file["skm/geds/energy"].attrs["units"] == "keV"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("__import__('os').system('true')", "may not be called"),
        ("geds_multiplicity + 0.5", "is not true or false for each event"),
        ("geds_energy > 3", "is not true or false for each event"),
        ("geds_multiplicty == 1", "there is no field 'geds_multiplicty'"),
    ],
)
def test_a_filter_that_is_none_is_named(files_of: Callable[..., Files], text: str, sentence: str) -> None:
    files = files_of(V01A=[1], B02B=[2], S001=[4])
    files.run()
    table = lh5.read("evt", str(files.job("tier_evt").outputs["tier"]))
    with pytest.raises(UserError) as caught:
        skm.select(skm.flattened(table), {"evt_filter": text})
    assert sentence in caught.value.message
    assert text in caught.value.message


def test_a_filter_may_use_words_lists_and_dots(files_of: Callable[..., Files]) -> None:
    files = files_of(V01A=[1, 3.000002], B02B=[2, 3.000001], S001=[4])
    files.run()
    columns = skm.flattened(lh5.read("evt", str(files.job("tier_evt").outputs["tier"])))
    text = "evt.geds.multiplicity in (1, 2) and not ak.any(geds_energy > 1100, axis=-1)"
    assert seconds(skm.select(columns, {"evt_filter": text})["trigger"]["timestamp"].nda) == [1, 2]


@pytest.mark.parametrize(
    ("field", "kept"),
    [
        ("geds.energy", {"energy"}),
        ("evt.geds_energy", {"energy"}),
        ("geds.quality", {"quality"}),
        ("geds.quality.is_bb_like", {"quality"}),
        (
            "geds",
            {"multiplicity", "rawid", "hit_idx", "name", "energy", "energy_sum", "t0", "is_valid", "quality"}
            | {"daqenergy", "psd"},
        ),
    ],
)
def test_a_field_is_kept_alone_and_a_group_whole(files_of: Callable[..., Files], field: str, kept: set[str]) -> None:
    files = files_of(V01A=[1, 3.000002], B02B=[2, 3.000001], S001=[4])
    files.run()
    columns = skm.flattened(lh5.read("evt", str(files.job("tier_evt").outputs["tier"])))
    found = skm.select(columns, {"keep_fields": [field]})
    assert set(found) == {"geds"}
    assert kept <= set(found["geds"])
    assert set(found["geds"]) == kept or field == "geds"


def test_a_hit_expression_in_parameters_is_checked_before_a_library_sees_it(
    files_of: Callable[..., Files], tmp_path: Path
) -> None:
    """lgdo hands an expression to Python's ``eval`` where numexpr cannot evaluate it."""
    from dataflow.steps.tier_hit.build import config_of

    job = files_of(V01A=[1], B02B=[2], S001=[3]).job("tier_hit")
    channel = next(channel for channel in job.channels if channel.name == "V01A")
    marker = tmp_path / "marker"
    hostile = f"__import__('pathlib').Path('{marker}').touch() or a"
    pars = {"pars": {"operations": {"e": {"expression": hostile, "parameters": {"a": 1}}}}}
    with pytest.raises(UserError, match=r"hit operation e: .* may not be called here"):
        config_of(job, channel, pars)
    assert not marker.exists()
    right = {"pars": {"operations": {"e": {"expression": "a > 0 and b < 1", "parameters": {"a": "1e3", "b": 2}}}}}
    made = config_of(job, channel, right)["operations"]["e"]
    assert made == {"expression": "(a > 0) & (b < 1)", "parameters": {"a": 1000.0, "b": 2.0}}


def test_status_tells_of_times_that_go_backwards_and_of_repeated_rows(files_of: Callable[..., Files]) -> None:
    from dataflow.jobs.record import recorded
    from dataflow.jobs.runner import run
    from dataflow.plan.ticket import ticket_of
    from prodenv.commands.status import state_of
    from prodenv.cycles.find import find_cycle

    files = files_of(V01A=[5, 6, 1, 2], B02B=[6.000001, 6.000003], S001=[3])
    (files.cycle.folder / "dataflow").symlink_to(Path(__file__).resolve().parents[2] / "dataflow")
    for step in ("tier_tcm", "tier_evt"):
        cycle = open_cycle(files.cycle.config)
        ticket = ticket_of(cycle, step, KEY)
        recorded(ticket, 1, lambda job=ticket.job: run(job, 1))  # type: ignore[misc]
    told = state_of(find_cycle(str(files.cycle.folder)), None, 1)["detectors"]
    assert [(each["detector"], each["step"], each["reason"]) for each in told] == [
        ("", "tier_evt", "1 events have several rows of a channel; the first in time is used"),
        ("V01A", "tier_tcm", "times go backwards 1 times; rows are sorted by time"),
    ]
