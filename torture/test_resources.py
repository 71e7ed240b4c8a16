"""Every step without what it needs: disk, memory, a folder that it may write to, workers that live and come back."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import daq2lh5  # noqa: F401 - in memory before the children are forked
import pytest
from torture.children import OUR_FAULT, Ending, in_child
from torture.compare import differences
from torture.conftest import Experiment, bare_cycle, simulated
from torture.order import WITH_WORKERS, in_order

from dataflow.jobs.process import run
from dataflow.plan import open_cycle

if TYPE_CHECKING:
    from torture.conftest import Note

SCALE = 0.02
SECONDS = 300
STEPS = in_order("raw", "tcm", "dsp", "hit", "evt")
MEGABYTE = 1_000_000
DELAYS = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02)


class Production:
    """One calibration file made step by step, with what each step starts from kept.

    Parameters
    ----------
    folder
        Where the cycle is.
    experiment
        Where its file comes from.
    """

    def __init__(self, folder: Path, experiment: Experiment) -> None:
        source = experiment.file()
        self.config = bare_cycle(folder / "cycle", experiment, source)
        self.cycle, self.key = folder / "cycle", source.name.partition(".")[0]
        self.whole = folder / "whole"

    def run(self, step: str, before: Callable[[], object] = lambda: None, threads: int = 1) -> Ending:
        """Run a job in a child; `before` takes something away from it."""
        words = [step, "--config", str(self.config), "--key", self.key, "--threads", str(threads)]

        def work() -> int:
            before()
            return run(words)

        return in_child(work, SECONDS)

    def make(self) -> None:
        """All steps undisturbed; the result is kept for comparison."""
        for step in STEPS:
            ending = self.run(step)
            assert ending.code == 0, f"{step}: {ending.said}"
        shutil.copytree(self.cycle, self.whole)

    def outputs(self, step: str) -> list[Path]:
        """The files of a step."""
        return list(open_cycle(self.config).job(step, self.key).outputs.values())

    def without(self, step: str) -> None:
        """The cycle as it was before a step: its outputs are not there."""
        for path in self.outputs(step):
            path.unlink(missing_ok=True)

    def restore(self, step: str) -> None:
        """The results of other steps as they were: parts of several steps lie in one folder."""
        own = set(self.outputs(step))
        for path in sorted((self.whole / "generated").rglob("*")):
            place = self.cycle / path.relative_to(self.whole)
            if path.is_file() and place not in own and not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, place)

    def complaint(self, step: str, ending: Ending, *, sentence: bool = True) -> str:
        """What is wrong after a disturbed job and its repetition; empty if nothing is."""
        found = [str(path) for path in self.outputs(step) if path.exists()] if ending.code else []
        if found:
            return f"{step}: exit {ending.code}, and yet there are {found}"
        if sentence and ending.code and ("error: " not in ending.said or "Traceback" in ending.said):
            return f"{step}: exit {ending.code}, no sentence: {ending.said[-1500:]}"
        if sentence and (ending.code in (0, OUR_FAULT) or "reason of ours" in ending.said or ending.hung):
            return f"{step}: exit {ending.code}: {ending.said[-1500:]}"
        again = self.run(step)
        if again.code:
            return f"{step}: the next run failed: {again.said[-1500:]}"
        left = [str(path) for path in self.outputs(step)[0].parent.glob(".*-part*")]
        return f"{step}: left behind: {left}" if left else self.changed(step)

    def changed(self, step: str) -> str:
        """Whether what a step made differs from what it made undisturbed."""
        for path in self.outputs(step):
            if found := differences(self.whole / path.relative_to(self.cycle), path):
                return f"{step}: {found}"
        return ""


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Production:
    """A finished calibration file."""
    made = Production(tmp_path_factory.mktemp("resources"), simulated(tmp_path_factory.mktemp("larger"), scale=SCALE))
    made.make()
    return made


def _all(production: Production, disturb: Callable[[str], str], figures: Note, steps: tuple[str, ...] = STEPS) -> None:
    wrong = []
    for step in steps:
        production.without(step)
        if found := disturb(step):
            wrong.append(found)
            production.without(step)
            production.run(step)
    figures(cases=len(steps), wrong=len(wrong))
    assert wrong == [], "\n".join(wrong)


def test_disk_full_in_every_step(production: Production, figures: Note) -> None:
    """No file may grow beyond half of the smallest output of the step; the limit holds for all files of the job."""

    def disturb(step: str) -> str:
        sizes = [(production.whole / path.relative_to(production.cycle)).stat().st_size
                 for path in production.outputs(step)]  # fmt: skip
        least = max(min(sizes) // 2, 1)

        def full() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (least, least))

        return production.complaint(step, production.run(step, full))

    _all(production, disturb, figures)


def test_read_only_folder_in_every_step(production: Production, figures: Note) -> None:
    """As a user without the right to write there; root may everything, so this drops root's rights."""

    def disturb(step: str) -> str:
        folders = {path.parent for path in production.outputs(step)}
        for folder in folders:
            folder.chmod(0o555)
        try:
            ending = production.run(step, drop_rights)
        finally:
            for folder in folders:
                folder.chmod(0o755)
        return production.complaint(step, ending)

    _all(production, disturb, figures)


def drop_rights() -> None:
    """Give up root's right to write everywhere (CAP_DAC_OVERRIDE), where this process has it."""
    if os.geteuid() == 0:
        dac_override, dac_read_search = 1, 2
        libc = ctypes.CDLL(None, use_errno=True)
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # capabilities of this process, in their third form
        data = (ctypes.c_uint32 * 6)()
        libc.capget(header, data)
        mask = ~((1 << dac_override) | (1 << dac_read_search)) & 0xFFFFFFFF
        data[0], data[1] = data[0] & mask, data[1] & mask
        assert libc.capset(header, data) == 0


def test_vanishing_folder_in_every_step(production: Production, figures: Note) -> None:
    """Somebody removes the folder of the outputs while the job writes into it, at once or some milliseconds later."""
    struck: Counter[str] = Counter()

    def disturb(step: str) -> str:
        return next((found for delay in DELAYS if (found := vanishing(step, delay))), "")

    def vanishing(step: str, delay: float) -> str:
        folder = production.outputs(step)[0].parent
        production.without(step)

        def vanish() -> None:
            job = os.getpid()
            if os.fork() == 0:
                while os.getppid() == job and not list(folder.glob(".*-part*")):
                    time.sleep(0.0005)
                time.sleep(delay)
                if os.getppid() == job:  # else it came too late, and would disturb the next one
                    shutil.rmtree(folder, ignore_errors=True)
                os._exit(0)

        ending = production.run(step, vanish)
        production.restore(step)
        if ending.code == 0:  # it came too late, or the job made the folder again
            production.without(step)
            production.run(step)
            return ""
        struck[step] += 1
        return production.complaint(step, ending)

    _all(production, disturb, figures)
    assert set(struck) == set(STEPS), struck


def test_memory_limit_in_every_step(production: Production, figures: Note) -> None:
    """Address space for the libraries and little more; what needs no more must simply work."""
    struck: list[str] = []

    def disturb(step: str) -> str:
        def little() -> None:
            text = Path("/proc/self/statm").read_text(encoding="ascii")
            size = int(text.split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + 2 * MEGABYTE, size + 2 * MEGABYTE))

        ending = production.run(step, little)
        if ending.code == 0:
            return production.changed(step)
        struck.append(step)
        return production.complaint(step, ending, sentence=ending.code > 0)  # compiled code aborts without a word

    _all(production, disturb, figures)
    assert {"tier_raw", "tier_dsp"} <= set(struck), struck


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_dying_workers(production: Production, figures: Note, number: signal.Signals) -> None:
    def disturb(step: str) -> str:
        return production.complaint(step, production.run(step, lambda: _spoil(lambda: _die(number)), threads=2))

    _all(production, disturb, figures, WITH_WORKERS)


def _die(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL) if number is not signal.SIGKILL else None
    os.kill(os.getpid(), number)


def _spoil(act: Callable[[], object]) -> None:
    """Let the work on an item of the job end in `act`."""
    from dataflow.jobs import spread

    guarded = spread._guarded

    def spoiled(function: Callable[[str], object], item: str, timeout: float | None = None) -> object:
        def work(name: str) -> object:
            if name == "V01001A":
                act()
            return function(name)

        return guarded(work, item, timeout)

    spread._guarded = spoiled  # type: ignore[assignment]


def test_hanging_workers_with_a_timeout(production: Production, figures: Note) -> None:
    """A channel that hangs is recorded as failed, and the job goes on; without the disturbance all is made again."""
    settings = {step: {"timeout": 20} for step in WITH_WORKERS}
    before = production.config.read_text()
    content = json.loads(before)
    content["setups"]["l200"]["settings"] = settings
    production.config.write_text(json.dumps(content))

    def disturb(step: str) -> str:
        ending = production.run(step, lambda: _spoil(lambda: time.sleep(1000)), threads=2)
        if ending.code or ending.hung:
            return f"{step}: exit {ending.code}: {ending.said[-800:]}"
        if not production.changed(step):
            return f"{step}: nobody hung"
        production.without(step)
        return production.run(step).said or production.changed(step)

    try:
        _all(production, disturb, figures, WITH_WORKERS)
    finally:
        production.config.write_text(before)
