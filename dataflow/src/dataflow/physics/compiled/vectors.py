"""Eight traces side by side, for the loops of this room: one instruction works on a sample of all of them.

A recursive filter needs the value before, so that a compiler finds nothing to do at the same time within one trace.
With eight traces side by side it need not find anything: these operations are vector instructions from the beginning,
on every processor that LLVM knows. They can only be used in compiled loops; sums and products are rounded as usual.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

from .jit import compiled

SIDE = 8
"""Traces side by side."""
Array = Any
Function = Callable[..., Any]
operation: Callable[[Function], Function] = intrinsic
meaning_of: Callable[[Function], Callable[[Function], Function]] = overload
_KINDS = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}
_LOW_PAIRS, _HIGH_PAIRS = (0, 8, 1, 9, 4, 12, 5, 13), (2, 10, 3, 11, 6, 14, 7, 15)
_LOW_FOURS, _HIGH_FOURS = (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)
_HALVES = (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)


class Vector(types.Type):  # type: ignore[misc]
    """Type of eight numbers: float32 or float64."""

    def __init__(self, number: Any) -> None:
        self.number = number
        super().__init__(name=f"Vector({number})")


@register_model(Vector)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.VectorType(_KINDS[kind.number], SIDE))


SINGLE, DOUBLE = Vector(types.float32), Vector(types.float64)
_INDEX = ir.IntType(32)


def _arithmetic(instruction: str, operator_: Callable[..., Any]) -> None:
    """Have an operator work on vectors of the same kind."""

    @operation
    def emitted(_typing: Any, a: Any, b: Any) -> Any:
        return a(a, b), lambda _context, builder, _signature, args: getattr(builder, instruction)(*args)

    @meaning_of(operator_)
    def chosen(a: Any, b: Any) -> Any:
        def done(a: Any, b: Any) -> Any:  # numba wants the same names and annotations here
            return emitted(a, b)

        return done if isinstance(a, Vector) and a == b else None


_arithmetic("fadd", operator.add)
_arithmetic("fsub", operator.sub)
_arithmetic("fmul", operator.mul)
_arithmetic("fdiv", operator.truediv)


@operation
def muladd(_typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a · b + c, rounded once where the processor can do that in one instruction."""
    return a(a, b, c), lambda _context, builder, _signature, args: builder.call(_muladd(builder, args[0].type), args)


def _muladd(builder: Any, kind: Any) -> Any:
    name = f"llvm.fmuladd.v{SIDE}f{32 if kind.element == ir.FloatType() else 64}"
    known = builder.module.globals.get(name)
    return known or ir.Function(builder.module, ir.FunctionType(kind, [kind] * 3), name)


def _larger(comparison: str) -> Any:
    @operation
    def emitted(_typing: Any, a: Any, b: Any) -> Any:
        def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            return builder.select(builder.fcmp_ordered(comparison, *args), *args)

        return a(a, b), code

    return emitted


larger, smaller = _larger(">"), _larger("<")
"""The larger and the smaller of two numbers, for each trace; the second one where one of them is NaN."""


def _of_all(comparison: str) -> Any:
    @operation
    def emitted(_typing: Any, values: Any) -> Any:
        def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            found = [builder.extract_element(args[0], ir.Constant(_INDEX, i)) for i in range(SIDE)]
            while len(found) > 1:
                pairs = zip(found[0::2], found[1::2], strict=True)
                found = [builder.select(builder.fcmp_ordered(comparison, a, b), a, b) for a, b in pairs]
            return found[0]

        return values.number(values), code

    return emitted


most, least = _of_all(">"), _of_all("<")
"""The largest and the smallest of the eight numbers."""


@operation
def load(_typing: Any, array: Any, place: Any) -> Any:
    """Eight neighbours of an array, integers as float32."""
    found = DOUBLE if array.dtype == types.float64 else SINGLE

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(context.get_value_type(array.dtype), SIDE)
        begin = builder.bitcast(_place(context, builder, signature, args), kind.as_pointer())
        values = builder.load(begin, align=array.dtype.bitwidth // 8)
        if not isinstance(array.dtype, types.Integer):
            return values
        convert = builder.sitofp if array.dtype.signed else builder.uitofp
        return convert(values, ir.VectorType(ir.FloatType(), SIDE))

    return found(array, types.intp), code


@operation
def store(_typing: Any, array: Any, place: Any, values: Any) -> Any:
    """Write eight neighbours of an array."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        begin = builder.bitcast(_place(context, builder, signature, args), args[2].type.as_pointer())
        builder.store(args[2], begin, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, values), code


def _place(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [args[1]])


@operation
def double(_typing: Any, values: Any) -> Any:
    """As float64."""
    kind = ir.VectorType(ir.DoubleType(), SIDE)
    return DOUBLE(values), lambda _context, builder, _signature, args: builder.fpext(args[0], kind)


@operation
def single(_typing: Any, values: Any) -> Any:
    """Rounded to float32."""
    kind = ir.VectorType(ir.FloatType(), SIDE)
    return SINGLE(values), lambda _context, builder, _signature, args: builder.fptrunc(args[0], kind)


@operation
def same(_typing: Any, number: Any) -> Any:
    """One number for all traces."""

    def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        nothing = ir.Constant(ir.VectorType(args[0].type, SIDE), ir.Undefined)
        first = builder.insert_element(nothing, args[0], ir.Constant(_INDEX, 0))
        return _mixed(builder, first, nothing, (0,) * SIDE)

    return Vector(number)(number), code


@operation
def turned(_typing: Any, rows: Any) -> Any:
    """Eight samples of eight traces, trace by trace, as sample by sample, and the other way; a tuple of vectors."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows = [builder.extract_value(args[0], i) for i in range(SIDE)]
        found = ir.Constant(context.get_value_type(signature.return_type), ir.Undefined)
        for i, values in enumerate(_transposed(builder, rows)):
            found = builder.insert_value(found, values, i)
        return found

    return rows(rows), code


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """In three stages, the first two of which stay in halves of a vector, where moving is cheaper."""
    pairs, fours = [], []
    for a, b in zip(rows[0::2], rows[1::2], strict=True):
        pairs += [_mixed(builder, a, b, _LOW_PAIRS), _mixed(builder, a, b, _HIGH_PAIRS)]
    for a, b in ((0, 2), (1, 3), (4, 6), (5, 7)):
        fours += [_mixed(builder, pairs[a], pairs[b], places) for places in (_LOW_FOURS, _HIGH_FOURS)]
    return [_mixed(builder, fours[i], fours[i + 4], half) for half in _HALVES for i in range(4)]


def _mixed(builder: Any, a: Any, b: Any, places: tuple[int, ...]) -> Any:
    """Of two vectors, the numbers at certain places."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INDEX, len(places)), list(places)))


@compiled
def _four(flat: Array, place: int, stride: int) -> Any:
    return load(flat, place), load(flat, place + stride), load(flat, place + 2 * stride), load(flat, place + 3 * stride)


@compiled
def eight(flat: Array, place: int, stride: int) -> Any:
    """Eight samples of eight traces from a place on, sample by sample."""
    return turned(_four(flat, place, stride) + _four(flat, place + 4 * stride, stride))


@compiled
def put_eight(values: Any, out: Array, place: int, stride: int) -> None:
    """The other way."""
    rows = turned(values)
    for k in range(SIDE):
        store(out, place + k * stride, rows[k])


@compiled
def lay(flat: Array, place: int, stride: int, count: int, out: Array, at: int) -> None:
    """Lay samples of eight traces side by side.

    Parameters
    ----------
    flat, place, stride
        Samples of traces, where the first sample of the first one is, and how far it is to the next trace.
    count
        How many samples of each.
    out, at
        Where they are put: float32, eight numbers for each sample, from sample `at` on.
    """
    whole = count // SIDE * SIDE
    for i in range(0, whole, SIDE):
        values = eight(flat, place + i, stride)
        for k in range(SIDE):
            store(out, (at + i + k) * SIDE, values[k])
    for k in range(SIDE):
        for i in range(whole, count):
            out[(at + i) * SIDE + k] = flat[place + k * stride + i]


@compiled
def take_back(values: Array, at: int, count: int, out: Array, place: int, stride: int) -> None:
    """The other way: from samples side by side to traces; parameters as those of :func:`lay`."""
    whole = count // SIDE * SIDE
    for i in range(0, whole, SIDE):
        rows = eight(values, (at + i) * SIDE, SIDE)
        for k in range(SIDE):
            store(out, place + k * stride + i, rows[k])
    for k in range(SIDE):
        for i in range(whole, count):
            out[place + k * stride + i] = values[(at + i) * SIDE + k]
