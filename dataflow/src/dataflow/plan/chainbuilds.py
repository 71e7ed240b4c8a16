"""Processing chains of the metadata, built once before anything runs: dspeed itself says whether it can build them.

What the sources of the cycle's software do not tell (numbers of arguments, types, variables that no processor makes)
dspeed does, when it builds a chain. So each chain that the metadata changes is built by the cycle's own software, in a
process of its own, which takes seconds, most of them beside the rest of the plan. That it can be built is written down
when jobs are started, never by a plan, and it is not built again. Where the software is not installed, or does not
answer, the jobs will tell.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataflow.base.errors import UserError
from dataflow.provenance.recipe import digest
from dataflow.setup.config import Setup
from dataflow.setup.execenv import own_python, wrap

FOLDER = "chains"
PROGRAM = "dataflow.physics.trychains"
SECONDS = 180
"""How long an answer may take."""


@dataclass(frozen=True)
class Build:
    """A chain to be built.

    Attributes
    ----------
    chain
        As it is merged.
    columns
        Names that it uses and that raw tables may have.
    form
        The form of traces in the raw tables, ``whole`` or ``windowed``; empty if it is not known.
    error
        Makes the error about an entry of it.
    """

    chain: Mapping[str, Any]
    columns: tuple[str, ...]
    form: str
    error: Callable[..., UserError]


class ChainBuilds:
    """The chains of a cycle that are to be built.

    Parameters
    ----------
    setup
        The configuration of the cycle.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._new: dict[str, Build] = {}
        self._good: set[str] = set()
        self._begins_at_once = False
        self._process: subprocess.Popen[str] | None = None

    def add(self, build: Build, made_of: Mapping[str, object]) -> None:
        """Take a chain up, with the code and the packages that it is run by, unless it is known to be good."""
        name = digest({"chain": build.chain, "form": build.form, "made of": made_of})
        if name not in self._good and not (self._folder / name).exists():
            self._new.setdefault(name, build)
            if self._begins_at_once and self._process is None:
                self._process = self._begun()

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Let the process that builds begin with the first chain that is taken up: it imports while others are planned.

        It is gone at the end.
        """
        self._begins_at_once = True
        try:
            yield
        finally:
            self._begins_at_once = False
            self._end()

    def check(self) -> None:
        """Build all that were taken up.

        Raises
        ------
        UserError
            If one cannot be built; with file and line.
        """
        waiting, self._new = self._new, {}
        answers = self._answers(list(waiting.values())) if waiting else []
        for build, answer in zip(waiting.values(), answers, strict=False):
            if answer:
                raise build.error(answer["message"], *answer["names"], hint=answer["hint"])
        if len(answers) == len(waiting):
            self._good.update(waiting)

    def remember(self) -> None:
        """Write down which chains can be built."""
        for name in sorted(self._good):
            with suppress(OSError):  # then they are built again the next time
                self._folder.mkdir(parents=True, exist_ok=True)
                (self._folder / name).touch()

    @property
    def _folder(self) -> Path:
        return self._setup.path("tmp") / FOLDER

    def _answers(self, builds: list[Build]) -> list[Any]:
        """What the cycle's software says of chains, one by one; nothing if it does not answer."""
        self._process = self._process or self._begun()
        if self._process is None:
            return []
        asked = json.dumps([(build.chain, build.columns, build.form) for build in builds], default=str)
        try:
            said, _ = self._process.communicate(asked, timeout=SECONDS)
            return list(json.loads(said.splitlines()[-1])) if self._process.returncode == 0 else []
        except (OSError, subprocess.SubprocessError, ValueError, IndexError):
            return []
        finally:
            self._end()

    def _begun(self) -> subprocess.Popen[str] | None:
        """The process that builds, waiting for chains; None where the software is not installed."""
        if not (self._setup.path("install") / "bin" / "python").exists():
            return None
        words, environ = wrap(self._setup, [*own_python(self._setup), "-m", PROGRAM], os.environ)
        pipe = subprocess.PIPE
        try:
            return subprocess.Popen(
                words,
                stdin=pipe,
                stdout=pipe,
                stderr=subprocess.DEVNULL,
                env=environ,
                cwd=self._setup.directory,
                text=True,
            )
        except OSError:
            return None

    def _end(self) -> None:
        """End the process, wherever it is."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.kill()
        with suppress(OSError), process:  # what was not written yet has nobody to read it
            pass
