"""What the torture campaign found, and what was done about it; see docs/reliability.md."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dataflow.base.errors import UserError
from dataflow.jobs.errors import BadInput, WorkFailed
from dataflow.plan import open_cycle
from dataflow.steps.tier_raw.daqfile import check_whole, open_daq
from dataflow.steps.tier_raw.formats import flashcam

if TYPE_CHECKING:
    from tests.physics.conftest import SmallCycle

Maker = Callable[..., "SmallCycle"]
KEY = "ts1-p01-r000-cal-20180925T093000Z"


def test_a_file_whose_configuration_does_not_come_first_is_refused(shared_data: Path, tmp_path: Path) -> None:
    """The FlashCam reader crashes at an event before the configuration."""
    data = (shared_data / "fcio/th228.fcio").read_bytes()
    begin, config = data[:68], data[68 : 68 + 4 + 10 * 8]
    moved = tmp_path / "moved.fcio"
    moved.write_bytes(begin + data[len(begin) + len(config) :] + config)
    with pytest.raises(BadInput, match="corrupted at byte 68"):
        check_whole(moved, flashcam.FORM)


def test_a_wrong_length_of_traces_in_the_configuration_is_refused(shared_data: Path, tmp_path: Path) -> None:
    """The reader would cut every trace to it."""
    for name in ("th228", "L200-comm-20211130-phy-spms"):
        data = bytearray((shared_data / f"fcio/{name}.fcio").read_bytes())
        check_whole(shared_data / f"fcio/{name}.fcio", flashcam.FORM)
        data[68 + 4 + 2 * 8 + 4] ^= 8
        wrong = tmp_path / f"{name}.fcio"
        wrong.write_bytes(data)
        with pytest.raises(BadInput, match="corrupted"):
            check_whole(wrong, flashcam.FORM)


def test_two_traces_of_one_channel_are_refused(shared_data: Path, tmp_path: Path) -> None:
    """They would be put into one table."""
    data = bytearray((shared_data / "fcio/L200-comm-20211130-phy-spms.fcio").read_bytes())
    tracemap = 68 + 4 + 10 * 8 + 4
    data[tracemap : tracemap + 4] = data[tracemap + 4 : tracemap + 8]
    wrong = tmp_path / "twice.fcio"
    wrong.write_bytes(data)
    with pytest.raises(BadInput, match="two traces have the same channel"):
        open_daq(wrong)


def test_an_orca_file_with_a_broken_header_is_refused(shared_data: Path, tmp_path: Path) -> None:
    """Its XML parser's error is of no kind that could be foreseen."""
    data = bytearray((shared_data / "orca/L200-comm-20220519-phy-geds.orca").read_bytes())
    data[100] = 0xFF
    wrong = tmp_path / "wrong.orca"
    wrong.write_bytes(data)
    with pytest.raises(BadInput, match="cannot be read: ExpatError: not well-formed"):
        open_daq(wrong)


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "{a: " * 100_000])
def test_metadata_nested_without_end_is_a_sentence(shared_data: Path, cycle_of: Maker, text: str) -> None:
    """The C parser of YAML recurses, and crashes, at some ten thousand levels."""
    cycle = cycle_of(shared_data / "fcio/th228.fcio", KEY, {"V00001A": {"rawid": 0}})
    (cycle.folder / "inputs/datasets/statuses/config.yaml").write_text(text)
    with pytest.raises(UserError, match="config.yaml: nested more than 100 levels deep"):
        open_cycle(cycle.config).job("tier_dsp", KEY)


def test_a_file_that_is_a_link_to_itself_is_a_sentence(shared_data: Path, cycle_of: Maker) -> None:
    cycle = cycle_of(shared_data / "fcio/th228.fcio", KEY, {"V00001A": {"rawid": 0}})
    chain = cycle.folder / "inputs/dataprod/config/chain.yaml"
    chain.symlink_to(chain.name)
    cycle.configure("tier_dsp", inputs={"processing_chain": {"__default__": "$_/chain.yaml"}})
    with pytest.raises(UserError, match="chain.yaml"):
        open_cycle(cycle.config).recipe("tier_dsp", KEY)


@pytest.mark.parametrize("place", ["hardware/configuration/channelmaps", "datasets/statuses", "dataprod/config"])
def test_a_valid_file_that_is_a_link_to_itself_is_a_sentence(shared_data: Path, cycle_of: Maker, place: str) -> None:
    cycle = cycle_of(shared_data / "fcio/th228.fcio", KEY, {"V00001A": {"rawid": 0}})
    file = cycle.folder / "inputs" / place / "config.yaml"
    file.unlink()
    file.symlink_to(file.name)
    with pytest.raises(UserError, match="config.yaml"):
        open_cycle(cycle.config).recipe("tier_dsp", KEY)


def test_a_file_name_with_a_nul_is_a_sentence(shared_data: Path, cycle_of: Maker) -> None:
    cycle = cycle_of(shared_data / "fcio/th228.fcio", KEY, {"V00001A": {"rawid": 0}})
    cycle.configure("tier_dsp", inputs={"processing_chain": {"__default__": "a\0b"}})
    with pytest.raises(UserError, match="lies outside"):
        open_cycle(cycle.config).recipe("tier_dsp", KEY)


def test_keys_of_all_kinds_have_a_recipe(shared_data: Path, cycle_of: Maker) -> None:
    """YAML takes numbers and nothing at all for keys, which cannot be sorted among words."""
    cycle = cycle_of(shared_data / "fcio/th228.fcio", KEY, {"V00001A": {"rawid": 0}})
    status = "V00001A: {processable: true, usability: 'on', psd: {a: 1, 2: b, null: c, 2024-01-01: d}}\n"
    (cycle.folder / "inputs/datasets/statuses/config.yaml").write_text(status)
    assert open_cycle(cycle.config).recipe("par_hit_ecal", KEY)


def test_a_pipe_in_place_of_metadata_is_not_waited_for(shared_data: Path, cycle_of: Maker) -> None:
    cycle = cycle_of(shared_data / "fcio/th228.fcio", KEY, {"V00001A": {"rawid": 0}})
    statuses = cycle.folder / "inputs/datasets/statuses/config.yaml"
    statuses.unlink()
    os.mkfifo(statuses)
    with pytest.raises(UserError, match="config.yaml"):
        open_cycle(cycle.config).job("tier_dsp", KEY)


def test_a_channel_that_hangs_fails_and_the_others_go_on() -> None:
    from dataflow.jobs.spread import spread

    def work(item: str) -> str:
        if item == "b":
            time.sleep(60)
        return item

    outcomes = list(spread(work, ["a", "b", "c"], 2, timeout=1.0))
    assert [outcome.failed for outcome in outcomes] == [False, True, False]
    assert outcomes[1].reason == "b took longer than 1 s"


def test_a_channel_that_hangs_in_compiled_code_ends_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    import ctypes

    from dataflow.jobs import deadline
    from dataflow.jobs.spread import spread

    monkeypatch.setattr(deadline, "GRACE", 1.0)
    asleep = ctypes.PyDLL(None).sleep  # keeps the interpreter's lock, as a compiled kernel does

    def work(item: str) -> None:
        if item == "b":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})  # else the system call would be interrupted
            asleep(60)

    with pytest.raises(WorkFailed, match="a worker process died"):
        list(spread(work, ["a", "b"], 2, timeout=1.0))


def test_a_step_in_one_piece_has_a_timeout(shared_data: Path, cycle_of: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataflow.steps.tier_raw import build as raw

    cycle = cycle_of(shared_data / "fcio/th228.fcio", KEY, {"V00001A": {"rawid": 0}})
    cycle.set(settings={"tier_raw": {"timeout": 1}})
    monkeypatch.setattr(raw, "decode", lambda *_: time.sleep(60))
    with pytest.raises(WorkFailed, match="took longer than 1 s"):
        cycle.run("tier_raw")
    assert not cycle.output("tier_raw").exists()


def test_a_timeout_makes_nothing_again(shared_data: Path, cycle_of: Maker) -> None:
    cycle = cycle_of(shared_data / "fcio/th228.fcio", KEY, {"V00001A": {"rawid": 0}})
    before = open_cycle(cycle.config).recipe("tier_dsp", KEY)
    cycle.set(settings={"tier_dsp": {"timeout": 100}})
    assert open_cycle(cycle.config).recipe("tier_dsp", KEY) == before


@pytest.mark.parametrize("value", [0, -1, "soon", True])
def test_a_timeout_that_is_no_time_is_refused(shared_data: Path, cycle_of: Maker, value: object) -> None:
    cycle = cycle_of(shared_data / "fcio/th228.fcio", KEY, {"V00001A": {"rawid": 0}})
    cycle.set(settings={"tier_raw": {"timeout": value}})
    with pytest.raises(UserError, match="settings.tier_raw.timeout"):
        cycle.run("tier_raw")


def test_a_folder_that_cannot_be_written_to_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataflow.jobs.atomic import whole_files

    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with (
        pytest.raises(WorkFailed, match="cannot be written to"),
        whole_files({"tier": tmp_path / "folder/out.lh5"}),
    ):
        raise PermissionError(13, "Unable to synchronously create file")


def test_a_folder_that_vanishes_is_a_sentence(tmp_path: Path) -> None:
    from dataflow.jobs.atomic import whole_files

    with (
        pytest.raises(WorkFailed, match="disappeared"),
        whole_files({"tier": tmp_path / "folder/out.lh5"}) as parts,
    ):
        shutil.rmtree(tmp_path / "folder")
        parts["tier"].write_bytes(b"half")


def test_a_file_that_vanishes_from_its_folder_is_a_sentence(tmp_path: Path) -> None:
    from dataflow.jobs.atomic import whole_files

    with (
        pytest.raises(WorkFailed, match=r"part\.lh5 disappeared before it was complete"),
        whole_files({"tier": tmp_path / "a.lh5"}) as parts,
    ):
        parts["tier"].write_bytes(b"half")
        parts["tier"].unlink()
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_vanishes_when_it_is_made_is_a_sentence(
    shared_data: Path, cycle_of: Maker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataflow.jobs import runner

    cycle = cycle_of(shared_data / "fcio/th228.fcio", KEY, {"V00001A": {"rawid": 0}})
    monkeypatch.setattr(runner, "run", lambda *_: None)
    assert runner.main(["tier_raw", "--config", str(cycle.config), "--key", KEY]) == 1
    assert "disappeared" in capsys.readouterr().err


def test_a_log_on_a_full_disk_stops_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    from dataflow.jobs.joblog import open_log

    handler = open_log(Path("/dev/full"), "a test")
    try:
        logging.getLogger("dataflow").warning("lost")
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    assert "Traceback" not in capfd.readouterr().err


def test_a_full_disk_is_seen_behind_what_it_leads_to() -> None:
    from dataflow.jobs.errors import is_full_disk

    try:
        try:
            raise OSError(27, "File too large")
        except OSError:
            raise AttributeError("'Stream' object has no attribute 'pos'") from None
    except AttributeError as error:
        assert not isinstance(error, OSError)
        assert is_full_disk(error)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "memory"),
        (ImportError("x.so: failed to map segment from shared object"), "memory"),
        (PermissionError(13, "Permission denied", "/place"), "/place"),
    ],
)
def test_what_the_machine_does_not_allow_is_no_reason_of_ours(error: Exception, words: str) -> None:
    from dataflow.jobs.errors import of_the_machine

    sentence = of_the_machine(error)
    assert sentence is not None
    assert words in sentence.message
    assert of_the_machine(ValueError("ours")) is None


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("error", [MemoryError(), PermissionError(13, "Permission denied", "/place")])
def test_what_the_machine_does_not_allow_is_no_failure_of_a_channel(error: Exception, threads: int) -> None:
    """A detector would be missing from the data for good, though it works when the job is run again."""

    from dataflow.jobs.spread import spread

    def work(item: str) -> str:
        if item == "b":
            raise error
        return item

    words = "b: there is not enough memory" if isinstance(error, MemoryError) else "b: .*Permission denied"
    with pytest.raises(WorkFailed, match=words) as caught:
        list(spread(work, ["a", "b", "c"], threads))
    assert "again" in caught.value.hint or "who owns" in caught.value.hint


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")
def test_workers_end_with_a_job_that_is_killed(tmp_path: Path) -> None:
    from dataflow.jobs.spread import spread

    def work(item: str) -> None:
        (tmp_path / item).write_text(str(os.getpid()))
        time.sleep(60)

    job = os.fork()
    if job == 0:
        list(spread(work, ["a", "b", "c"], threads=2))
        os._exit(0)
    while len([path for path in tmp_path.iterdir() if path.stat().st_size]) < 2:
        time.sleep(0.01)
    workers = [int(path.read_text()) for path in tmp_path.iterdir()]
    assert all(_runs(pid) for pid in workers)
    os.kill(job, signal.SIGKILL)
    os.waitpid(job, 0)
    deadline = time.monotonic() + 20
    while any(_runs(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
