"""Calls that are done together: what lies between them is then made only where it is needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from dataflow.physics import traces

from . import current, recursive
from .call import READ, Block, Call, Step, Unsuitable
from .table import FORMS, OWN_FORMS, Form, decay, form_of, is_processor, two_tails, what_is_below, whole
from .vectors import SIDE


def windows_of_currents(chain: Any) -> list[tuple[Any, Any]]:
    """Calls that make the current of whole traces, where all that is needed of it is a window, with those that take it.

    Parameters
    ----------
    chain
        As dspeed has made it.
    """
    takers = list(_calls(chain, "windower"))
    pairs = [(source, user) for source in _calls(chain, "avg_current") for user in takers if _is_all(source, user)]
    return [pair for pair in pairs if not _is_needed(*pair, chain) and _can_be_one(*pair, chain)]


def window_of_current(source: Any, user: Any, block: Block) -> Sequence[Step]:
    """What is to be done for both calls.

    Raises
    ------
    Unsuitable
        If there is no compiled form for them.
    """
    made, taken = Call(source, block), Call(user, block)
    wave, lag, out = made.wave(0), whole(made.number(1), 1), taken.target(2)
    if made.wave(2).length != wave.length - lag:
        raise Unsuitable("the current has another length")
    bad, begin = made.marks(wave), taken.column(1)
    last = partial(current.window_of_differences, *wave.read, bad, lag, begin, out.flat, out.length)
    return [*made.before, *taken.before, last]


def is_pole_zero_between(row: Sequence[Any]) -> bool:
    """Whether calls in a row correct traces for tails, with a subtraction before or after."""
    kinds = [_kind(each) for each in row]
    return kinds in (["above", "poles"], ["poles", "level"], ["above", "poles", "level"])


KINDS: Mapping[Form | None, str] = {
    OWN_FORMS[traces.above_tail]: "above",
    FORMS["pole_zero"]: "poles",
    FORMS["double_pole_zero"]: "poles",
    FORMS["bl_subtract"]: "level",
}
"""By compiled forms, what they are in such a row."""


def _kind(call: Any) -> str:
    return KINDS.get(form_of(call.processor), "")


def pole_zero_between(row: Sequence[Any], block: Block) -> Sequence[Step]:
    """What is to be done for such a row: one pass, which makes nothing of what lies between.

    Raises
    ------
    Unsuitable
        If there is no compiled form for them.
    """
    calls = {_kind(each): Call(each, block) for each in row}
    first, poles, last = calls[_kind(row[0])], calls["poles"], calls[_kind(row[-1])]
    wave, nothing = first.wave(0, READ), np.zeros(block.width, np.float32)
    before = what_is_below(first, wave.length) if "above" in calls else (nothing, nothing, np.empty(0))
    after = last.column(1) if "level" in calls else nothing
    is_double = FORMS["double_pole_zero"] in map(form_of, (each.processor for each in row))
    how: Any = two_tails(poles) if is_double else decay(poles, 1)
    loop = recursive.double_pole_zero if is_double else recursive.pole_zero
    out = last.target(2 if "level" in calls or not is_double else 4)
    if out.length != wave.length:
        raise Unsuitable("its result has another length")
    block.space.reserve(single=recursive.BLOCK * SIDE)
    none, marks = np.zeros(block.width, np.bool_), np.zeros(block.width, np.bool_)
    last.same_marks(out, marks)

    def step() -> None:
        loop(*wave.read, none, how, before, after, out.flat, block.space.single)
        recursive.mark_ends(out.flat, out.length, marks)

    return [*(step for call in calls.values() for step in call.before), step]


def _can_be_one(source: Any, user: Any, chain: Any) -> bool:
    try:
        window_of_current(source, user, Block(chain._block_width))
    except Unsuitable:
        return False
    return True


def _is_all(source: Any, user: Any) -> bool:
    """Whether a call takes just what another makes."""
    made, taken = source.args[2], user.args[0]
    return isinstance(taken, np.ndarray) and taken.shape == made.shape and _overlap(made, taken)


def _calls(chain: Any, name: str) -> Iterator[Any]:
    return (each for each in chain._proc_managers if is_processor(each.processor, name))


def _is_needed(source: Any, user: Any, chain: Any) -> bool:
    """Whether somebody else needs what a call makes."""
    others = (arg for each in chain._proc_managers if each not in (source, user) for arg in each.args)
    written = (_written(each) for each in chain._output_managers.values())
    return any(_overlap(source.args[2], arg) for arg in _arrays([*others, *written]))


def _written(output: Any) -> Any:
    return getattr(getattr(output, "val_ioman", output), "raw_var", None)


def _arrays(found: Iterable[Any]) -> Iterator[Any]:
    return (each for each in found if isinstance(each, np.ndarray))


def _overlap(one: Any, other: Any) -> bool:
    return bool(np.may_share_memory(one, other))
