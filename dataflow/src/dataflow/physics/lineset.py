"""All lines of a spectrum: the strong ones tell the shape of the tail, and the weak ones, which cannot, have it too.

A line that has a tail and is fitted without one has its position too low and its width too large, by up to its error
and, below some hundred counts, without a sign of it. Strong lines are fitted by falling energy, each with what those
before have told of the tail, then the weak ones with what all have told: what is not known of the tail makes the errors
of their positions and widths larger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed

from .linefit import FirstFit, LineFit, NoLine, finished, first_fit, fit_line
from .lines import Line
from .tailshape import Tail, TailShape, own_tail

Floats = NDArray[np.floating[Any]]

PATIENCE = 4.0
"""How far from its place, in keV, the first guess may put a line."""
ANCHOR = 5.0
"""Significance of the line that tells the others where to be looked for."""
CONTRADICTION = 9.0
"""Penalty of what is known of the tail beyond which the events of a strong line contradict it."""


@dataclass
class _SharedTail:
    """What the strong lines have told of the tail, so far."""

    shape: TailShape | None = None

    def at(self, first: FirstFit) -> Tail | None:
        """What is known of the tail of a line."""
        if not first.line.full_energy:
            return None
        if self.shape is None:
            return own_tail(first.sigma) if first.strong else None
        return self.shape.at(first.line.energy)

    def learn(self, first: FirstFit, found: Tail) -> None:
        """Take in what a strong line has told."""
        before = self.shape or TailShape.unknown(first.line.energy, first.sigma)
        self.shape = before.learned(first.line.energy, found)


def fit_lines(energies: Floats, lines: Sequence[Line]) -> tuple[list[LineFit], list[NoLine]]:
    """Fit the lines that stand out; the highest clear one tells the others where to be looked for.

    Parameters
    ----------
    energies
        Energies in keV (a first guess will do), shape (events,).
    lines
        The lines.

    Returns
    -------
    fits
        By energy.
    left_out
        The others, with the reasons.

    Raises
    ------
    WorkFailed
        If no line can be fitted.
    """
    anchor = _anchor(energies, lines)
    stretch = anchor.position / anchor.line.energy - 1 if anchor else 0.0
    firsts = [first_fit(energies, line, shift=stretch * line.energy) for line in lines]
    found: list[LineFit | NoLine] = [first for first in firsts if isinstance(first, NoLine)]
    found += [_placed(fit, stretch) for fit in _with_tails(first for first in firsts if isinstance(first, FirstFit))]
    fits = [fit for fit in found if isinstance(fit, LineFit)]
    left_out = sorted((none for none in found if isinstance(none, NoLine)), key=lambda none: none.line.energy)
    if not fits:
        raise WorkFailed(
            "no line could be fitted: " + "; ".join(f"{n.line.energy:g} keV: {n.reason}" for n in left_out)
        )
    return sorted(fits, key=lambda fit: fit.line.energy), left_out


def _anchor(energies: Floats, lines: Sequence[Line]) -> LineFit | None:
    for line in sorted(lines, key=lambda line: -line.energy):
        fit = fit_line(energies, line)
        near = isinstance(fit, LineFit) and abs(fit.position - line.energy) < PATIENCE
        if isinstance(fit, LineFit) and near and fit.counts > ANCHOR * fit.counts_error:
            return fit
    return None


def _with_tails(firsts: Iterable[FirstFit]) -> list[LineFit | NoLine]:
    """The lines with their errors, strong ones first, by falling energy: there the tail is longest beside the width."""
    tail, found = _SharedTail(), list[LineFit | NoLine]()
    for first in sorted(firsts, key=lambda first: (not first.strong, -first.line.energy)):
        known = tail.at(first)
        fit, own = finished(first, known)
        if first.strong and known is not None and own is not None:
            if tail.shape is not None and known.penalty(own) > CONTRADICTION:
                fit, own = finished(first, own_tail(first.sigma))
            else:
                tail.learn(first, own)
        found.append(fit)
    return found


def _placed(fit: LineFit | NoLine, stretch: float) -> LineFit | NoLine:
    """The fit of a line, if it is where the anchor says that it must be."""
    if isinstance(fit, LineFit) and abs(off := fit.position - fit.line.energy * (1 + stretch)) >= PATIENCE:
        return NoLine(fit.line, f"the peak stands {off:+.1f} keV from its place")
    return fit
