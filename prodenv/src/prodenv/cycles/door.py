"""The programs that answer for flows, each of which stays for some seconds: it takes longer to start than to answer.

Each answer comes from a child of the program that has read no file before the question, and a program that has waited
for longer is left: what a flow says, and its sources, may change between two questions.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

SEVERAL = Path("dataflow/door/several.py")
"""What a flow has below its sources whose program takes several questions."""
IDLE = 5.0
"""Seconds after which a program is not asked again."""
MOST = 4
"""Programs at a time."""


@dataclass
class _Program:
    running: subprocess.Popen[str]
    questions: IO[str]
    answers: IO[str]
    place: Path
    environ: dict[str, str]
    asked: float

    def fits(self, environ: Mapping[str, str]) -> bool:
        """Whether one that is started now would answer as this one does."""
        fresh = time.monotonic() - self.asked < IDLE and self.running.poll() is None
        return fresh and (self.place, self.environ) == (Path.cwd(), environ)

    def end(self) -> int:
        """End it, if it has not ended; its exit code."""
        with suppress(BrokenPipeError):  # by a question that it did not read
            self.questions.close()
        self.answers.close()
        return self.running.wait()


_programs: dict[Path, _Program] = {}


def answer(source: Path, verb: str, question: Mapping[str, Any], environ: dict[str, str]) -> tuple[str, int]:
    """What the program of a flow writes, and its exit code; empty if it ended without an answer.

    Parameters
    ----------
    source
        The folder of the flow's sources.
    verb, question
        What is asked.
    environ
        The variables that the program has.

    Raises
    ------
    OSError
        If the program cannot be started.
    """
    words = [sys.executable, "-P", "-m", "dataflow.plan"]
    if not (source / SEVERAL).is_file():
        words += [verb, "--json", "--with", "-"]
        asked = json.dumps(question)
        done = subprocess.run(words, env=environ, input=asked, stdout=subprocess.PIPE, text=True, check=False)
        return done.stdout, done.returncode
    program = _program(source, [*words, "--several"], environ)
    try:
        program.questions.write(json.dumps({"verb": verb, "question": question}) + "\n")
        program.questions.flush()
        line = program.answers.readline()
    except BrokenPipeError:
        line = ""
    program.asked = time.monotonic()
    return (line, 0) if line else ("", _programs.pop(source).end())


def _program(source: Path, words: list[str], environ: dict[str, str]) -> _Program:
    found = _programs.get(source)
    if found and found.fits(environ):
        return found
    if found:
        _programs.pop(source).end()
    if len(_programs) >= MOST:
        close()
    pipe = subprocess.PIPE
    running = subprocess.Popen(words, env=environ, stdin=pipe, stdout=pipe, text=True)
    pipes = cast("IO[str]", running.stdin), cast("IO[str]", running.stdout)
    _programs[source] = _Program(running, *pipes, Path.cwd(), environ, time.monotonic())
    return _programs[source]


@atexit.register
def close() -> None:
    """End all programs."""
    while _programs:
        _programs.popitem()[1].end()
