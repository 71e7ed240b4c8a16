"""Saying what is being done, with the seconds it takes; for people and for log files alike."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """One line per step: what is done on a terminal while it lasts, and how long it took when it is done."""
    begin = time.monotonic()
    live = sys.stderr.isatty()
    if live:
        sys.stderr.write(f"  … {text}")
        sys.stderr.flush()
    try:
        yield
    except BaseException:
        sys.stderr.write(("\r" if live else "") + f"  ✗ {text}\n")
        raise
    sys.stderr.write(("\r" if live else "") + f"  ✓ {text} ({time.monotonic() - begin:.1f} s)\n")
    sys.stderr.flush()
