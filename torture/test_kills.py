"""Kills at random times: no partial file is taken for whole, the next run completes without help, and the results
are those of an undisturbed production, value for value."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from torture.compare import cycles_differ, differences, results
from torture.conftest import SEED, Experiment, simulated, size
from torture.order import WITH_WORKERS, in_order
from torture.productions import REPOSITORY, TARGETS, Process, Production, dataprod, software

if TYPE_CHECKING:
    from torture.conftest import Note

KILLS = size("KILLS", 200)
SCALE = 0.01
VICTIMS = ("job", "worker", "forkserver", "program", "snakemake", "snakemake and its jobs", "run", "all")
FROM_NOTHING = size("FROM_NOTHING", 20)
"""Every so many kills one strikes at any time of a production that begins with the DAQ files alone, whose jobs are
forked."""
MOST_WRONG = 20
CACHES = {"matplotlib", "snakemake"}
"""What libraries keep in the user's cache: a list of fonts, and sources of workflows."""
EMPTY = re.compile(r"snakemake\w{8}")
TRIES = 4
"""How often somebody that was not met is waited for: workers of short steps live some milliseconds, and few jobs are
not forked. Then the job dies."""
LONGEST = 120.0
"""Seconds after which a job of the step should have begun."""


@pytest.fixture(scope="session")
def environment() -> Iterator[Path]:
    """The software of all cycles."""
    yield from software()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """A calibration and a physics file of a few hundred events."""
    made = simulated(tmp_path_factory.mktemp("small"), scale=SCALE)
    kept = {made.file(datatype) for datatype in ("cal", "phy")}
    for daq in sorted(made.daq.rglob("*.fcio")):
        if daq not in kept:
            daq.unlink()
    return made


@pytest.fixture(scope="session")
def undisturbed(small: Experiment, environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A production that nobody disturbed."""
    made = Production.of(tmp_path_factory.mktemp("undisturbed") / "cycle", small, environment)
    code, said = made.run()
    assert code == 0, said
    return made.cycle


@pytest.fixture
def production(small: Experiment, environment: Path, tmp_path: Path) -> Iterator[Production]:
    """One to disturb."""
    made = Production.of(tmp_path / "cycle", small, environment)
    yield made
    made.end()


def victims(kind: str, running: list[Process], step: str = "") -> list[int]:
    """Whom to kill: one job, one worker of a job, or whole kinds of processes; of a step, where one is named."""
    jobs = [process for process in running if process.kind == "job"]
    asking = [process for process in running if process.kind == "program"]
    numbers = {process.pid for process in jobs}
    concerned = [process for process in jobs if f" {step}" in process.words]
    of_kind = {
        "job": [process.pid for process in concerned if process.parent not in numbers][:1],
        "worker": [process.pid for process in concerned if process.parent in numbers][:1],
        "forkserver": [process.pid for process in running if process.kind == "forkserver"],
        "program": [process.pid for process in asking if f" {step}" in process.words][:1],
        "snakemake": [process.pid for process in running if process.kind == "snakemake"],
        "snakemake and its jobs": [process.pid for process in running if process.kind in ("snakemake", "job")],
        "run": [process.pid for process in running if process.kind == "run"],
        "all": [process.pid for process in running],
    }
    return of_kind[kind]


def kill_in_step(production: Production, step: str, kind: str, after: float, targets: Sequence[str]) -> bool:
    """Run what is missing, kill some seconds after a job of the step began; whether anybody was there to be killed."""
    child = production.start(*targets)
    latest = time.monotonic() + LONGEST
    while not victims("job", production.processes(), step):
        if child.poll() is not None or time.monotonic() > latest:
            break
        time.sleep(0.002)
    time.sleep(after)
    chosen = victims(kind, production.processes(), step)
    while not chosen and child.poll() is None and victims("job", production.processes(), step):
        chosen = victims(kind, production.processes(), step)
    return _kill(chosen, child)


def kill_at_any_time(production: Production, kind: str, after: float) -> bool:
    """Make everything, kill some seconds after the beginning; whether anybody was there to be killed."""
    child = production.start()
    with suppress(subprocess.TimeoutExpired):
        child.wait(after)
    chosen: list[int] = []
    while not chosen and child.poll() is None:
        chosen = victims(kind, production.processes())
    return _kill(chosen, child)


def _kill(chosen: list[int], child: subprocess.Popen[bytes]) -> bool:
    for pid in chosen:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    child.wait()
    return bool(chosen)


def remaining(production: Production, seconds: float = 10.0) -> list[Process]:
    """What of a production that has ended still runs after a while."""
    deadline = time.monotonic() + seconds
    while (found := production.processes()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def outside_of(production: Production) -> list[str]:
    """What was left in the folders of user and system; a killed Snakemake leaves an empty folder for scripts."""
    found = [path for path in production.outside.iterdir() if not (path.is_dir() and EMPTY.fullmatch(path.name))]
    found += [path for place in production.outside.iterdir() if place not in found for path in place.rglob("*")]
    return sorted(str(path.relative_to(production.outside)) for path in found)


@dataclass(frozen=True)
class Made:
    """What a step made.

    Attributes
    ----------
    places
        Its outputs, in the cycle.
    seconds
        How long its longest job took.
    """

    places: list[str]
    seconds: float


BESIDE_RECORDS = (".recipe.json", ".notes.json")
"""What lies beside records: recipes that they share, and what became of detectors."""


def outputs_by_step(cycle: Path) -> dict[str, Made]:
    """What each step made of a finished cycle, by the records."""
    made: dict[str, Made] = {}
    for name, path in results(cycle).items():
        if "/.lineage/" in name and name.endswith(".json") and not name.endswith(BESIDE_RECORDS):
            facts = json.loads(path.read_text(encoding="utf-8"))
            place = name.replace("/.lineage", "").rsplit(".", 2)[0]
            assert (cycle / place).is_file(), place
            so_far = made.get(facts["step"], Made([], 0.0))
            made[facts["step"]] = Made([*so_far.places, place], max(so_far.seconds, facts["seconds"]))
    return made


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
    """After each kill the next run completes without help, and everything is as undisturbed."""
    draw = random.Random(SEED)
    made = outputs_by_step(undisturbed)
    steps = sorted(made)
    assert set(in_order("raw", "tcm", "dsp", "hit", "evt", "skm")) <= set(made)
    began = time.monotonic()
    assert production.run()[0] == 0
    whole = time.monotonic() - began
    killed: Counter[str] = Counter()
    wrong: list[str] = []
    missed = in_a_row = 0
    while killed.total() < KILLS and len(wrong) < MOST_WRONG and missed <= KILLS:
        number = killed.total()
        step = steps[number % len(steps)]
        kind = VICTIMS[(number % len(steps) + number // len(steps)) % len(VICTIMS)]  # few kills are of all kinds, too
        kind = "job" if in_a_row >= TRIES or (kind == "worker" and step not in WITH_WORKERS) else kind
        targets = list(TARGETS)
        if number % FROM_NOTHING == FROM_NOTHING - 1:
            step, kind = "any", "job" if kind == "worker" else kind
            production.clear()
            hit = kill_at_any_time(production, kind, draw.uniform(0.5, whole))
        else:
            targets += made[step].places
            production.without(made[step].places)
            hit = kill_in_step(production, step, kind, draw.uniform(0, made[step].seconds), targets)
        unlike = partial(undisturbed, production.cycle)
        if draw.random() < 0.5:  # jobs that outlived their master are met by the next run, or not
            time.sleep(draw.uniform(0, 3))
        code, said = production.run(*targets)
        unlike += [cycles_differ(undisturbed, production.cycle)] if code == 0 else [f"exit {code}: {said[-3000:]}"]
        unlike += [f"left behind: {path}" for path in production.cycle.rglob(".*-part*")]
        unlike += [f"still runs: {process.words}" for process in remaining(production)]
        wrong += [f"kill {number} ({kind} in {step}): {found}" for found in unlike if found]
        print(f"{number}: {kind} in {step}: {'killed' if hit else 'too late'} {wrong[-1:]}", flush=True)
        if hit:
            killed[f"{step}: {kind}"] += 1
            in_a_row = 0
        else:
            missed += 1
            in_a_row += 1
    outside = outside_of(production)
    figures(
        kills=killed.total(), missed=missed, wrong=len(wrong), outside=outside, by_step=dict(sorted(killed.items()))
    )
    assert wrong == [], "\n".join(wrong)
    assert killed.total() == KILLS
    assert set(outside) <= CACHES


def test_two_runs_at_once_in_one_cycle(undisturbed: Path, production: Production, figures: Note) -> None:
    """One of them works, the other says that somebody does; together they disturb nothing."""
    first, second = production.start(), production.start()
    codes = sorted(child.wait() for child in (first, second))
    said = production.said.read_text(errors="replace")
    figures(codes=codes)
    assert codes == [0, 1], said
    assert "Traceback" not in said
    assert production.run()[0] == 0
    assert cycles_differ(undisturbed, production.cycle) == ""


@pytest.fixture
def family(small: Experiment, environment: Path) -> Iterator[Path]:
    """A folder for cycles that share a parent: they lie in one production environment."""
    folder = REPOSITORY / "cycles" / f"torture-{os.getpid()}-family"
    folder.mkdir(parents=True)
    parent = Production.of(folder / "parent", small, environment)
    assert parent.run()[0] == 0
    dataprod("freeze", str(parent.cycle))
    yield folder
    for child in sorted(folder.iterdir()):
        if child.is_dir() and child != parent.cycle:
            shutil.rmtree(child)
    dataprod("freeze", "--thaw", str(parent.cycle))
    shutil.rmtree(folder)


def test_two_runs_at_once_in_cycles_that_share_a_parent(family: Path, environment: Path, figures: Note) -> None:
    """Both change the same; one of them is killed on the way and runs again. The parent stays byte for byte."""
    before = fingerprint(family / "parent")
    cycles = {}
    for name in ("alone", "one", "other"):
        dataprod("new", str((family / name).relative_to(REPOSITORY)), "--from", str(family / "parent"))
        cycles[name] = Production(family / name)
        cycles[name].use(environment)
        overrides = family / name / "inputs/dataprod/overrides/dsp"
        overrides.mkdir(parents=True, exist_ok=True)
        entry = {"valid_from": "20240101T000000Z", "category": "all", "mode": "reset", "apply": ["change.yaml"]}
        (overrides / "validity.yaml").write_text(yaml.safe_dump([entry]))
        (overrides / "change.yaml").write_text(yaml.safe_dump({"V01001A": {"pz": {"tau1": "400*us"}}}))
    assert cycles["alone"].run()[0] == 0
    first, second = cycles["one"].start(workers=1), cycles["other"].start(workers=1)
    while not victims("job", cycles["other"].processes(), "tier_dsp"):
        assert second.poll() is None
        time.sleep(0.01)
    _kill(victims("all", cycles["other"].processes()), second)
    third = cycles["other"].start(workers=1)
    codes = [first.wait(), third.wait()]
    linked = sum(path.is_symlink() for path in results(family / "one").values())
    unlike = [cycles_differ(family / "alone", family / name) for name in ("one", "other")]
    figures(codes=codes, linked=linked, wrong=sum(map(bool, unlike)))
    assert codes == [0, 0], [made.said.read_text(errors="replace")[-3000:] for made in cycles.values()]
    assert unlike == ["", ""]
    assert linked > 0
    assert cycles_differ(family / "parent", family / "one") != ""
    assert fingerprint(family / "parent") == before


def fingerprint(cycle: Path) -> dict[str, str]:
    """The content of every file of a cycle but for its software, and when it was last changed."""
    return {
        str(path.relative_to(cycle)): f"{path.stat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sorted(cycle.rglob("*"))
        if path.is_file() and "software" not in path.relative_to(cycle).parts
    }


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
