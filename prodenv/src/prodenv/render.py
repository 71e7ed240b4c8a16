"""What commands say: tables for people, JSON for scripts; two renderings of the same values."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def print_json(value: object) -> None:
    """One JSON document on the standard output."""
    json.dump(value, sys.stdout, indent=2, default=str, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "", right: str = "") -> None:
    """A table; what the names in `right` (separated by spaces) head is aligned to the right.

    Parameters
    ----------
    columns
        The headings.
    rows
        Texts, or whatever :func:`str` makes one of. They are data: no markup is taken from them.
    title
        A line above it.
    right
        Headings of numbers.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right.split() else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    console().print(table)


def console() -> Any:
    """The terminal; where there is none, lines are as long as they need to be."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 200, highlight=False)


def coloured(text: str, style: str) -> Any:
    """A text in a colour, for a cell of a table."""
    from rich.text import Text

    return Text(text, style=style)


def size_text(size: float) -> str:
    """A number of bytes for reading: ``1.2 GB``."""
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError


def ask(question: str) -> bool:
    """Whether the user says yes. Where nobody can answer, the answer is no."""
    if not sys.stdin.isatty():
        sys.stderr.write(f"{question} nobody is there to answer: no (--yes answers yes)\n")
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
