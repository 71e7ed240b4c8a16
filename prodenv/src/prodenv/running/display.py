"""Progress on the terminal: a bar a step with its rate and what is left; plain lines where there is no terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .planning import duration
from .progress import Count, Progress

if TYPE_CHECKING:
    from rich.progress import TaskID

EVERY = 10.0
"""Seconds between lines where there is no terminal."""


@contextlib.contextmanager
def display(progress: Progress) -> Iterator[Callable[[], None]]:
    """Draw the progress; what is yielded is called when something has changed."""
    if not sys.stderr.isatty():
        with _lines(progress) as draw:
            yield draw
    else:
        with _bars(progress) as draw:
            yield draw


@contextlib.contextmanager
def _lines(progress: Progress) -> Iterator[Callable[[], None]]:
    told = {"time": 0.0}
    finished: set[str] = set()

    def draw() -> None:
        now = time.monotonic()
        for line in _news(progress):
            sys.stderr.write(f"  {line}\n")
        for step, count in progress.steps.items():
            if count.total and count.done + count.failed >= count.total and step not in finished:
                finished.add(step)
                sys.stderr.write(f"  {_mark(count)} {title(step)}: {summary(count)}\n")
        if progress.steps and now - told["time"] > EVERY:
            running = [f"{title(step)} {count.done}/{count.total}" for step, count in _active(progress)]
            if told["time"] and running:
                sys.stderr.write(f"    {', '.join(running)}; {overall(progress)}\n")
            told["time"] = now
        sys.stderr.flush()

    yield draw
    draw()


@contextlib.contextmanager
def _bars(progress: Progress) -> Iterator[Callable[[], None]]:
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    class WithLine(Bars):
        """Bars with a line on all jobs below, which as one of their columns would take the room of the others."""

        def get_renderables(self) -> Iterator[RenderableType]:
            yield from super().get_renderables()
            yield Text(_line(progress), no_wrap=True, overflow="ellipsis")

    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    tasks: dict[str, TaskID] = {}
    with WithLine(*columns, console=Console(stderr=True)) as bars:
        planning = bars.add_task("planning", total=None, rate="")

        def draw() -> None:
            for line in _news(progress):
                bars.console.print(Text(f"  {line}"))
            if progress.steps:
                bars.update(planning, visible=False)
            for step, count in progress.steps.items():
                if step not in tasks:
                    tasks[step] = bars.add_task(title(step), total=count.total or None, rate="", start=False)
                task = tasks[step]
                if count.began and not bars.tasks[task].started:
                    bars.start_task(task)
                bars.update(task, completed=count.done, rate=rate(count))

        yield draw
        draw()
        bars.update(planning, visible=False)


def _news(progress: Progress) -> Iterator[str]:
    """What has not been told yet."""
    while progress.news:
        yield progress.news.popleft()


def _line(progress: Progress) -> str:
    """The line on all jobs, empty before there are any and when all have ended."""
    goes_on = 0 < progress.total > progress.done + progress.failed
    return f"  {overall(progress)}" if goes_on else ""


def _active(progress: Progress) -> list[tuple[str, Count]]:
    return [(step, count) for step, count in progress.steps.items() if count.running]


def overall(progress: Progress) -> str:
    """How far all is, what is left, and what runs now: ``12 of 40 jobs, 3 min left, now tier_dsp l200-…``."""
    left = progress.remaining()
    time_left = f", {duration(left)} left" if left else ""
    now = progress.now()
    more = f" and {len(now) - 1} more" if len(now) > 1 else ""
    running = f", now {now[0]}{more}" if now and not progress.queue else ""
    queue = f", queue: {progress.queue}" if progress.queue else ""
    return f"{progress.done} of {progress.total} jobs{time_left}{running}{queue}"


def _mark(count: Count) -> str:
    return "✗" if count.failed else "✓"


def title(step: str) -> str:
    """A step in words: ``tier dsp``, ``par hit ecal``."""
    return step.replace("_", " ")


def summary(count: Count) -> str:
    """The end of a step in a few words."""
    failed = f", {count.failed} failed" if count.failed else ""
    seconds = count.ended - count.began if count.ended > count.began > 0 else 0.0
    return f"{count.done} of {count.total}{failed} ({seconds:.1f} s)"


def rate(count: Count) -> str:
    """How fast a step goes, and what failed of it."""
    if count.failed:
        return f"{count.failed} failed"
    seconds = (count.ended or time.monotonic()) - count.began
    if not count.done or not count.began or seconds <= 0:
        return ""
    per_second = count.done / seconds
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{per_second * 60:.1f}/min"
