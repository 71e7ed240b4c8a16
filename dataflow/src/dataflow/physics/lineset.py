"""All lines of a spectrum: the strong ones tell the shape of the tail, and the weak ones, which cannot, have it too.

A line that has a tail and is fitted without one has its position too low and its width too large, by up to its error
and, below some hundred counts, without a sign of it. Strong lines are fitted by falling energy, each with what those
before have told of the tail, then the weak ones with what all have told: what is not known of the tail makes the errors
of their positions and widths larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed

from .linefit import FirstFit, LineFit, NoLine, finished, first_fit
from .lines import Line
from .tailshape import Tail, TailShape, own_tail

Floats = NDArray[np.floating[Any]]

PATIENCE = 4.0
"""How far from its place, in keV, the first guess may put a line."""
ANCHOR = 5.0
"""Significance of the line that tells the others where to be looked for."""
CONTRADICTION = 9.0
"""Penalty of what is known of the tail beyond which the events of a strong line contradict it."""


@dataclass(frozen=True)
class _Done:
    """A line with its errors, and what is known of its tail."""

    first: FirstFit
    fit: LineFit | NoLine
    tail: Tail | None


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
    stretch = anchor.fit.position / anchor.first.line.energy - 1 if anchor and isinstance(anchor.fit, LineFit) else 0.0
    firsts = [
        anchor.first if anchor and line == anchor.first.line else first_fit(energies, line, shift=stretch * line.energy)
        for line in lines
    ]
    found: list[LineFit | NoLine] = [first for first in firsts if isinstance(first, NoLine)]
    started = [first for first in firsts if isinstance(first, FirstFit)]
    found += [_placed(fit, stretch) for fit in _with_tails(started, anchor)]
    fits = [fit for fit in found if isinstance(fit, LineFit)]
    left_out = sorted((none for none in found if isinstance(none, NoLine)), key=lambda none: none.line.energy)
    if not fits:
        raise WorkFailed(
            "no line could be fitted: " + "; ".join(f"{n.line.energy:g} keV: {n.reason}" for n in left_out)
        )
    return sorted(fits, key=lambda fit: fit.line.energy), left_out


def _anchor(energies: Floats, lines: Sequence[Line]) -> _Done | None:
    for line in sorted(lines, key=lambda line: -line.energy):
        first = first_fit(energies, line)
        if isinstance(first, NoLine):
            continue
        done = _done(first, None)
        near = isinstance(done.fit, LineFit) and abs(done.fit.position - line.energy) < PATIENCE
        if isinstance(done.fit, LineFit) and near and done.fit.counts > ANCHOR * done.fit.counts_error:
            return done
    return None


def _done(first: FirstFit, shape: TailShape | None) -> _Done:
    """A line with what is known of the tail, be it from strong lines or, in a strong line, without them."""
    own = own_tail(first.sigma) if first.strong else None
    known = shape.at(first.line.energy) if shape is not None and first.line.full_energy else own
    fit, tail = finished(first, known)
    if own and known and tail and known is not own and known.penalty(tail) > CONTRADICTION:
        return _Done(first, finished(first, own)[0], None)
    return _Done(first, fit, tail)


def _with_tails(firsts: Sequence[FirstFit], anchor: _Done | None) -> list[LineFit | NoLine]:
    """The lines with their errors, strong ones first, by falling energy: there the tail is longest beside the width."""
    shape: TailShape | None = None
    found = list[LineFit | NoLine]()
    for first in sorted(firsts, key=lambda first: (not first.strong, -first.line.energy)):
        is_anchor = shape is None and anchor is not None and first is anchor.first
        done = anchor if is_anchor and anchor is not None else _done(first, shape)
        if first.strong and done.tail is not None:
            before = shape or TailShape.unknown(first.line.energy, first.sigma)
            shape = before.learned(first.line.energy, done.tail)
        found.append(done.fit)
    return found


def _placed(fit: LineFit | NoLine, stretch: float) -> LineFit | NoLine:
    """The fit of a line, if it is where the anchor says that it must be."""
    if isinstance(fit, LineFit) and abs(off := fit.position - fit.line.energy * (1 + stretch)) >= PATIENCE:
        return NoLine(fit.line, f"the peak stands {off:+.1f} keV from its place")
    return fit
