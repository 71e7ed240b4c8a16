"""One program of a flow answers several questions, each as if it were the first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataflow.door.several import BROKEN
from prodenv.base.errors import UserError, WorkFailed
from prodenv.cycles import door
from prodenv.cycles.flow import ask_source

from ..copies import copy_sources

FORM = {"experiment": "l200", "scheme": None}


@pytest.fixture
def source(tmp_path: Path, repository: Path) -> Iterator[Path]:
    """The sources of a flow; its programs are ended afterwards."""
    copy_sources(repository / "dataflow", tmp_path / "dataflow")
    yield tmp_path / "dataflow/src"
    door.close()


def program(source: Path) -> int:
    """The number of the process that answers for a flow."""
    return door._programs[source].running.pid


def test_several_questions_are_answered_by_one_program_as_by_one_each(source: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"experiment": "l200", "paths": {}}')
    question = {"config": str(config), "experiment": None}
    words = [sys.executable, "-P", "-m", "dataflow.plan", "setup", "--json", "--with", json.dumps(question)]
    environ = os.environ | {"PYTHONPATH": str(source)}
    alone = subprocess.run(words, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    assert "l200" in ask_source(source, "form", FORM)["setups"]
    first = program(source)
    assert ask_source(source, "setup", question) == json.loads(alone.stdout)["answer"]
    config.write_text('{"experiment": "l200", "pahts": {}}')
    with pytest.raises(UserError, match=r"config\.json:1: unknown key 'pahts'"):
        ask_source(source, "setup", question)
    config.write_text('{"experiment": "l1000", "paths": {}}')
    assert ask_source(source, "setup", question)["experiment"] == "l1000"
    assert program(source) == first


@pytest.mark.parametrize("what", ["time", "environment", "folder", "end"])
def test_a_program_that_would_answer_otherwise_is_left(
    what: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_source(source, "form", FORM)
    first = door._programs[source].running
    if what == "time":
        monkeypatch.setattr(door, "IDLE", 0.0)
    elif what == "environment":
        monkeypatch.setenv("ANYTHING", "new")
    elif what == "folder":
        monkeypatch.chdir(tmp_path)
    else:
        first.kill()
        first.wait()
    assert "l200" in ask_source(source, "form", FORM)["setups"]
    assert program(source) != first.pid and first.returncode is not None


def test_no_more_programs_are_kept_than_a_few(source: Path, tmp_path: Path) -> None:
    sources = [source]
    for number in range(door.MOST):
        sources.append(tmp_path / f"{number}/src")
        sources[-1].parent.mkdir()
        sources[-1].symlink_to(source)
    for each in sources:
        ask_source(each, "form", FORM)
        assert 0 < len(door._programs) <= door.MOST


@pytest.mark.parametrize(
    ("line", "how"),
    [
        ("raise RuntimeError('out of order')", "exit code 1"),
        ("import os; os.kill(os.getpid(), 9)", "exit code 137"),
        (f"import os; os._exit({BROKEN + 4})", f"exit code {BROKEN + 4}"),
    ],
)
def test_a_question_that_breaks_is_told_and_the_next_one_is_answered(
    line: str, how: str, source: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = source / "dataflow/door/rates.py"
    with file.open("a") as stream:
        print(f"\n\ndef rates(question):\n    {line}", file=stream)
    ask_source(source, "form", FORM)
    with pytest.raises(WorkFailed, match=rf"does not answer 'rates' \({how}\)"):
        ask_source(source, "rates", {"config": "", "experiment": None})
    assert ("RuntimeError: out of order" in capfd.readouterr().err) == ("RuntimeError" in line)
    assert "l200" in ask_source(source, "form", FORM)["setups"]


def test_a_verb_that_the_flow_does_not_know_is_told(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WorkFailed, match=r"does not answer 'tomorrow' \(exit code 2\)"):
        ask_source(source, "tomorrow", {})
    assert "invalid choice: 'tomorrow'" in capfd.readouterr().err


def test_an_interrupt_is_one_and_leaves_no_traceback(source: Path) -> None:
    """A terminal sends it to all programs of a command."""
    file = source / "dataflow/door/rates.py"
    with file.open("a") as stream:
        print("\n\ndef rates(question):\n    import time\n    print('asked', flush=True)", file=stream)
        print("    time.sleep(60)", file=stream)
    words = [sys.executable, "-P", "-m", "dataflow.plan", "--several"]
    environ = os.environ | {"PYTHONPATH": str(source)}
    pipe = subprocess.PIPE
    started = subprocess.Popen(
        words, env=environ, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    assert started.stdin and started.stdout and started.stderr
    started.stdin.write(json.dumps({"verb": "rates", "question": {}}) + "\n")
    started.stdin.flush()
    assert started.stdout.readline() == "asked\n"
    os.killpg(started.pid, 2)
    assert started.communicate(timeout=20) == ("", "") and started.returncode == 130


def test_a_program_that_is_not_asked_ends(source: Path) -> None:
    code = "from dataflow.door import several; several.IDLE = 0.2; print(several.several())"
    environ = os.environ | {"PYTHONPATH": str(source)}
    words = [sys.executable, "-P", "-c", code]
    with subprocess.Popen(words, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout and waiting.stdout.read() == "0\n"
        assert waiting.wait(timeout=20) == 0


def test_a_program_ends_with_its_command(source: Path) -> None:
    code = f"""
from pathlib import Path
from prodenv.cycles import door
from prodenv.cycles.flow import ask_source
source = Path({str(source)!r})
ask_source(source, "form", {FORM!r})
print(door._programs[source].running.pid)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not Path(f"/proc/{int(done.stdout)}").exists() and not done.stderr
    code += "import os, signal; sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    killed = subprocess.run([sys.executable, "-c", f"import sys{code}"], capture_output=True, text=True, check=False)
    end = time.monotonic() + 10
    while Path(f"/proc/{int(killed.stdout)}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{int(killed.stdout)}").exists()
