"""All goals of speed in one run: each benchmark that has one, as a table, a figure and JSON in one folder.

    python benchmarks/goals.py [--only production tiers …] [--whole] [--folder build/bench]

The programs are those of this folder, one after the other, so nothing else should run on the machine; together they
take more than an hour on two cores. Each compares results of both sides and fails where they differ. What they print is
kept in the folder beside their numbers, ``goals.json`` has all of them with what is known of the machine, and
``goals.png`` and ``goals.pdf`` show how far each is from its goal. Ends with 1 if a program failed or a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
TIMES, SECONDS, MEGABYTES, SHARE = "times", "s", "MB", "of 1"
PROGRAMS: Mapping[str, Sequence[str]] = {
    "production": (),
    "dsp_chain": (),
    "raw_decode": ("--repeat", "5"),
    "tiers": ("--events", "20000"),
    "figures": (),
    "run_start": ("--calls", "2"),
    "status_scale": ("--files", "19500"),
    "job_start": ("--files", "1000", "--runs", "10"),
    "scaling": ("--cores", "--scale", "24"),
    "installation": (),
}
"""The programs, and what they are told."""
WHOLE: Mapping[str, Sequence[str]] = {"tiers": (), "scaling": ("--cores", "--scale", "24", "--rounds", "5")}
"""What some are told instead for longer measurements."""


@dataclass(frozen=True)
class Result:
    """A measured quantity that has a goal.

    Attributes
    ----------
    goal
        Number of the goal: 1 production, 2 signal processing, 3 single tiers, 4 calibrations, 5 planning, 6 start of
        jobs, 7 scaling, 8 installation.
    what
        What was measured.
    value
        What was found.
    limit
        What it is to be: at least, where the unit is :data:`TIMES`, at most else.
    unit
        Of both.
    ours, theirs
        Seconds of both sides, where two are compared.
    """

    goal: int
    what: str
    value: float
    limit: float
    unit: str = TIMES
    ours: float | None = None
    theirs: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached."""
        return self.margin >= 1.0

    @property
    def margin(self) -> float:
        """How many times better than the goal it is."""
        return self.value / self.limit if self.unit == TIMES else self.limit / self.value


def ratio(goal: int, what: str, ours: float, theirs: float, limit: float) -> Result:
    """How many times the seconds of ours the other side takes."""
    return Result(goal, what, theirs / ours, limit, TIMES, ours, theirs)


def add_option(parser: argparse.ArgumentParser) -> None:
    """Let a benchmark be told where its numbers are wanted; it writes them only where results are equal."""
    parser.add_argument("--json", type=Path, help="where numbers are written")


def save(file: Path | None, results: Iterable[Result], **more: Any) -> None:
    """Write results, and what else a benchmark knows, where a file was asked for."""
    if file:
        content = {"results": [asdict(each) for each in results], **more}
        file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Run the benchmarks, show what they found; returns 1 if one failed or a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PROGRAMS, default=list(PROGRAMS), help="some of the programs")
    parser.add_argument("--whole", action="store_true", help="longer measurements, two hours")
    parser.add_argument("--folder", type=Path, default=HERE.parent / "build/bench", help="where results are written")
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    told = {**PROGRAMS, **(WHOLE if options.whole else {})}
    failed = [name for name in options.only if not succeeds(name, told[name], folder)]
    found = collected(options.only, folder)
    content = {"machine": machine(), "failed": failed, "results": [asdict(each) for each in found]}
    (folder / "goals.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    Console().print(table(found))
    if found:
        draw(found, folder)
    print(f"{folder}: goals.json, goals.png, goals.pdf, and by program NAME.txt, NAME.json")
    for name in failed:
        print(f"{name} failed: the end of {folder / name}.txt says why", file=sys.stderr)
    return int(bool(failed) or not all(each.is_met for each in found))


def succeeds(name: str, words: Sequence[str], folder: Path) -> bool:
    """Run a program; whether it has measured.

    It may end with 1 because a goal is missed. Where results of both sides differ it writes no numbers.
    """
    numbers, begin = folder / f"{name}.json", time.monotonic()
    numbers.unlink(missing_ok=True)
    print(f"{name} {' '.join(words)} …", flush=True)
    with (folder / f"{name}.txt").open("w", encoding="utf-8") as said:
        command = [sys.executable, str(HERE / f"{name}.py"), *words, "--json", str(numbers)]
        code = subprocess.run(command, stdout=said, stderr=subprocess.STDOUT, check=False).returncode
    print(f"    {time.monotonic() - begin:.0f} s, exit code {code}", flush=True)
    if not numbers.is_file():
        return False
    return code == 0 or any(not each.is_met for each in collected([name], folder))


def collected(names: Iterable[str], folder: Path) -> list[Result]:
    """What programs have found."""
    files = [folder / f"{name}.json" for name in names]
    contents = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.is_file()]
    found = [Result(**each) for content in contents for each in content["results"]]
    return sorted(found, key=lambda each: each.goal)


def table(found: Sequence[Result]) -> Table:
    """A line for each."""
    made = Table("goal", "what", "ours", "other side", "found", "wanted", "", title="Goals of speed")
    for each in found:
        sides = [f"{seconds:.3g} s" if seconds is not None else "" for seconds in (each.ours, each.theirs)]
        made.add_row(str(each.goal), each.what, *sides, shown(each.value, each), wanted(each), verdict(each))
    return made


def wanted(each: Result) -> str:
    """The goal in words."""
    return f"{'≥' if each.unit == TIMES else '≤'} {shown(each.limit, each)}"


def shown(value: float, each: Result) -> str:
    """A value with its unit."""
    return f"{value:.0%}" if each.unit == SHARE else f"{value:.3g} {each.unit}"


def verdict(each: Result) -> str:
    """Whether it is met, in colour."""
    return "[green]met[/green]" if each.is_met else "[red]missed[/red]"


def draw(found: Sequence[Result], folder: Path) -> None:
    """A bar for each: how many times better than the goal."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 1.2 + 0.32 * len(found)), layout="constrained")
    axes = figure.add_subplot()
    rows = range(len(found))
    colours = ["tab:green" if each.is_met else "tab:red" for each in found]
    axes.barh(rows, [each.margin - 1 for each in found], left=1, color=colours, height=0.7)
    axes.set_yticks(rows, [f"{each.goal}  {each.what}" for each in found], fontsize=8)
    for row, each in zip(rows, found, strict=True):
        text = f"{shown(each.value, each)} ({wanted(each)})"
        axes.annotate(text, (max(each.margin, 1.0), row), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.axvline(1, color="black", lw=1)
    axes.set_xscale("log")
    least, most = min(each.margin for each in found), max(each.margin for each in found)
    axes.set_xlim(min(0.7, 0.9 * least), 2.5 * max(most, 1.5))
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.invert_yaxis()
    axes.set_xlabel("times better than the goal")
    for ending in ("png", "pdf"):
        figure.savefig(folder / f"goals.{ending}", dpi=120)


def machine() -> dict[str, Any]:
    """What is known of the machine and of the code."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if sys.platform == "linux" else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    asked = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "processor": model or platform.processor(),
        "cores": os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count(),
        "python": platform.python_version(),
        "commit": commit,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


if __name__ == "__main__":
    sys.exit(main())
