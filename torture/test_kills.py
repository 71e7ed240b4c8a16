"""Kills at random times: no partial file is taken for whole, the next run completes without help, and the results
are those of an undisturbed production, value for value."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from torture.compare import cycles_differ, differences, results
from torture.conftest import SEED, Experiment, simulated, size
from torture.productions import Process, Production, software

if TYPE_CHECKING:
    from torture.conftest import Note

KILLS = size("KILLS", 200)
SCALE = 0.01
LONGEST = 25.0
"""Seconds after which a run is disturbed at the latest."""
VICTIMS = ("job", "job", "worker", "snakemake", "snakemake and its jobs", "run", "all")


@pytest.fixture(scope="session")
def environment() -> Iterator[Path]:
    """The software of all cycles."""
    yield from software()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Six files of a few hundred events."""
    return simulated(tmp_path_factory.mktemp("small"), scale=SCALE)


@pytest.fixture(scope="session")
def undisturbed(small: Experiment, environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A production that nobody disturbed."""
    made = Production(tmp_path_factory.mktemp("undisturbed") / "cycle", small, environment)
    code, said = made.run()
    assert code == 0, said
    return made.cycle


@pytest.fixture
def production(small: Experiment, environment: Path, tmp_path: Path) -> Iterator[Production]:
    """One to disturb."""
    made = Production(tmp_path / "cycle", small, environment)
    yield made
    made.end()


def victims(kind: str, running: list[Process]) -> list[int]:
    """Whom to kill: one job, one worker of a job, or whole kinds of processes."""
    jobs = [process for process in running if process.kind == "job"]
    numbers = {process.pid for process in jobs}
    workers = [process.pid for process in jobs if process.parent in numbers]
    of_kind = {
        "job": [process.pid for process in jobs if process.parent not in numbers][:1],
        "worker": workers[:1],
        "snakemake": [process.pid for process in running if process.kind == "snakemake"],
        "snakemake and its jobs": [process.pid for process in running if process.kind in ("snakemake", "job")],
        "run": [process.pid for process in running if process.kind == "run"],
        "all": [process.pid for process in running],
    }
    return of_kind[kind]


def kill_at_random(production: Production, draw: random.Random, child: subprocess.Popen[bytes]) -> str:
    """Wait, kill, wait for the end; returns who was killed, or an empty text if the run ended before."""
    kind = draw.choice(VICTIMS)
    deadline = time.monotonic() + draw.uniform(0.5, LONGEST)
    while time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.01)
    latest = time.monotonic() + LONGEST
    chosen: list[int] = []
    while child.poll() is None and not chosen and time.monotonic() < latest:
        chosen = victims(kind, production.processes())
    for pid in chosen:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    child.wait()
    if draw.random() < 0.5:
        time.sleep(draw.uniform(0, 3))  # jobs that outlived their master are met by the next run, or not
    return kind if chosen else ""


def partial(whole: Path, cycle: Path) -> list[str]:
    """Outputs in their place that are not those of the undisturbed production."""
    wanted = results(whole)
    here = results(cycle)
    return [
        found
        for name, path in here.items()
        if name in wanted and "/.lineage/" not in name and (found := differences(wanted[name], path))
    ]


def test_kills_at_random_times(undisturbed: Path, production: Production, figures: Note) -> None:
    draw = random.Random(SEED)
    killed: Counter[str] = Counter()
    wrong: list[str] = []
    completed = 0
    while killed.total() < KILLS and not wrong:
        child = production.start()
        kind = kill_at_random(production, draw, child)
        if kind:
            killed[kind] += 1
            wrong += [
                f"after kill {killed.total()} ({kind}): {found}" for found in partial(undisturbed, production.cycle)
            ]
            continue
        said = production.said.read_text(errors="replace")
        completed += 1
        if child.returncode or (unlike := cycles_differ(undisturbed, production.cycle)):
            wrong.append(f"after {killed}: exit {child.returncode}: {unlike if not child.returncode else said[-3000:]}")
        production.clear()
    code, said = production.run()
    if not wrong and (code or (unlike := cycles_differ(undisturbed, production.cycle))):
        wrong.append(f"the last run: exit {code}: {unlike if not code else said[-3000:]}")
    left = [str(path) for path in production.cycle.rglob(".*-part*")]
    figures(kills=dict(killed), completed_in_between=completed, wrong=len(wrong), left_behind=len(left))
    assert wrong == [], "\n".join(wrong)
    assert left == []


def test_two_runs_at_once_in_one_cycle(undisturbed: Path, production: Production, figures: Note) -> None:
    """One of them works, the other says that somebody does; together they disturb nothing."""
    first, second = production.start(), production.start()
    codes = sorted(child.wait() for child in (first, second))
    said = production.said.read_text(errors="replace")
    figures(codes=codes)
    assert codes[0] == 0, said
    assert "Traceback" not in said
    assert production.run()[0] == 0
    assert cycles_differ(undisturbed, production.cycle) == ""


def test_a_clock_that_was_set_back(undisturbed: Path, production: Production, figures: Note) -> None:
    """Inputs from the future, outputs from the past: times of files decide nothing."""
    assert production.run()[0] == 0
    now = time.time()
    stamps = {}
    for name, path in results(production.cycle).items():
        moment = now + (86400 * 400 if "/raw/" in name else -86400 * 4000)
        os.utime(path, (moment, moment))
        stamps[name] = path.stat().st_mtime_ns
    for daq in sorted((production.cycle / "generated/tier/daq").rglob("*.fcio")):
        os.utime(daq, (now + 86400 * 3650, now + 86400 * 3650))
    code, said = production.run()
    made_again = [name for name, path in results(production.cycle).items() if path.stat().st_mtime_ns != stamps[name]]
    figures(code=code, made_again=len(made_again))
    assert code == 0, said
    assert made_again == []
    assert cycles_differ(undisturbed, production.cycle) == ""
