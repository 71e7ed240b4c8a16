"""``dataprod run``, ``plan``, ``status`` and ``why``: what they say and do."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataflow.registry.steps import parts_of
from prodenv.base.errors import WorkFailed
from prodenv.cli.main import run as run_command
from prodenv.cli.parsers import COMMANDS
from prodenv.cycles import lock as holder

from ..control.test_commands import OPTIONS, imported_by, own
from ..plan.conftest import KEYS
from ..workflow.conftest import Production

TARGET = "all-l200-p03-r001-*-hit.gen"
PARTS = len([part for part in parts_of("dsp") if not part.only_with]) + len(parts_of("hit"))
JOBS = 16 + PARTS
"""Jobs that the target needs: each part of the calibrations, figures of two tiers, and both for SiPMs of physics."""
CAL, PHY = KEYS[4], KEYS[5]
Verb = Callable[..., tuple[int, str, str]]


@pytest.fixture
def verb(production: Production, capfd: pytest.CaptureFixture[str]) -> Verb:
    """Calls a verb for the cycle; gives exit code, standard output and standard error."""

    def call(name: str, *words: str) -> tuple[int, str, str]:
        command = COMMANDS[name]
        code = run_command(command, command.parse([str(production.root), *words]))
        return code, *capfd.readouterr()

    return call


def as_json(verb: Verb, *words: str) -> Any:
    code, out, _ = verb(*words, "--json")
    assert code == 0
    return json.loads(out)


def test_a_cycle_is_planned_run_and_looked_at(
    production: Production, verb: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = as_json(verb, "plan", TARGET)
    assert before["jobs"] == JOBS and before["seconds"] is None
    assert not (production.root / "jobs.txt").exists(), "planning makes nothing"
    code, _, err = verb("run", TARGET, "-j2")
    assert code == 0 and "tier hit: 2 of 2" in err
    assert len(production.jobs()) == JOBS
    code, _, err = verb("run", TARGET, "-j2")
    assert code == 0 and "nothing to be done" in err
    assert as_json(verb, "plan", TARGET)["jobs"] == 0
    assert "nothing to be done" in verb("plan", TARGET)[1]
    found = as_json(verb, "status", "-j2")
    assert found["jobs"]["there"] == JOBS and "stale" not in found["jobs"] and found["seconds"] is not None
    (run,) = (run for run in found["runs"] if run["run"] == "l200-p03-r001-cal")
    assert run["datatype"] == "cal" and run["steps"]["tier_hit"] == {"there": 1}
    monkeypatch.setenv("COLUMNS", "300")
    rows = verb("status", "--all")[1].splitlines()
    header = next(row for row in rows if "figures" in row)
    assert header.split().count("figures") == 1 and "plt_" not in header
    assert next(row for row in rows if "l200-p03-r001-cal" in row).split()[-1] == "2"


def test_figures_that_cannot_be_drawn_are_told(
    production: Production, verb: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    verb("run", TARGET, "-j2")
    (figure,) = production.root.glob("generated/plt/hit/cal/p03/r001/*-plt_hit_ecal.pdf")
    figure.unlink()
    for data in (production.root / "generated/tmp/par").glob("*-par_hit_ecal_data.lh5"):
        data.unlink()
    code, _, err = verb("run", TARGET, "-j2")
    assert code == 0 and "nothing to be done: everything else is there and up to date" in err
    (told,) = [line for line in err.splitlines() if "by plt_hit are missing, and what they show, too" in line]
    plan = as_json(verb, "plan", TARGET)
    assert (plan["jobs"], plan["undrawn"]) == (0, 1) and plan["warnings"][-1] in told
    assert "everything else is there" in verb("plan", TARGET)[1]
    path = told.split()[-1]
    code, _, err = verb("run", path, "-j2")
    assert code == 0 and figure.with_name(path.rpartition("/")[2]).is_file()
    figure.unlink(missing_ok=True)
    code, _, err = verb("run", TARGET, "-j2")
    assert "are missing" not in err and figure.is_file(), "drawn again of what is there now"


def test_what_is_stale_is_told_and_why(production: Production, verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # no path is broken into two lines
    verb("run", TARGET, "-j2")
    production.tree.write("inputs/dataprod/overrides/dsp/a.yaml", "V02160A: {pz: {tau1: 7}}\n")
    production.tree.validity("dataprod/overrides/dsp", {"valid_from": "20230317T000000Z", "apply": "a.yaml"})
    found = as_json(verb, "status")
    assert found["jobs"]["stale"] == 7 + len(parts_of("hit"))
    assert verb("plan", TARGET, "--check")[0] == 3
    hit = f"generated/tier/hit/phy/p03/r001/{PHY}-tier_hit.lh5"
    _, out, _ = verb("why", hit)
    assert "is stale" in out and "first difference: override par_dsp: nothing → {'V02160A': {'pz': {'tau1': 7}}}" in out
    _, out, _ = verb("why", str(production.root / hit), "--tree")
    assert f"{PHY}-tier_raw.lh5  there" in out and "override par_dsp" in out
    reason = as_json(verb, "why", hit)
    assert reason["state"] == "stale" and reason["inputs"][0]["differences"][0]["section"] == "overrides"
    assert as_json(verb, "run", TARGET, "--dry-run")["jobs"] == 7 + len(parts_of("hit"))
    assert "is there and as it would be made now" in verb("why", hit.replace("hit", "raw"))[1]


def test_the_first_real_error_comes_last_with_its_log(
    production: Production, verb: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKEN", f"tier_tcm {CAL}")
    code, _, err = verb("run", TARGET, "-j2")
    assert code == 1
    *_, first, second, last, closing = err.splitlines()
    end = [first, second, last]
    assert re.fullmatch(rf"\d+ of {JOBS} jobs done, 1 failed in [\d.]+ s", closing), closing
    assert end[0] == f"error: tier_tcm failed to make {CAL}-tier_tcm.lh5"
    assert end[1] == "  error: made to break"
    assert end[-1] == f"log: {production.root}/generated/tmp/log/tier_tcm/{CAL}-tier_tcm.log"
    found = as_json(verb, "status")
    assert found["jobs"]["failed"] == 1
    assert found["failures"][0]["error"] == "error: made to break" and found["failures"][0]["step"] == "tier_tcm"
    assert f"tier_tcm of {CAL} failed: made to break" in verb("status")[1]
    monkeypatch.delenv("BROKEN")
    assert verb("run", TARGET, "-j2")[0] == 0


def test_what_is_wrong_with_a_target_comes_out_before_anything_starts(verb: Verb) -> None:
    for words, message in (
        (("run", "all-l200-p09-hit.gen"), "there is no data of period 'p09'"),
        (("plan", "nonsense"), "'nonsense' is neither a target nor an output of a step"),
        (("why", "generated/nonsense"), "'generated/nonsense' is not an output of a step"),
        (("run", TARGET, "--profile", "nowhere"), "there is no profile 'nowhere'"),
        (("run", TARGET, "--json"), "--json needs --dry-run"),
    ):
        code, out, err = verb(*words)
        assert (code, out) == (2, "") and message in err and "hint: " in err and "Traceback" not in err


def test_the_lock_of_a_dead_run_is_taken_away(production: Production, verb: Verb) -> None:
    locks = production.root / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text(f"generated/tier/hit/phy/p03/r001/{PHY}-tier_hit.lh5\n")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    holder.record(production.root, gone.pid)
    assert holder.holder_of(production.root) is None
    assert verb("run", TARGET, "-j2")[0] == 0
    assert not holder.is_locked(production.root) and holder.recorded(production.root) is None


def test_a_living_run_is_respected(production: Production, verb: Verb) -> None:
    holder.record(production.root, os.getpid())
    code, _, err = verb("run", TARGET)
    assert code == 1 and f"process {os.getpid()} on " in err and "works on" in err
    assert as_json(verb, "status")["running"]["process"] == os.getpid()


def test_a_run_of_another_host_is_respected(production: Production) -> None:
    holder.record(production.root, os.getpid())
    file = production.root / holder.RECORD
    file.write_text(file.read_text().replace(json.dumps(holder.recorded(production.root).host), '"elsewhere"'))  # type: ignore[union-attr]
    with pytest.raises(WorkFailed, match="on elsewhere works on") as error:
        holder.refuse_living(production.root)
    assert str(holder.RECORD) in error.value.hint


def locked_elsewhere(cycle: Path) -> Path:
    """Leave a lock of a Snakemake on another host; returns its log."""
    locks, log = cycle / ".snakemake/locks", cycle / ".snakemake/log/1.snakemake.log"
    for folder in (locks, log.parent):
        folder.mkdir(parents=True)
    (locks / "0.output.lock").write_text("generated/x\n")
    log.write_text("SNAKEMAKE\n  Host: elsewhere\n")
    return log


def test_an_unrecorded_lock_of_another_host_is_respected(production: Production) -> None:
    log = locked_elsewhere(production.root)
    with pytest.raises(WorkFailed, match="a Snakemake on elsewhere works on"):
        holder.refuse_living(production.root)
    log.write_text(f"SNAKEMAKE\n  Host: {socket.gethostname()}\n")
    holder.refuse_living(production.root)


def test_a_dead_record_does_not_give_away_a_later_lock_of_another_host(production: Production) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    holder.record(production.root, gone.pid)
    locked_elsewhere(production.root)
    with pytest.raises(WorkFailed, match="a Snakemake on elsewhere works on"):
        holder.refuse_living(production.root)


@pytest.mark.parametrize("is_theirs", [True, False])
def test_only_a_snakemake_of_the_user_who_locked_the_cycle_is_taken_for_the_holder(
    production: Production, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, is_theirs: bool
) -> None:
    """Of another user's process the folder is hidden: any Snakemake of the machine could be the one."""
    proc, lock = tmp_path / "proc", production.root / ".snakemake/locks/0.output.lock"
    for number in ("1", "2"):
        (proc / number).mkdir(parents=True)
        (proc / number / "cmdline").write_bytes(b"python\0snakemake\0--configfile\0config.json")
        (proc / number / "stat").write_text(f"{number} (python) S {' '.join(['0'] * 18)} {7 - int(number)} 0")
    lock.parent.mkdir(parents=True)
    lock.write_text("generated/x\n")

    def hidden(path: Path) -> Path:
        raise PermissionError(path)

    monkeypatch.setattr(holder, "PROC", proc)
    monkeypatch.setattr(Path, "readlink", hidden)
    if not is_theirs:
        monkeypatch.setattr(holder, "_owners", lambda cycle: frozenset({lock.stat().st_uid + 1}))
        monkeypatch.setattr("prodenv.cycles.lock.os.geteuid", lambda: lock.stat().st_uid + 1)
        holder.refuse_living(production.root)
        return
    with pytest.raises(WorkFailed, match="process 2 on "):
        holder.refuse_living(production.root)  # the one that began first


@pytest.mark.parametrize("hidden", ["the process", "its words"])
def test_where_processes_of_others_are_hidden_their_lock_is_respected(
    production: Production, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hidden: str
) -> None:
    """As ``/proc`` is mounted on shared machines: a colleague's Snakemake may live, and nobody can tell."""
    proc, lock = tmp_path / "proc", production.root / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("generated/x\n")
    (proc / "2").mkdir(parents=True)
    (proc / "2/cmdline").write_bytes(b"something")
    if hidden == "its words":
        (proc / "1/cmdline").mkdir(parents=True)  # cannot be read, as if it were not allowed
    monkeypatch.setattr(holder, "PROC", proc)
    holder.refuse_living(production.root)
    monkeypatch.setattr("prodenv.cycles.lock.os.geteuid", lambda: lock.stat().st_uid + 1)
    with pytest.raises(WorkFailed, match=f"a Snakemake on {socket.gethostname()} works on") as error:
        holder.refuse_living(production.root)
    assert f"if that one is dead, delete {lock.parent}" in error.value.hint


def test_of_two_runs_at_once_one_is_refused(production: Production) -> None:
    words = [sys.executable, "-c", START, str(production.root), TARGET]
    both = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [run.communicate(timeout=120)[1] for run in both]
    assert sorted(run.returncode for run in both) == [0, 1], said
    (refused,) = (err for run, err in zip(both, said, strict=True) if run.returncode == 1)
    assert "works on" in refused or "has just begun" in refused
    assert len(production.jobs()) == JOBS, "no job was run twice"


def _heed_interrupts() -> None:
    """As a shell starts a command in the foreground; tests in the background or under nohup inherit deafness."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_an_interrupted_run_ends_with_130_and_goes_on_later(production: Production, verb: Verb) -> None:
    words = [sys.executable, "-c", START, str(production.root), TARGET]
    first = subprocess.Popen(
        words, env=os.environ | {"SLOW": "3"}, stderr=subprocess.PIPE, text=True, preexec_fn=_heed_interrupts
    )
    _until(lambda: (production.root / "jobs.txt").exists())
    first.send_signal(signal.SIGINT)
    _, err = first.communicate(timeout=60)
    assert first.returncode == 130
    said = rf"interrupted; the next run continues from here\n\d+ of {JOBS} jobs done in [\d.]+ s\n"
    assert re.fullmatch(said, err), err
    assert holder.recorded(production.root) is None
    assert verb("run", TARGET, "-j2")[0] == 0


def test_a_number_of_another_process_is_not_taken_for_the_holder(production: Production) -> None:
    holder.record(production.root, os.getpid())
    file = production.root / holder.RECORD
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"began": content["began"] + 1}))
    assert holder.holder_of(production.root) is None


def test_snakemake_ends_with_its_run_and_the_next_one_waits_for_that(production: Production, verb: Verb) -> None:
    words = [sys.executable, "-c", START, str(production.root), TARGET]
    first = subprocess.Popen(words, env=os.environ | {"SLOW": "3"}, stderr=subprocess.DEVNULL)
    _until(lambda: (production.root / "jobs.txt").exists())
    who = holder.recorded(production.root)
    assert who is not None and who.lives and not who.is_orphan and who.front == first.pid
    os.kill(who.pid, signal.SIGSTOP)  # the signal that comes with the end of the other one could end it before we look
    first.kill()
    first.wait()
    assert who.is_orphan
    os.kill(who.pid, signal.SIGCONT)
    assert verb("run", TARGET, "-j2")[0] == 0
    assert not who.lives
    assert as_json(verb, "plan", TARGET)["jobs"] == 0


def test_a_broken_connection_stops_a_run(production: Production, verb: Verb) -> None:
    words = [sys.executable, "-c", START, str(production.root), TARGET]
    first = subprocess.Popen(
        words, env=os.environ | {"SLOW": "3"}, stderr=subprocess.DEVNULL, preexec_fn=_heed_interrupts
    )
    _until(lambda: (production.root / "jobs.txt").exists())
    first.send_signal(signal.SIGHUP)
    assert first.wait(60) == 130
    assert holder.recorded(production.root) is None
    assert verb("run", TARGET, "-j2")[0] == 0


def test_a_run_under_nohup_survives_a_broken_connection(production: Production) -> None:
    words = ["nohup", sys.executable, "-c", START, str(production.root), TARGET]
    first = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _until(lambda: (production.root / "jobs.txt").exists())
    first.send_signal(signal.SIGHUP)
    assert first.wait(60) == 0


@pytest.mark.parametrize("victim", ["snakemake", "all"])
def test_a_killed_run_is_resumed_without_ceremony(production: Production, verb: Verb, victim: str) -> None:
    words = [sys.executable, "-c", START, str(production.root), TARGET]
    first = subprocess.Popen(words, env=os.environ | {"SLOW": "1.5"}, stderr=subprocess.DEVNULL)
    _until(lambda: (production.root / "jobs.txt").exists())
    who = holder.recorded(production.root)
    assert who is not None and who.pid != first.pid
    os.kill(who.pid, signal.SIGKILL)
    if victim == "all":
        first.kill()
    assert first.wait(30) != 0
    time.sleep(2)  # the jobs of the dead run end by themselves
    assert verb("run", TARGET, "-j2")[0] == 0
    assert as_json(verb, "plan", TARGET)["jobs"] == 0


START = """
import sys
sys.path[:0] = {path!r}
from prodenv.cli.main import run
from prodenv.cli.parsers import COMMANDS
sys.exit(run(COMMANDS["run"], COMMANDS["run"].parse([*sys.argv[1:], "-j2"])))
""".replace("{path!r}", repr([path for path in sys.path if path.endswith("src")]))


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_cycle_whose_dataflow_is_too_old_to_answer_is_named(production: Production, verb: Verb) -> None:
    (production.root / "dataflow/src/dataflow/plan/__main__.py").unlink()
    for name, *words in (("status",), ("plan", TARGET), ("why", "x")):
        code, out, err = verb(name, *words)
        assert code == (0 if name == "status" else 2)  # it lists the files that are there, whatever made them
        assert "is older than this production environment" in out + err


def test_help_imports_little() -> None:
    source = Path(holder.__file__).parents[2]
    for name in ("run", "plan", "status", "why"):
        program = f"from prodenv.cli.parsers import COMMANDS; COMMANDS[{name!r}].parser().format_help()"
        words = [sys.executable, "-S", "-X", "importtime", "-c", program]
        done = subprocess.run(words, env={"PYTHONPATH": str(source)}, check=True, capture_output=True, text=True)
        assert own(imported_by(done)) == OPTIONS - {"prodenv.cli.launch"}
