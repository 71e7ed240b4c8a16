"""Small productions that are started, disturbed and compared.

The software of the cycles is one installed environment that all of them link to: the folder that ``TORTURE_SOFTWARE``
names, else that of a demo cycle, which is made first.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from torture.conftest import Experiment, bare_cycle

from dataflow.setup.packages import LOCK

REPOSITORY = Path(__file__).resolve().parents[1]
TARGETS = ("all-l200-*-*-*-evt.gen", "all-l200-*-*-phy-skm.gen")
MARK = "TORTURE_PRODUCTION"
"""Variable by which the processes of a production are recognised, whoever adopted them."""
PROC = Path("/proc")
ELSEWHERE = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
"""Where programs write by themselves: a folder of the production that should stay empty."""


FORKSERVER = "dataflow.jobs.forkserver"
KINDS = {
    "forkserver/ask.py": "program", FORKSERVER: "forkserver", "dataflow.jobs": "job", "snakemake": "snakemake",
    "prodenv run": "run",
}  # fmt: skip
"""Kinds of processes, by words of their command lines."""


@dataclass(frozen=True)
class Process:
    """A process of a production.

    Attributes
    ----------
    pid, parent
        Numbers of it and its parent.
    words
        Its command line.
    """

    pid: int
    parent: int
    words: str

    @property
    def kind(self) -> str:
        """``job``, ``forkserver``, ``program`` (that asks it), ``snakemake``, ``run`` (dataprod), ``other``."""
        return next((kind for words, kind in KINDS.items() if words in self.words), "other")


class Production:
    """A cycle and what runs in it.

    Parameters
    ----------
    cycle
        Where it is.
    """

    def __init__(self, cycle: Path) -> None:
        self.cycle = cycle
        self.said = cycle.parent / f"{cycle.name}.said"
        self.outside = cycle.parent / f"{cycle.name}.outside"
        self.outside.mkdir(parents=True)

    @classmethod
    def of(cls, folder: Path, experiment: Experiment, software: Path) -> Production:
        """A new cycle with the data of an experiment that uses an installed environment."""
        bare_cycle(folder, experiment, *sorted(experiment.daq.rglob("*.fcio")))
        shutil.copytree(REPOSITORY / "dataflow", folder / "dataflow", ignore=shutil.ignore_patterns("__pycache__"))
        made = cls(folder)
        made.use(software)
        return made

    def use(self, software: Path) -> None:
        """Link to an installed environment, with its lock."""
        folder = self.cycle / "software/python"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "install").symlink_to(software)
        if not (folder / LOCK).exists():
            shutil.copyfile(software / LOCK, folder / LOCK)

    def start(self, *targets: str, workers: int = 2) -> subprocess.Popen[bytes]:
        """Begin ``dataprod run``."""
        words = [sys.executable, "-m", "prodenv", "run", str(self.cycle), "-j", str(workers), *(targets or TARGETS)]
        environ = surroundings() | {MARK: str(self.cycle)} | dict.fromkeys(ELSEWHERE, str(self.outside))
        with self.said.open("wb") as said:
            return subprocess.Popen(
                words, env=environ, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, cwd=self.cycle
            )

    def run(self, *targets: str, workers: int = 2) -> tuple[int, str]:
        """Run to the end; returns the exit code and what was said."""
        code = self.start(*targets, workers=workers).wait()
        return code, self.said.read_text(encoding="utf-8", errors="replace")

    def processes(self) -> list[Process]:
        """What runs of this production, by number."""
        mark = f"{MARK}={self.cycle}".encode()
        found = []
        for entry in sorted(PROC.iterdir(), key=lambda entry: entry.name.zfill(10)):
            if entry.name.isdigit():
                with suppress(OSError, ValueError, IndexError):
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                        parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                        name = (entry / "comm").read_text().strip()
                        if FORKSERVER in words and not name.startswith("python"):
                            words = f"a fork for dataflow.jobs {name}"
                        found.append(Process(int(entry.name), parent, words))
        return found

    def end(self) -> None:
        """Kill all that still runs."""
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def without(self, places: Sequence[str]) -> None:
        """Away with some of the outputs; what is recorded about them stays."""
        for place in places:
            (self.cycle / place).unlink(missing_ok=True)

    def clear(self) -> None:
        """Away with all that was made, but the DAQ files."""
        for name in ("par", "plt", "log", "tmp"):
            shutil.rmtree(self.cycle / "generated" / name, ignore_errors=True)
        for tier in sorted((self.cycle / "generated/tier").iterdir()):
            if tier.name != "daq":
                shutil.rmtree(tier)
        shutil.rmtree(self.cycle / ".snakemake", ignore_errors=True)


def surroundings() -> dict[str, str]:
    """The environment variables with which this repository's tools run by the interpreter of the tests."""
    sources = os.pathsep.join(str(REPOSITORY / part / "src") for part in ("prodenv", "dataflow", "demo"))
    return os.environ | {"PYTHONPATH": sources, "PRODENV": str(REPOSITORY)}


def dataprod(*words: str) -> None:
    """A command to its end; raises if it fails."""
    subprocess.run([sys.executable, "-m", "prodenv", *words], env=surroundings(), cwd=REPOSITORY, check=True)


def software() -> Iterator[Path]:
    """The environment for all cycles; a demo cycle is made for it where none is named, and removed afterwards."""
    if named := os.environ.get("TORTURE_SOFTWARE"):
        yield Path(named)
        return
    cycle = REPOSITORY / "cycles" / f"torture-{os.getpid()}"
    environ = os.environ | {"PRODENV": str(REPOSITORY)}
    for argv in (
        ["dataprod", "init-cycle", str(cycle.relative_to(REPOSITORY)), "--setup", "l200"],
        ["dataprod", "install-sw", str(cycle / "config.json")],
    ):
        subprocess.run([str(REPOSITORY / "bin" / argv[0]), *argv[1:]], env=environ, cwd=REPOSITORY, check=True)
    yield cycle / "software/python/install"
    shutil.rmtree(cycle)
