"""What commands say: tables for people, JSON for scripts; two renderings of the same values."""

from __future__ import annotations

import errno
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from shutil import get_terminal_size
from typing import Any, Literal

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_BETWEEN = 3
"""Characters between columns."""
_NARROWEST, _WIDE = 20, 200
"""Characters that a terminal is taken to have at least, and where there is none."""
_LONGEST_WORD = 36
"""A key and a comma; longer words, such as paths, are folded where there is no room."""


def print_json(value: object) -> None:
    """One JSON document on the standard output; numbers that JSON does not have become texts."""
    json.dump(_finite(value), sys.stdout, indent=2, default=str, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "", right: str = "", numbers: bool = False
) -> None:
    """A table; what the names in `right` (separated by spaces) head is aligned to the right.

    Where the terminal is too narrow for all columns, the table comes in parts, one below the other, that begin with the
    same first column.

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
    numbers
        Whether all columns but the first are numbers, whose headings may be wrapped.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    terminal = console()
    lines = [[cell if isinstance(cell, Text) else Text(str(cell)) for cell in row] for row in rows]
    whole = [name in right.split() for name in columns]
    aligned = [each or (numbers and number > 0) for number, each in enumerate(whole)]
    if title:
        terminal.print(Text(title, style="italic"))
    for widths in _parts(columns, lines, whole, terminal.width):
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for number, width in widths.items():
            justify: Literal["left", "right"] = "right" if aligned[number] else "left"
            table.add_column(Text(columns[number]), justify=justify, overflow="fold", width=width)
        for line in lines:
            table.add_row(*(line[number] for number in widths))
        terminal.print(table)


def _parts(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], whole: Sequence[bool], width: int
) -> Iterator[dict[int, int]]:
    """The columns of each part of a table, by number, with their widths.

    The first column is not wrapped unless it takes more than two thirds of the terminal, nor are those that are whole;
    the others are wrapped between words.
    """
    texts = [[name, *(row[number].plain for row in rows)] for number, name in enumerate(columns)]
    wish = [max(len(line) for text in column for line in text.splitlines() or [""]) for column in texts]
    words = [max(len(word) for text in column for word in ("", *text.split())) for column in texts]
    first = min(wish[0], width * 2 // 3)
    most = max(width - first - 2 * _BETWEEN, 1)
    shortest = [wish[number] if whole[number] else min(words[number], _LONGEST_WORD) for number in range(len(columns))]
    need = [first, *(min(each, most) for each in shortest[1:])]
    part = [0]
    for number in range(1, len(columns)):
        if len(part) > 1 and _room(need, [*part, number], width) < 0:
            yield _widths(need, wish, part, width)
            part = [0]
        part.append(number)
    yield _widths(need, wish, part, width)


def _room(need: Sequence[int], part: Sequence[int], width: int) -> int:
    """How many characters some columns leave free."""
    return width - sum(need[number] for number in part) - _BETWEEN * len(part)


def _widths(need: Sequence[int], wish: Sequence[int], part: Sequence[int], width: int) -> dict[int, int]:
    """What is free goes to the narrowest columns that are not as wide as they would be."""
    found = {number: need[number] for number in part}
    for _ in range(_room(need, part, width)):
        narrow = [number for number in part if found[number] < wish[number]]
        if narrow:
            found[min(narrow, key=found.__getitem__)] += 1
    return found


def console() -> Any:
    """The terminal, or one as wide as ``COLUMNS``; where there is neither, lines are long."""
    from rich.console import Console

    class Terminal(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    width, height = get_terminal_size(fallback=(_WIDE, 25))
    return Terminal(width=max(width, _NARROWEST), height=height, highlight=False)


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
        sys.stderr.write(f"{question} nobody can answer here, so the answer is no (--yes answers yes)\n")
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
