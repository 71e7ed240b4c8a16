"""Putting compiled forms into a chain that dspeed has made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .call import Block, Call, Step, Unsuitable
from .fusing import window_of_current, windows_of_currents
from .table import form_of, is_processor
from .tiles import rows_of_calls, steps_in_tiles
from .vectors import SIDE


@dataclass(frozen=True)
class Plan:
    """What became of the calls of a chain.

    Attributes
    ----------
    compiled
        Calls that have a compiled form.
    left
        Calls on traces that dspeed's own processors do, each with the reason.
    """

    compiled: tuple[str, ...]
    left: tuple[tuple[str, str], ...]


class Steps:
    """Steps one after the other, under the name of the processor that they stand for.

    Parameters
    ----------
    name
        The name, which dspeed shows in errors and timings.
    steps
        What is done.
    """

    def __init__(self, name: str, steps: Sequence[Step]) -> None:
        self.__name__, self._steps = name, tuple(steps)

    def __call__(self) -> None:
        for step in self._steps:
            step()


def compile_chain(chain: Any) -> Plan:
    """Replace the calls of a :class:`dspeed.ProcessingChain` that have a compiled form.

    Parameters
    ----------
    chain
        It is changed: its managers of processors call the compiled forms.
    """
    block = Block(chain._block_width)
    joined = together(chain) if _is_divisible(block) else []
    lasts = {id(row[-1]): row for row in joined}
    before = {id(manager) for row in joined for manager in row[:-1]}
    compiled, left = [], []
    for manager in chain._proc_managers:
        if id(manager) in before:
            continue
        try:
            steps = steps_of(lasts.get(id(manager), [manager]), block)
        except Unsuitable as reason:
            left += [(str(manager), str(reason))] if _reads_traces(manager) else []
        else:
            _replace(manager, steps)
            compiled.append(str(manager))
    for manager in (each for row in joined for each in row[:-1]):
        _replace(manager, ())
        compiled.append(str(manager))
    return Plan(tuple(compiled), tuple(left))


def together(chain: Any) -> list[list[Any]]:
    """Calls that are done together with the last one of them, in the order of the chain."""
    return [list(pair) for pair in windows_of_currents(chain)] + rows_of_calls(chain)


def _replace(manager: Any, steps: Sequence[Step]) -> None:
    manager.processor, manager.args, manager.kwargs = Steps(manager.processor.__name__, steps), [], {}


def steps_of(row: Sequence[Any], block: Block) -> Sequence[Step]:
    """What is to be done for a call, or for calls together.

    Raises
    ------
    Unsuitable
        If there is no compiled form for it.
    """
    if len(row) > 1:
        is_current = is_processor(row[0].processor, "avg_current")
        return window_of_current(row[0], row[1], block) if is_current else steps_in_tiles(row, block)
    (manager,) = row
    form = form_of(manager.processor)
    if form is None:
        raise Unsuitable("there is no compiled form")
    if not _is_divisible(block):
        raise Unsuitable(f"blocks of {block.width} traces cannot be divided by {SIDE}")
    known = dict(block.marks), dict(block.copies), list(block.alike)
    try:
        call = Call(manager, block)
        last = form(call)
    except Unsuitable:
        block.marks, block.copies, block.alike = known
        raise
    return [*call.before, last]


def _is_divisible(block: Block) -> bool:
    return block.width % SIDE == 0


def _reads_traces(manager: Any) -> bool:
    """Whether a call works on samples, and is none of numpy's."""
    if isinstance(manager.processor, np.ufunc) and manager.processor is getattr(np, manager.processor.__name__, None):
        return False
    arrays = [arg for arg in manager.args if isinstance(arg, np.ndarray)]
    return any(arg.ndim > 1 and arg.shape[-1] > 1 for arg in arrays) and not _is_numpys(manager.processor)


def _is_numpys(function: Any) -> bool:
    return getattr(np, getattr(function, "__name__", ""), None) is function
