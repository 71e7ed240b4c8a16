"""Starting other programs: argument lists only, and what they said is in the error when they fail."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import WorkFailed

_MOST_LINES = 15


def call(
    argv: Sequence[str | Path],
    *,
    what: str,
    hint: str = "",
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and return what it wrote to its standard output.

    Parameters
    ----------
    what
        What is being done, for the sentence ``{what} failed``.

    Raises
    ------
    WorkFailed
        If the program cannot be started or ends with anything but 0; the message has the end of its output.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(words, cwd=cwd, env=environ, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise WorkFailed(f"{what} failed: cannot run {words[0]}: {error.strerror}", hint=hint) from None
    if done.returncode:
        raise WorkFailed(f"{what} failed{_said(done)}", hint=hint)
    return done.stdout


def _said(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    reason = f" (signal {-done.returncode})" if done.returncode < 0 else f" (exit code {done.returncode})"
    return reason + "".join(f"\n  {line}" for line in lines[-_MOST_LINES:])
