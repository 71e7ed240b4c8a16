"""Jobs that are forked from one process: they end as they would by themselves, whatever happens to whom."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dataflow.jobs.forkserver import ask, loading
from dataflow.jobs.forkserver import begin as beginning
from dataflow.jobs.forkserver.begin import VARIABLE, asking, begin
from dataflow.jobs.forkserver.loading import Loading, Planned, deferred
from prodenv.running.forks import Forks

SOON = 20.0
"""Seconds in which something must happen."""
SERVER = """\
import os, signal, sys, time
sys.path[:0] = {path!r}
from dataflow.jobs.forkserver import __main__, child
def run(words):
    step, what, *more = words
    if what == "say":
        print(step, os.getcwd(), os.environ["TMPDIR"], os.getppid(), flush=True)
        print("to the error output", file=sys.stderr, flush=True)
        return int(more[0])
    if what == "signal":
        os.kill(os.getpid(), int(more[0]))
    if what == "wait":
        def end(number, frame):
            print("got", number, flush=True)
            sys.exit(100 + number)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, end)
        print(os.getpid(), flush=True)
        for _ in range(600):
            time.sleep(0.1)
    raise RuntimeError("nobody handles this")
child.run = run
fork = os.fork
def forked():
    job = fork()
    if job:
        time.sleep(float(os.environ.get("FORK_TAKES", "0")))
    return job
os.fork = forked
sys.exit(__main__.main(sys.argv[1:]))
"""
STEPS = [("validity_dsp", "steps.validity.build")] * 3
ORDINARY = [sys.executable, "-c", "print('ordinary')", "dataflow.jobs"]


class Server:
    """A process from which jobs are forked, and programs that ask it."""

    def __init__(self, folder: Path, steps: list[tuple[str, str]], source: Path | None = None) -> None:
        self.folder = folder
        code = SERVER.format(path=[str(source or Path(beginning.__file__).parents[3])])
        begin([sys.executable, "-c", code], steps, folder / "log.txt")
        self.socket = os.environ.get(VARIABLE, "")

    def ask(self, *words: str) -> subprocess.Popen[str]:
        """A program that asks for a job, or does the ordinary command."""
        environ = os.environ | {"TMPDIR": "/of-the-job"}
        return subprocess.Popen(
            [*asking(), *ORDINARY, *words], cwd=self.folder, env=environ, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def answer(self, *words: str) -> tuple[int, str, str]:
        """Exit code and outputs of a program."""
        with self.ask(*words) as program:
            said, error = program.communicate(timeout=SOON)
        return program.returncode, said, error

    @property
    def pid(self) -> int:
        """The process number of the server."""
        return int(self.answer("validity_dsp", "say", "0")[1].split()[3])

    def leave(self) -> None:
        """What happens when Snakemake ends."""
        beginning.leave()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    made = Server(tmp_path, STEPS)
    yield made
    made.leave()
    monkeypatch.delenv(VARIABLE, raising=False)


def soon(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def is_there(pid: int) -> bool:
    """Whether a process is there and not only waiting to be asked how it ended."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def handles(pid: int, number: int) -> bool:
    """Whether a process handles a signal."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    handled = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(handled >> (number - 1) & 1)


def test_a_job_has_the_outputs_folder_and_variables_of_the_program_that_asks(server: Server) -> None:
    code, said, error = server.answer("validity_dsp", "say", "7")
    assert (code, said.split()[:3], error) == (
        7,
        ["validity_dsp", str(server.folder), "/of-the-job"],
        "to the error output\n",
    )


@pytest.fixture
def slow_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers begun after this go on late after each fork."""
    monkeypatch.setenv("FORK_TAKES", "0.4")


@pytest.mark.parametrize(("words", "code"), [(("say", "7"), 7), (("signal", "9"), -9)])
def test_a_job_may_end_before_the_server_goes_on(
    slow_forks: None, server: Server, words: tuple[str, str], code: int
) -> None:
    assert server.answer("validity_dsp", *words)[0] == code


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"job 1\n1792\n", 1792),
        (b"9\n", 9),  # it died before it could tell its number
        (b"no\n", None),
        (b"job 1\n", None),  # the server died
        (b"", None),
    ],
)
def test_each_answer_of_the_server_is_understood(
    answer: bytes, status: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "SIGNALS", ())
    asked, server = socket.socketpair()
    with asked, server:
        server.sendall(answer)
        server.shutdown(socket.SHUT_WR)
        assert ask.waited(asked) == status


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGINT])
def test_a_job_that_dies_ends_the_program_in_the_same_way_and_nobody_else(server: Server, number: int) -> None:
    before = server.pid
    assert server.answer("validity_dsp", "signal", str(int(number)))[0] == -number
    assert server.pid == before


def test_an_exception_that_nobody_handles_is_shown(server: Server) -> None:
    code, said, error = server.answer("validity_dsp", "raise")
    assert (code, said, error.splitlines()[-1]) == (1, "", "RuntimeError: nobody handles this")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_are_passed_on(server: Server, number: int) -> None:
    with server.ask("validity_dsp", "wait") as program:
        assert program.stdout is not None
        program.stdout.readline()
        soon(lambda: handles(program.pid, number))
        program.send_signal(number)
        said, _ = program.communicate(timeout=SOON)
    assert (program.returncode, said) == (100 + number, f"got {int(number)}\n")


def test_a_job_ends_when_the_program_that_asked_is_killed(server: Server) -> None:
    with server.ask("validity_dsp", "wait") as program:
        assert program.stdout is not None
        job = int(program.stdout.readline())
        assert Path(f"/proc/{job}/comm").read_text() == "validity_dsp\n"
        program.kill()
        assert program.stdout.read() == "got 15\n"
    soon(lambda: not is_there(job))


def test_the_ordinary_command_is_done_when_the_server_is_killed(server: Server) -> None:
    pid = server.pid
    with server.ask("validity_dsp", "wait") as program:
        assert program.stdout is not None
        job = int(program.stdout.readline())
        os.kill(pid, signal.SIGKILL)
        said, _ = program.communicate(timeout=SOON)
    soon(lambda: not is_there(job))
    assert (program.returncode, said) == (0, "ordinary\n")
    assert server.answer("validity_dsp", "say", "7")[:2] == (0, "ordinary\n")


def test_jobs_go_on_when_snakemake_has_gone_and_then_the_server_ends(server: Server) -> None:
    pid = server.pid
    with server.ask("validity_dsp", "wait") as program:
        assert program.stdout is not None
        job = int(program.stdout.readline())
        _, life = beginning._begun[0]
        os.close(life)
        time.sleep(0.3)
        assert is_there(job)
        assert is_there(pid)
        assert server.answer("validity_dsp", "say", "7")[:2] == (0, "ordinary\n")
        os.kill(job, signal.SIGTERM)
        program.communicate(timeout=SOON)
    assert program.returncode == 115
    soon(lambda: not is_there(pid))
    beginning._begun.pop()[0].wait()


def test_a_change_of_a_loaded_file_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "extra_module.py"
    file.write_text("one = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(loading, "PACKAGE", "")
    monkeypatch.setattr(Loading, "_new_deferred", lambda _: [])
    found = Loading([Planned("own", "extra_module", 1)])
    found.require("own")
    now = time.monotonic()
    monkeypatch.setattr(loading.time, "monotonic", lambda: now)
    assert found.is_current()
    file.write_text("one = 22\n")
    assert found.is_current(), "to look takes time: not for each job"
    now += loading.FRESH + 0.01
    assert not found.is_current()
    file.write_text("one = 1\n")
    now += loading.FRESH + 0.01
    assert not found.is_current(), "once is enough"


def test_where_a_loaded_file_was_changed_the_ordinary_command_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "src"
    shutil.copytree(Path(beginning.__file__).parents[2], source / "dataflow")
    server = Server(tmp_path, STEPS, source)
    assert server.answer("validity_dsp", "say", "7")[0] == 7
    with (source / "dataflow/steps/validity/build.py").open("a") as file:
        file.write("# changed\n")
    time.sleep(loading.FRESH)
    assert server.answer("validity_dsp", "say", "7")[:2] == (0, "ordinary\n")
    server.leave()


def test_what_cannot_be_loaded_is_left_to_the_ordinary_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    server = Server(tmp_path, [("tier_own", "steps.tier_own.build")] * 3)
    assert server.answer("tier_own", "say", "7")[:2] == (0, "ordinary\n")
    server.leave()
    assert "No module named 'dataflow.steps.tier_own'" in (tmp_path / "log.txt").read_text()


def test_few_jobs_are_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    server = Server(tmp_path, STEPS[:2])
    assert server.socket == ""
    assert server.answer("validity_dsp", "say", "7")[:2] == (0, "ordinary\n")


def test_the_process_of_a_whole_run_is_used_by_each_snakemake_and_ends_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with Forks() as forks:
        for name, value in forks.environ("").items():
            monkeypatch.setenv(name, value)
        first = Server(tmp_path, STEPS)
        first.leave()  # the end of a Snakemake
        for name, value in forks.environ(first.socket).items():
            monkeypatch.setenv(name, value)
        second = Server(tmp_path, STEPS)
        assert second.socket == first.socket
        pid = second.pid
        second.leave()
        assert second.pid == pid
    assert beginning._lasting.pop().wait(SOON) == 0
    assert not is_there(pid)


def test_functions_that_import_later_are_found() -> None:
    from dataflow.jobs import runner, stamp

    assert deferred(stamp) == ["h5py"]
    assert deferred(runner) == ["dataflow.plan"]
    assert deferred(loading) == []


@pytest.mark.parametrize(
    ("jobs", "files", "loaded"),
    [(7, 15, []), (8, 15, ["dataflow.physics.chains"]), (7, 16, ["daq2lh5"])],
)
def test_all_compiled_code_is_loaded_where_it_pays(jobs: int, files: int, loaded: list[str]) -> None:
    planned = [Planned("tier_dsp", "steps.tier_dsp.build", jobs), Planned("tier_raw", "steps.tier_raw.build", files)]
    assert list(Loading(planned)._compiled) == loaded


def printed(code: str) -> str:
    """What a Python prints that has loaded nothing; it must go well."""
    environ = os.environ | {"PYTHONPATH": str(Path(beginning.__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_jobs_load_no_reader_of_daq_files_and_parse_no_shipped_settings_again() -> None:
    code = (
        "from dataflow.base import textfile\n"
        "from dataflow.jobs.forkserver.loading import Loading, Planned\n"
        "from dataflow.metadata.stepconfig import shipped_files\n"
        "loading = Loading([Planned(f'tier_{each}', f'steps.tier_{each}.build', 16) for each in ('raw', 'dsp')])\n"
        "while loading.more(): pass\n"
        "from dataflow.steps.tier_raw.formats import flashcam_records, flashcam_rows, flashcam_times\n"
        "loops = flashcam_records.skim, flashcam_records.index, flashcam_rows.fill, flashcam_times.account\n"
        "assert all(loop.signatures for loop in loops), [loop.signatures for loop in loops]\n"
        "textfile.read = None\n"
        "assert textfile.read_once(*shipped_files('tier_dsp', 'processing_chain', 'geds')).data['outputs']\n"
    )
    assert printed(code) == ""


def test_pygama_takes_its_compiled_code_where_its_modules_are_imported_ahead() -> None:
    """Told too late to keep the code, it compiled for two seconds in each process from which jobs were forked."""
    code = (
        "from dataflow.jobs.forkserver.loading import Loading, Planned\n"
        "loading = Loading([Planned('par_hit_ecal', 'steps.par_hit_ecal.build', 1)])\n"
        "while loading.more(): pass\n"
        "from pygama.math.functions import exgauss, gauss, step\n"
        "functions = [exgauss.nb_exgauss_pdf, exgauss.nb_exgauss_cdf, gauss.nb_gauss_pdf, step.nb_step_cdf]\n"
        "print({type(function._cache).__name__ for function in functions})\n"
    )
    assert printed(code) == "{'FunctionCache'}\n"
