"""All lines of a spectrum: the strong ones tell the shape of the tail, and the weak ones, which cannot, have it too.

A line that has a tail and is fitted without one has its position too low and its width too large, by up to its error
and, below some hundred counts, without a sign of it. Strong lines are fitted by falling energy, each with what those
before have told of the tail, then the weak ones with what all have told: what is not known of the tail makes the errors
of their positions and widths larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed

from .linefit import FirstFit, LineFit, NoLine, finished, first_fit
from .lines import Line
from .peakmodel import TAILED
from .tailshape import Tail, TailShape, own_tail

Floats = NDArray[np.floating[Any]]

PATIENCE = 4.0
"""How far from its place, in keV, the first guess may put a line."""
ANCHOR = 5.0
"""Significance of the line that tells the others where to be looked for."""
CONTRADICTION = 9.0
"""Penalty of what is known of the tail beyond which the events of a strong line contradict it."""


@dataclass(frozen=True)
class _Known:
    """What strong lines have told of the tail."""

    shape: TailShape
    lines: tuple[float, ...]


@dataclass(frozen=True)
class _Done:
    """A line with its errors, and what is known of its tail, where others may have it."""

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
    firsts = [_first(energies, line, stretch, anchor) for line in lines]
    started = [first for first in firsts if isinstance(first, FirstFit)]
    found = [_placed(fit, stretch) for fit in _with_tails(started, anchor)]
    fits = sorted((fit for fit in found if isinstance(fit, LineFit)), key=lambda fit: fit.line.energy)
    none = [none for none in (*firsts, *found) if isinstance(none, NoLine)]
    left_out = sorted(none, key=lambda none: none.line.energy)
    if not fits:
        reasons = "; ".join(f"{none.line.energy:g} keV: {none.reason}" for none in left_out)
        raise WorkFailed(f"no line could be fitted: {reasons}")
    return fits, left_out


def _first(energies: Floats, line: Line, stretch: float, anchor: _Done | None) -> FirstFit | NoLine:
    """A line without tail, looked for where the anchor says that it must be."""
    if anchor is not None and line == anchor.first.line:
        return anchor.first
    return first_fit(energies, line, shift=stretch * line.energy)


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


def _done(first: FirstFit, known: _Known | None) -> _Done:
    """A line with what is known of its tail, be it from strong lines or, in a strong line, without them."""
    key, own = first.line.key, own_tail(first.sigma) if first.strong else None
    if known is None or not first.line.full_energy:
        fit, tail = finished(first, own)
        return _Done(first, _told_by(fit, (key,)), tail)
    shared = known.shape.at(first.line.energy)
    fit, tail = finished(first, shared)
    if own and tail and shared.penalty(tail) > CONTRADICTION:
        return _Done(first, _told_by(finished(first, own)[0], (key,)), None)
    return _Done(first, _told_by(fit, (*known.lines, key) if own else known.lines), tail)


def _told_by(fit: LineFit | NoLine, lines: tuple[float, ...]) -> LineFit | NoLine:
    """The fit with the lines that told its tail, if it has one."""
    return replace(fit, tail_from=lines) if isinstance(fit, LineFit) and fit.function == TAILED else fit


def _learned(known: _Known | None, done: _Done) -> _Known | None:
    """With what a strong line has told."""
    line, told = done.first.line, done.first.strong and isinstance(done.fit, LineFit)
    if not told or done.tail is None:
        return known
    before = known or _Known(TailShape.unknown(line.energy, done.first.sigma), ())
    return _Known(before.shape.learned(line.energy, done.tail), (*before.lines, line.key))


def _with_tails(firsts: Sequence[FirstFit], anchor: _Done | None) -> list[LineFit | NoLine]:
    """The lines with their errors, strong ones first, by falling energy: there the tail is longest beside the width."""
    known: _Known | None = None
    found = list[LineFit | NoLine]()
    for first in sorted(firsts, key=lambda first: (not first.strong, -first.line.energy)):
        alone = known is None and anchor is not None and first is anchor.first
        done = anchor if alone and anchor is not None else _done(first, known)
        known = _learned(known, done)
        found.append(done.fit)
    return found


def _placed(fit: LineFit | NoLine, stretch: float) -> LineFit | NoLine:
    """The fit of a line, if it is where the anchor says that it must be."""
    if isinstance(fit, LineFit) and abs(off := fit.position - fit.line.energy * (1 + stretch)) >= PATIENCE:
        return NoLine(fit.line, f"the peak stands {off:+.1f} keV from its place")
    return fit
