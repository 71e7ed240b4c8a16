"""What bad input does: one clear message and no partial output, or a recorded degradation."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import pytest

from dataflow.jobs.errors import BadInput, NoSpace, WorkFailed
from dataflow.jobs.runner import main

from .conftest import TO_EVENTS

if TYPE_CHECKING:
    from tests.physics.conftest import SmallCycle

Maker = Callable[..., "SmallCycle"]

KEY = "ts1-p01-r000-cal-20180925T093000Z"
DETECTOR = {"V00001A": {"rawid": 0}}


@pytest.fixture
def th228(shared_data: Path, cycle_of: Maker) -> SmallCycle:
    return cycle_of(shared_data / "fcio/th228.fcio", KEY, DETECTOR)


def daq_of(cycle: SmallCycle) -> Path:
    return next((cycle.folder / "generated/tier/daq").rglob("*.fcio"))


def outputs_of(cycle: SmallCycle) -> list[str]:
    """All files below generated but DAQ files, logs and records of failures, hidden ones included."""
    folder = cycle.folder / "generated"
    files = [
        path for path in folder.rglob("*") if path.is_file() and path.suffix != ".log" and ".failed." not in path.name
    ]
    return [str(path) for path in files if folder / "tier/daq" not in path.parents]


def run_job(cycle: SmallCycle, step: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main([step, "--config", str(cycle.config), "--key", cycle.key])
    return code, capsys.readouterr().err


def test_an_empty_file_is_refused(th228: SmallCycle, capsys: pytest.CaptureFixture[str]) -> None:
    daq_of(th228).write_bytes(b"")
    code, printed = run_job(th228, "tier_raw", capsys)
    assert code == 1
    assert "is empty" in printed
    assert outputs_of(th228) == []


@pytest.mark.parametrize("part", [0.0001, 0.3, 0.9999])
def test_a_truncated_file_is_refused_with_the_byte(
    th228: SmallCycle, capsys: pytest.CaptureFixture[str], part: float
) -> None:
    path = daq_of(th228)
    os.truncate(path, int(path.stat().st_size * part))
    code, printed = run_job(th228, "tier_raw", capsys)
    assert code == 1
    assert "truncated at byte" in printed
    assert "hint:" in printed
    assert outputs_of(th228) == []


def test_a_file_with_a_broken_record_is_refused(th228: SmallCycle, capsys: pytest.CaptureFixture[str]) -> None:
    path = daq_of(th228)
    data = bytearray(path.read_bytes())
    place = 4 + 64
    for _ in range(400):  # the length of a frame somewhere in the file becomes nonsense
        (value,) = struct.unpack_from("<i", data, place)
        place += 4 + max(value, 0)
    struct.pack_into("<i", data, place, -70_000)
    path.write_bytes(data)
    code, printed = run_job(th228, "tier_raw", capsys)
    assert code == 1
    assert "corrupted at byte" in printed
    assert outputs_of(th228) == []


def test_a_file_that_is_no_flashcam_file_is_refused(th228: SmallCycle, capsys: pytest.CaptureFixture[str]) -> None:
    daq_of(th228).write_text("not what the name says\n" * 100)
    code, printed = run_job(th228, "tier_raw", capsys)
    assert code == 1
    assert "not a FlashCam file" in printed
    assert outputs_of(th228) == []


def test_a_truncated_orca_file_is_refused(
    shared_data: Path, cycle_of: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shared_data / "orca/L200-comm-20220519-phy-geds.orca"
    cycle = cycle_of(source, "l200-p01-r000-phy-20220519T000000Z", DETECTOR)
    path = next((cycle.folder / "generated/tier/daq").rglob("*.orca"))
    os.truncate(path, path.stat().st_size - 100)
    code, printed = run_job(cycle, "tier_raw", capsys)
    assert code == 1
    assert "truncated at byte" in printed
    assert outputs_of(cycle) == []


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
def test_a_compressed_orca_file_gives_what_the_plain_one_gives(
    shared_data: Path, cycle_of: Maker, tmp_path: Path, suffix: str
) -> None:
    import bz2
    import gzip

    from dataflow.steps.tier_raw.daqfile import open_daq

    source = shared_data / "orca/L200-comm-20220519-phy-geds.orca"
    compressed = tmp_path / f"x.orca{suffix}"
    compressed.write_bytes((gzip.compress if suffix == ".gz" else bz2.compress)(source.read_bytes()))
    channels = {f"V{key:05d}A": {"rawid": key} for keys in open_daq(source).keys.values() for key in keys}
    key = "l200-p01-r000-phy-20220519T000000Z"
    files = []
    for name, path in (("plain", source), ("packed", compressed)):
        cycle = cycle_of(path, key, channels, name=name)
        cycle.run("tier_raw")
        files.append(cycle.output("tier_raw").read_bytes())
    assert files[0] == files[1]


def test_a_compressed_file_that_ends_early_is_refused(
    shared_data: Path, cycle_of: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import gzip

    packed = gzip.compress((shared_data / "orca/L200-comm-20220519-phy-geds.orca").read_bytes())
    source = tmp_path / "x.orca.gz"
    source.write_bytes(packed[: len(packed) // 2])
    cycle = cycle_of(source, "l200-p01-r000-phy-20220519T000000Z", {"V00001A": {"rawid": 1028800}})
    code, printed = run_job(cycle, "tier_raw", capsys)
    assert code == 1
    assert "error:" in printed
    assert outputs_of(cycle) == []


def test_a_file_of_which_the_map_knows_no_channel_is_refused(
    shared_data: Path, cycle_of: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    cycle = cycle_of(shared_data / "fcio/th228.fcio", KEY, {"V00001A": {"rawid": 1104000}})
    code, printed = run_job(cycle, "tier_raw", capsys)
    assert code == 1
    assert "has none of them but 1104000" in printed
    assert outputs_of(cycle) == []


def test_channels_that_the_map_does_not_know_are_left_out_and_named(shared_data: Path, cycle_of: Maker) -> None:
    channels = {"S000": {"rawid": 52800, "system": "spms"}, "S001": {"rawid": 52801, "system": "spms"}}
    cycle = cycle_of(
        shared_data / "fcio/L200-comm-20211130-phy-spms.fcio", "l200-p01-r000-phy-20211130T000000Z", channels
    )
    cycle.run("tier_raw")
    with h5py.File(cycle.output("tier_raw")) as file:
        assert sorted(file) == ["S000", "S001", "ch0052800", "ch0052801", "raw"]
        assert file.attrs["unmapped_channels"] == "52802 52803 52804 52805"


def test_a_detector_without_peaks_is_recorded_and_the_run_goes_on(shared_data: Path, cycle_of: Maker) -> None:
    """Lines that are not there: the calibration fails, hit is made with NaN energies and says so, evt is made."""
    cycle = cycle_of(shared_data / "fcio/th228.fcio", KEY, DETECTOR)
    lines = [238.632, 583.187, 727.330, 860.557, 1592.511, 1620.50]
    config = cycle.folder / "inputs/dataprod/config/no-lines.yaml"
    config.write_text(f"energy_params: [cuspEmax]\nthreshold: 39000\nexcluded_lines: {lines}\n")
    cycle.configure("pars_hit_ecal", inputs={"ecal_config": "$_/no-lines.yaml"})
    cycle.run(*TO_EVENTS)
    status = cycle.pars("par_hit")["V00001A"]["status"]
    assert status["state"] == "failed"
    assert status["step"] == "par_hit_ecal"
    assert "cuspEmax" in status["reason"]
    with h5py.File(cycle.output("tier_hit")) as file:
        assert "par_hit_ecal" in file["ch0000000/hit"].attrs["degraded"]
    with h5py.File(cycle.output("tier_evt")) as file:
        assert "V00001A" in file["evt"].attrs["degraded"]
        assert (file["evt/geds/multiplicity"][:] == 0).all()


def test_a_failing_channel_stops_the_job_where_the_configuration_wants_it(shared_data: Path, cycle_of: Maker) -> None:
    cycle = cycle_of(shared_data / "fcio/th228.fcio", KEY, DETECTOR)
    cycle.run("tier_raw", "tier_tcm")
    (cycle.folder / "inputs/dataprod/config/tau.yaml").write_text("least: 5000\n")
    cycle.configure("pars_dsp_tau", inputs={"tau_config": "$_/tau.yaml"})
    cycle.set(failing_channels="fail")
    with pytest.raises(WorkFailed, match="V00001A failed: .* clean tails are too few"):
        cycle.run("par_dsp_pz")
    assert not cycle.output("par_dsp_pz", "par").exists()


def test_invalid_yaml_is_one_sentence_with_the_line(th228: SmallCycle, capsys: pytest.CaptureFixture[str]) -> None:
    path = th228.folder / "inputs/hardware/configuration/channelmaps/config.yaml"
    path.write_text("V00001A:\n  name: [unclosed\n")
    code, printed = run_job(th228, "tier_raw", capsys)
    assert code == 2
    assert "config.yaml" in printed
    assert "3" in printed.split("config.yaml", 1)[1][:20]


def test_two_files_for_one_key_are_refused(th228: SmallCycle, capsys: pytest.CaptureFixture[str]) -> None:
    path = daq_of(th228)
    shutil.copy(path, path.with_suffix(".orca"))
    code, printed = run_job(th228, "tier_raw", capsys)
    assert code == 2
    assert ".fcio" in printed
    assert ".orca" in printed
    assert outputs_of(th228) == []


def test_a_damaged_raw_file_is_named(th228: SmallCycle, capsys: pytest.CaptureFixture[str]) -> None:
    th228.run("tier_raw")
    raw = th228.output("tier_raw")
    os.truncate(raw, raw.stat().st_size // 2)
    code, printed = run_job(th228, "tier_tcm", capsys)
    assert code == 1
    assert str(raw) in printed
    assert "not a whole LH5 file" in printed


@pytest.mark.parametrize("step", ["tier_raw", "tier_dsp"])
def test_a_full_disk_leaves_nothing_behind(th228: SmallCycle, step: str) -> None:
    """No file may grow beyond 100 kB."""
    if step == "tier_dsp":
        th228.run("tier_raw", "tier_tcm", "par_dsp_pz", "par_dsp")
    before = outputs_of(th228)
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "sys.argv[0] = 'jobs'; import runpy; runpy.run_module('dataflow.jobs', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, step, "--config", str(th228.config), "--key", KEY],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 1, done.stderr
    assert "error: no space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert outputs_of(th228) == before


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    from dataflow.jobs.atomic import whole_files

    target = tmp_path / "out.lh5"
    with pytest.raises(NoSpace, match="no space left"), whole_files({"tier": target}) as parts:
        parts["tier"].write_bytes(b"half")
        raise OSError("Unable to write (file write failed: errno = 28, error message = 'No space left on device')")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_job_leaves_nothing_that_is_taken_for_whole(th228: SmallCycle) -> None:
    command = [sys.executable, "-m", "dataflow.jobs", "tier_raw", "--config", str(th228.config), "--key", KEY]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    output = th228.output("tier_raw")
    child = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + 60
    while not list(output.parent.glob(".*-part*")) and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    if not output.exists():  # killed in time
        assert list(output.parent.glob(".*-part*"))
    subprocess.run(command, env=environment, check=True)
    assert sorted(path.name for path in output.parent.iterdir() if path.name != ".lineage") == [output.name]
    with h5py.File(output) as file:
        assert file["ch0000000/raw/timestamp"].shape == (1000,)


def test_inputs_are_never_written(th228: SmallCycle) -> None:
    path = daq_of(th228)
    path.chmod(0o444)
    before = path.stat().st_mtime_ns, path.read_bytes()
    th228.run("tier_raw")
    raw = th228.output("tier_raw")
    stamp = raw.stat().st_mtime_ns
    th228.run("tier_tcm", "par_dsp_pz", "par_dsp", "tier_dsp")
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before
    assert raw.stat().st_mtime_ns == stamp


def test_a_worker_that_dies_is_said() -> None:
    from dataflow.jobs.spread import spread

    def die(item: str) -> None:
        if item == "b":
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(WorkFailed, match="a worker process died"):
        list(spread(die, ["a", "b", "c"], 2))


def test_errors_survive_the_way_from_a_worker() -> None:
    import copy

    error = copy.copy(BadInput("what", hint="do"))
    assert (error.message, error.hint) == ("what", "do")


@pytest.mark.parametrize(("channels", "samples", "traces"), [(6, 4096, 640), (30, 4096, 128), (160, 6250, 64)])
def test_memory_of_the_decoding_buffers_is_bounded(channels: int, samples: int, traces: int) -> None:
    from dataflow.steps.tier_raw.build import MEMORY, buffer_rows
    from dataflow.steps.tier_raw.daqfile import DaqFile
    from dataflow.steps.tier_raw.storing import TRACES

    keys = tuple(range(channels))
    daq = DaqFile(Path("x"), "FlashCam", {"FCEventDecoder": keys}, samples)
    rows = buffer_rows({"FCEventDecoder": {f"ch{key}": {"key_list": [key]} for key in keys}}, daq)
    filled = rows - (channels - 1)  # a buffer is full when not every channel of one more event could go into it
    assert filled == traces
    assert filled * channels * 2 * samples <= max(MEMORY, TRACES * channels * 2 * samples)


def test_the_decoding_buffer_of_one_channel_is_bounded() -> None:
    from dataflow.steps.tier_raw.build import MOST_ROWS, buffer_rows
    from dataflow.steps.tier_raw.daqfile import DaqFile

    one = DaqFile(Path("x"), "FlashCam", {"FCEventDecoder": (0,)}, 1024)
    assert buffer_rows({"FCEventDecoder": {"ch0": {"key_list": [0]}}}, one) == MOST_ROWS
