"""Putting compiled forms into a chain that dspeed has made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .call import Block, Call, Step, Unsuitable
from .table import form_of


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
    compiled, left = [], []
    for manager in chain._proc_managers:
        try:
            steps = steps_of(manager, block)
        except Unsuitable as reason:
            left += [(str(manager), str(reason))] if _reads_traces(manager) else []
        else:
            manager.processor, manager.args, manager.kwargs = Steps(manager.processor.__name__, steps), [], {}
            compiled.append(str(manager))
    return Plan(tuple(compiled), tuple(left))


def steps_of(manager: Any, block: Block) -> Sequence[Step]:
    """What is to be done for a call.

    Raises
    ------
    Unsuitable
        If there is no compiled form for it.
    """
    form = form_of(manager.processor)
    if form is None:
        raise Unsuitable("there is no compiled form")
    if block.width % 4:
        raise Unsuitable(f"blocks of {block.width} traces cannot be divided by four")
    known = dict(block.marks), dict(block.copies)
    try:
        call = Call(manager, block)
        last = form(call)
    except Unsuitable:
        block.marks, block.copies = known
        raise
    return [*call.before, last]


def _reads_traces(manager: Any) -> bool:
    """Whether a call works on samples, and is none of numpy's."""
    if isinstance(manager.processor, np.ufunc) and manager.processor is getattr(np, manager.processor.__name__, None):
        return False
    arrays = [arg for arg in manager.args if isinstance(arg, np.ndarray)]
    return any(arg.ndim > 1 and arg.shape[-1] > 1 for arg in arrays) and not _is_numpys(manager.processor)


def _is_numpys(function: Any) -> bool:
    return getattr(np, getattr(function, "__name__", ""), None) is function
