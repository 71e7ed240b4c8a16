"""The arguments of one call of a chain, as loops take them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .marks import mark

READ = "fHhBb"
"""Types of samples that are read: float32, and the integers that it holds exactly."""
LINE = 64
"""Bytes of a line of the cache."""
Step = Callable[[], object]
Array = NDArray[Any]


class Unsuitable(Exception):
    """A call for which there is no compiled form; the message says why."""


@dataclass(frozen=True)
class Wave:
    """Traces in a block: all samples in a row, one trace every `stride` samples."""

    flat: Array
    stride: int
    length: int

    @property
    def place(self) -> tuple[int, int, int]:
        """What tells these traces from others of the block."""
        return address(self.flat), self.stride, self.length

    def contains(self, part: Wave) -> bool:
        """Whether other traces are parts of these."""
        begin = address(self.flat)
        return self.stride == part.stride and begin <= address(part.flat) < begin + self.flat.nbytes

    @property
    def read(self) -> tuple[Array, int, int]:
        """As a loop reads them."""
        return self.flat, self.stride, self.length


def address(array: Array) -> int:
    """Where an array begins in memory."""
    return int(array.__array_interface__["data"][0])


def as_wave(array: Array, place: int) -> Wave:
    """Traces of shape (traces, samples) in a row; `place` is that of the argument, for the message."""
    size, (step, next_sample) = array.itemsize, array.strides
    if next_sample != size or step % size:
        raise Unsuitable(f"argument {place + 1} is not contiguous")
    stride, length = (step // size if array.shape[0] > 1 else 0), array.shape[1]
    if array.shape[0] > 1 and stride == length:
        return Wave(array.reshape(-1), stride, length)
    reach = (array.shape[0] - 1) * stride + length
    return Wave(np.lib.stride_tricks.as_strided(array, (reach,), (size,)), stride, length)


def aligned(count: int) -> Array:
    """Numbers, float32, that begin where a line of the cache begins."""
    size = np.dtype(np.float32).itemsize
    room: Array = np.empty(count + LINE // size, np.float32)
    begin = -room.ctypes.data % LINE // size
    return room[begin : begin + count]


@dataclass
class Tail:
    """The shape of a tail, float64, and the decay constant, centre and first sample that it is for."""

    shape: Array
    times: tuple[float, float, float] | None = None


@dataclass
class Space:
    """Space to work in, float32, which only grows while a chain is planned; and shapes that are kept."""

    single: Array = field(default_factory=lambda: np.empty(0, np.float32))
    tails: dict[tuple[int, str], Tail] = field(default_factory=dict)

    def tail(self, length: int, kind: str) -> Tail:
        """The shape of a tail, which is kept between calls."""
        return self.tails.setdefault((length, kind), Tail(np.empty(length)))

    def reserve(self, single: int) -> None:
        """Make sure that there is space for so many numbers."""
        if len(self.single) < single:
            self.single = aligned(single)


@dataclass
class Block:
    """What the calls of a chain share: marks of traces with NaN, and space to work in.

    Attributes
    ----------
    width
        Traces.
    space
        For what is needed during one call.
    marks, copies
        By the place of traces, whether they have NaN, and the same traces as float32.
    alike
        Traces all of whose samples are NaN, or none, with their marks: each part of them has the same.
    """

    width: int
    space: Space = field(default_factory=Space)
    marks: dict[tuple[int, int, int], Array] = field(default_factory=dict)
    copies: dict[tuple[int, int, int], Array] = field(default_factory=dict)
    alike: list[tuple[Wave, Array]] = field(default_factory=list)

    def known_marks(self, wave: Wave) -> Array | None:
        """Whether traces have NaN, as far as that has been looked up."""
        parts = (marks for whole, marks in self.alike if whole.contains(wave))
        return self.marks.get(wave.place, next(parts, None))


class Call:
    """One call.

    Parameters
    ----------
    manager
        dspeed's manager of the call.
    block
        What it shares with the other calls of the chain.
    """

    def __init__(self, manager: Any, block: Block) -> None:
        self.args: list[Any] = list(manager.args)
        self.types: list[np.dtype[Any]] = list(manager.types)
        self.block = block
        self.before: list[Step] = []
        """What is to be done before the call."""
        if manager.kwargs:
            raise Unsuitable("it has keyword arguments")

    def wave(self, place: int, kinds: str = "f") -> Wave:
        """The traces that an argument is; integers are converted, unless a loop can read them (`kinds`)."""
        array = self.args[place]
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[0] not in (1, self.block.width):
            raise Unsuitable(f"argument {place + 1} is no block of traces")
        if array.dtype.char not in READ or self.types[place].char not in READ:
            raise Unsuitable(f"argument {place + 1} has samples of type {array.dtype}, computed in {self.types[place]}")
        wave = as_wave(array, place)
        return wave if array.dtype.char in kinds else self._converted(array, wave)

    def _converted(self, array: Array, wave: Wave) -> Wave:
        known = self.block.copies
        if wave.place not in known:
            known[wave.place] = np.empty(array.shape, np.float32)
            self.before.append(partial(np.copyto, known[wave.place], array))
        return as_wave(known[wave.place], 0)

    def target(self, place: int) -> Wave:
        """The traces that an argument becomes."""
        if self.args[place].dtype != np.float32:
            raise Unsuitable(f"argument {place + 1} becomes {self.args[place].dtype}")
        wave = self.wave(place)
        if self.args[place].shape[0] != self.block.width or wave.stride != wave.length:
            raise Unsuitable(f"argument {place + 1} is a part of something else")
        return wave

    def number(self, place: int) -> Any:
        """A number that is the same for all traces."""
        value = self.args[place]
        if np.ndim(value):
            raise Unsuitable(f"argument {place + 1} differs between traces")
        return value[()] if isinstance(value, np.ndarray) else value

    def column(self, place: int) -> Array:
        """A number of each trace, float32."""
        value: Any = self.args[place]
        if not isinstance(value, np.ndarray):
            return np.full(self.block.width, value, np.float32)
        if value.shape == (self.block.width,) and value.dtype == np.float32 and value.flags.c_contiguous:
            found: Array = value
            return found
        if value.shape not in ((self.block.width,), (1,)) or value.dtype.char in "dg":
            raise Unsuitable(f"argument {place + 1} is no number of each trace")
        copy = np.empty(self.block.width, np.float32)
        self.before.append(partial(np.copyto, copy, value, casting="unsafe"))
        return copy

    def result(self, place: int) -> Array:
        """The number of each trace that an argument becomes."""
        column = self.column(place)
        if id(self.args[place]) != id(column):
            raise Unsuitable(f"argument {place + 1} is no column that can be written")
        return column

    def marks(self, wave: Wave) -> Array:
        """Whether the traces have NaN; it is looked up when the first call needs it."""
        known = self.block.known_marks(wave)
        if known is not None:
            return known
        marks: Array = np.zeros(self.block.width, np.bool_)
        self.block.marks[wave.place] = marks
        if wave.flat.dtype.kind == "f":
            self.before.append(partial(mark, *wave.read, marks))
        return marks

    def same_marks(self, wave: Wave, marks: Array) -> None:
        """Traces that the call makes are NaN where those are that it makes them from."""
        self.block.alike.append((wave, marks))
