"""Where the panels of a page are: rows and columns with gaps between them, as matplotlib's ``GridSpec`` places them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

Place = tuple[float, float, float, float]
"""Left, bottom, width and height, relative to the page."""
Cells = int | slice


@dataclass(frozen=True)
class Grid:
    """Cells of a part of a page.

    Attributes
    ----------
    rows, columns
        How many there are.
    left, right, bottom, top
        The part of the page, relative to it.
    wspace, hspace
        Gaps between columns and rows, relative to the mean width and height of a cell.
    widths, heights
        Of columns and rows, relative to each other; empty where all are the same.
    """

    rows: int
    columns: int
    left: float
    right: float
    bottom: float
    top: float
    wspace: float = 0.2
    hspace: float = 0.2
    widths: Sequence[float] = ()
    heights: Sequence[float] = ()

    def __getitem__(self, cell: tuple[Cells, Cells]) -> Place:
        """The place of a cell, or of several together (``grid[0, 1:]``); the first row is at the top."""
        row, column = cell
        across = _ends(self.right - self.left, self.columns, self.wspace, self.widths)[_several(column)]
        down = _ends(self.top - self.bottom, self.rows, self.hspace, self.heights)[_several(row)]
        (begin, _), (_, end) = across[0], across[-1]
        (high, _), (_, low) = down[0], down[-1]
        return (self.left + begin, self.top - low, end - begin, low - high)


def within(place: Place, rows: int, *, heights: Sequence[float]) -> Grid:
    """Rows without gaps within a place."""
    left, bottom, width, height = place
    return Grid(rows, 1, left, left + width, bottom, bottom + height, hspace=0.0, heights=heights)


def part(place: Place, of: Place) -> Place:
    """A part of a place, given relative to it."""
    left, bottom, width, height = of
    return (left + place[0] * width, bottom + place[1] * height, place[2] * width, place[3] * height)


def _several(cell: Cells) -> slice:
    return cell if isinstance(cell, slice) else slice(cell, cell + 1)


def _ends(length: float, number: int, space: float, ratios: Sequence[float]) -> list[tuple[float, float]]:
    """Where each of so many cells begins and ends."""
    mean = length / (number + space * (number - 1))
    ratios = ratios or [1.0] * number
    sizes = [ratio * mean * number / sum(ratios) for ratio in ratios]
    ends = [end + index * space * mean for index, end in enumerate(accumulate(sizes))]
    return [(end - size, end) for end, size in zip(ends, sizes, strict=True)]
