"""Calls in a row are done for a few traces at a time where nothing else needs what lies between them.

What lies between them then stays in the nearest cache and is never written to memory, which takes as long as the
arithmetic of a pole-zero correction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .call import Block, Call, Step, Unsuitable, address
from .fusing import is_pole_zero_between, pole_zero_between
from .table import form_of, name_of

MADE: Mapping[str, int] = {
    "above_tail": 6,
    "bl_subtract": 2,
    "double_pole_zero": 4,
    "fft_convolve_wf": 3,
    "moving_window_multi": 4,
    "pole_zero": 2,
    "trap_norm": 3,
    "upsampler": 2,
}
"""Processors that make traces from traces, their first argument: which argument it is that they make."""
TILE = 8
"""Traces that are done at a time."""
LONG = 1000
"""Samples from which on it is worth while."""


def rows_of_calls(chain: Any) -> list[list[Any]]:
    """Calls each of which makes what the next one alone needs, the last of which is needed by others.

    Parameters
    ----------
    chain
        As dspeed has made it.
    """
    following = {id(maker): user for maker in chain._proc_managers if (user := _only_user(maker, chain)) is not None}
    followers = {id(user) for user in following.values()}
    found = []
    for manager in chain._proc_managers:
        if id(manager) in following and id(manager) not in followers:
            row = [manager]
            while id(row[-1]) in following:
                row.append(following[id(row[-1])])
            found.append(row)
    return [row for row in found if _can_be_done(row, chain)]


def steps_in_tiles(row: Sequence[Any], block: Block) -> list[Step]:
    """What is to be done for calls in a row.

    Raises
    ------
    Unsuitable
        If there is no compiled form for one of them.
    """
    if is_pole_zero_between(row):
        return list(pole_zero_between(row, block))
    return _of_tiles(row, block, range(0, block.width, TILE))


def _of_tiles(row: Sequence[Any], block: Block, firsts: Iterable[int]) -> list[Step]:
    """Of those tiles that begin with certain traces."""
    if block.width % TILE:
        raise Unsuitable(f"blocks of {block.width} traces cannot be divided by {TILE}")
    between = [np.empty((TILE, _made(each).shape[1]), np.float32) for each in row[:-1]]
    steps: list[Step] = []
    for first in firsts:
        tile = Block(TILE, block.space)
        for number, manager in enumerate(row):
            args = [_part(arg, block.width, first) for arg in manager.args]
            if number > 0:
                args[0] = _same_part(between[number - 1], _made(row[number - 1]), manager.args[0])
            if number < len(between):
                args[MADE[name_of(manager.processor)]] = between[number]
            steps += _steps(manager, args, tile)
    return steps


def _steps(manager: Any, args: list[Any], tile: Block) -> list[Step]:
    form = form_of(manager.processor)
    if form is None:
        raise Unsuitable("there is no compiled form")
    call = Call(SimpleNamespace(args=args, types=manager.types, kwargs=manager.kwargs), tile)
    last = form(call)
    return [*call.before, last]


def _part(arg: Any, width: int, first: int) -> Any:
    if isinstance(arg, np.ndarray) and arg.ndim and arg.shape[0] == width:
        return arg[first : first + TILE]
    return arg


def _same_part(tile: NDArray[Any], made: NDArray[Any], taken: NDArray[Any]) -> NDArray[Any]:
    """The part of traces that a call takes, of those in a tile."""
    begin = (address(taken) - address(made)) // made.itemsize
    return tile[:, begin : begin + taken.shape[1]]


def _only_user(maker: Any, chain: Any) -> Any:
    """The call that alone needs what a call makes, None if it makes no long traces or several need it."""
    if not _makes_traces(maker):
        return None
    made = _made(maker)
    if made.shape[1] < LONG or made.shape[0] != chain._block_width:
        return None
    users = [each for each in chain._proc_managers if each is not maker and _takes(each, made)]
    written = (_written(each) for each in chain._output_managers.values())
    if len(users) != 1 or any(_overlap(made, each) for each in written):
        return None
    (user,) = users
    others = (arg for arg in user.args[1:])
    is_first = user.args[0].ndim == 2 and user.args[0].strides == made.strides and _overlap(made, user.args[0])
    return user if is_first and form_of(user.processor) and not any(_overlap(made, arg) for arg in others) else None


def _takes(manager: Any, made: NDArray[Any]) -> bool:
    return any(_overlap(made, arg) for arg in manager.args)


def _overlap(one: NDArray[Any], other: Any) -> bool:
    return isinstance(other, np.ndarray) and bool(np.may_share_memory(one, other))


def _written(output: Any) -> Any:
    return getattr(getattr(output, "val_ioman", output), "raw_var", None)


def _makes_traces(manager: Any) -> bool:
    if name_of(manager.processor) not in MADE or not form_of(manager.processor):
        return False
    return isinstance(_made(manager), np.ndarray) and _made(manager).ndim == 2


def _made(manager: Any) -> Any:
    return manager.args[MADE[name_of(manager.processor)]]


def _can_be_done(row: Sequence[Any], chain: Any) -> bool:
    block = Block(chain._block_width)
    try:
        pole_zero_between(row, block) if is_pole_zero_between(row) else _of_tiles(row, block, (0,))
    except Unsuitable:
        return False
    return True
