"""Saying what is being done, with the seconds it takes; for people and for log files alike."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

_BEGIN_OF_LINE = "\r\033[K"
"""Back to the beginning of the terminal's line, and the line empty."""


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """One line per step: what is done on a terminal while it lasts, and how long it took when it is done."""
    begin = time.monotonic()
    mark = "✗"
    try:
        with _clock(text, begin):
            yield
        mark = "✓"
    finally:
        line = f"  {mark} {text} ({time.monotonic() - begin:.1f} s)\n"
        sys.stderr.write((_BEGIN_OF_LINE if sys.stderr.isatty() else "") + line)
        sys.stderr.flush()


@contextlib.contextmanager
def _clock(text: str, begin: float) -> Iterator[None]:
    """The seconds ticking on a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    over = threading.Event()

    def tick() -> None:
        while True:
            sys.stderr.write(f"{_BEGIN_OF_LINE}  … {text} ({time.monotonic() - begin:.0f} s)")
            sys.stderr.flush()
            if over.wait(1.0):
                return

    ticking = threading.Thread(target=tick, daemon=True)
    ticking.start()
    try:
        yield
    finally:
        over.set()
        ticking.join()
