"""Jobs in the surroundings of a user: compiled code, settings of figures, earlier logs, deaths by signal."""

from __future__ import annotations

import gzip
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from dataflow.jobs import compiled
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.joblog import open_log
from dataflow.jobs.spread import spread

if TYPE_CHECKING:
    from tests.physics.conftest import SmallCycle

KEY = "l200-p03-r000-phy-20240301T140000Z"


@pytest.mark.parametrize(
    ("number", "hint"), [(signal.SIGSEGV, "compiled code crashed"), (signal.SIGKILL, "memory ran out")]
)
def test_a_death_by_signal_is_named(number: signal.Signals, hint: str) -> None:
    def die(item: str) -> None:
        if item == "b":
            os.kill(os.getpid(), number)

    with pytest.raises(WorkFailed, match=f"died by {number.name}") as caught:
        list(spread(die, ["a", "b"], 2))
    assert hint in caught.value.hint


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_daq_files_are_read_under_any_name(gebox_cycle: Callable[..., SmallCycle], suffix: str) -> None:
    """The library that reads FlashCam files takes ASCII characters only."""
    plain, named = gebox_cycle("plain", KEY), gebox_cycle("é 測定", KEY)
    (daq,) = (named.folder / "generated/tier/daq").rglob("*.fcio")
    daq = daq.rename(_new(daq.parent / "$HOME [ab]") / daq.name)
    if suffix:
        daq.with_name(f"{daq.name}{suffix}").write_bytes(gzip.compress(daq.read_bytes()))
        daq.unlink()
    for cycle in (plain, named):
        cycle.run("tier_raw")
    with h5py.File(plain.output("tier_raw")) as one, h5py.File(named.output("tier_raw")) as other:
        assert set(one) == set(other)
        table = next(f"{name}/raw" for name in sorted(one) if "raw" in one[name])
        for column in ("timestamp", "daqenergy", "waveform/values"):
            assert np.array_equal(one[table][column][:], other[table][column][:])
            assert len(one[table][column])


def test_earlier_attempts_stay_in_the_log_though_snakemake_removes_it(tmp_path: Path) -> None:
    log = tmp_path / "log" / "job.log"
    for attempt in ("first", "second", "third"):
        log.unlink(missing_ok=True)  # as Snakemake does before a job
        handler = open_log(log, attempt)
        logging.getLogger().removeHandler(handler)
        handler.close()
    assert [word for word in ("first", "second", "third") if word in log.read_text()] == ["first", "second", "third"]


def test_figures_are_the_same_whatever_the_user_has_set(tmp_path: Path) -> None:
    program = (
        "from dataflow.jobs.figures.page import Page; from dataflow.jobs.figures.render import save_page; "
        "import pathlib, sys; page = Page('t'); page.panel((0.1, 0.1, 0.8, 0.8)).plot([1, 2], [1, 2]); "
        "save_page(page, pathlib.Path(sys.argv[1]))"
    )
    source = str(Path(compiled.__file__).parents[2])

    def draw(name: str, environ: dict[str, str], cwd: Path) -> bytes:
        target = tmp_path / f"{name}.pdf"
        words = [sys.executable, "-c", program, target]
        done = subprocess.run(words, env=environ | {"PYTHONPATH": source}, cwd=cwd, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return target.read_bytes()

    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "matplotlibrc").write_text("lines.linewidth: 9\nfont.family: monospace\nfigure.facecolor: red\n")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MPL")}
    assert draw("plain", plain, tmp_path) == draw("theirs", plain | {"MPLBACKEND": "module://nowhere"}, theirs)


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that was compiled for this processor, seen by a user with a home."""
    site = tmp_path / "env/lib/python3.11/site-packages"
    (site / "dspeed/processors/__pycache__").mkdir(parents=True)
    compiled.note_processor(site)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    monkeypatch.delenv(compiled.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return site


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    made: list[Path] = []
    monkeypatch.setattr(compiled, "_compile", made.append)
    return made


def test_compiled_code_for_this_processor_is_taken(installation: Path, compilations: list[Path]) -> None:
    compiled.prepare()
    assert compilations == [] and compiled.VARIABLE not in os.environ


def test_code_for_another_processor_is_compiled_once_for_this_one(installation: Path, compilations: list[Path]) -> None:
    (installation / compiled.MARKER).write_text(json.dumps({"processor": "another"}))
    compiled.prepare()
    folder = Path(os.environ.pop(compiled.VARIABLE))
    assert folder.is_relative_to(installation.parents[3] / "cache")
    compiled.prepare()
    assert compilations == [folder]
    del os.environ[compiled.VARIABLE]


def test_software_that_cannot_be_written_is_compiled_for_the_user(
    installation: Path, compilations: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "__pycache__" not in str(path) and real(path, mode))
    compiled.prepare()
    assert compilations == [Path(os.environ.pop(compiled.VARIABLE))]


def test_what_will_happen_about_compiled_code_is_told_and_nothing_is_made(
    installation: Path, compilations: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert compiled.state_of(installation) == (True, "the compiled code is for this processor")
    (installation / compiled.MARKER).write_text(json.dumps({"processor": "another"}))
    is_ready, said = compiled.state_of(installation)
    assert not is_ready
    assert "compiled for another processor" in said and "the first job compiles into" in said
    assert not (tmp_path / "cache").exists()
    compiled.prepare()
    folder = Path(os.environ.pop(compiled.VARIABLE))
    assert compiled.state_of(installation) == (True, said.partition(":")[0] + f"; yours is in {folder}")
    compiled.note_processor(installation)
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "__pycache__" not in str(path) and real(path, mode))
    assert "cannot be written by you" in compiled.state_of(installation)[1]


def test_software_itself_tells_of_its_compiled_code() -> None:
    """As ``dataprod doctor`` asks; one that is no installation of ours tells nothing."""
    source = str(Path(compiled.__file__).parents[2])
    words = [sys.executable, "-P", "-m", "dataflow.jobs.compiled"]
    done = subprocess.run(words, env=os.environ | {"PYTHONPATH": source}, capture_output=True, text=True, check=True)
    site = compiled.site_packages()
    assert json.loads(done.stdout) == (list(compiled.state_of(site)) if site else None)


def test_a_failed_compilation_is_named(installation: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (installation / compiled.MARKER).write_text(json.dumps({"processor": "another"}))
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no compiler >&2; exit 3\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(WorkFailed, match="could not be compiled for this processor: no compiler"):
        compiled.prepare()
    os.environ.pop(compiled.VARIABLE, None)


def test_a_folder_that_somebody_else_laid_out_is_not_used(
    installation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (installation / compiled.MARKER).write_text(json.dumps({"processor": "another"}))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    (tmp_path / f"prodenv-compiled-{os.getuid()}").mkdir(mode=0o777)
    (tmp_path / f"prodenv-compiled-{os.getuid()}").chmod(0o777)
    with pytest.raises(WorkFailed, match="is not a private folder"):
        compiled.prepare()
