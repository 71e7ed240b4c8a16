"""Conditions such as ``period == 'p03' and run in ('r000', 'r001')``: parsed, checked, and never executed as code."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

from dataflow.base.errors import UserError
from dataflow.base.messages import nearest
from dataflow.metadata.expressions import Expression, dotted, parsed

_FORM = "a condition looks like: period == 'p03' and run >= 'r003'"
_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_CONSTANTS = (str, int, float, bool)
TEXT, NUMBER, TRUTH = "a text", "a number", "a truth value"
_KINDS = {"U": TEXT, "b": TRUTH, "i": NUMBER, "u": NUMBER, "f": NUMBER}
"""What a column holds, by the kind of its numpy type."""
FILE_TIME = "key_timestamp"
"""The time in the name of a file, a text; ``timestamp`` alone may be a column."""


class Condition:
    """A condition on named values: comparisons joined by ``and``, ``or`` and ``not`` (or ``&``, ``|`` and ``~``).

    The grammar is that of all expressions (:mod:`dataflow.metadata.expressions`). Operands are names (for a column in a
    group ``geds.multiplicity``), texts, numbers, what is computed from them, ``True`` and ``False``; after ``in`` a
    tuple or list of constants. A name alone stands for a column of truth values.

    Parameters
    ----------
    text
        The condition; an empty one, or None, always holds.

    Raises
    ------
    UserError
        If it is none.
    """

    def __init__(self, text: str | None = "") -> None:
        if not isinstance(text, str | None):
            raise UserError(f"a condition is a text, not {text!r}", hint=_FORM)
        self.text = text or ""
        self._node = _parsed(self.text) if self.text.strip() else None

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"

    @property
    def terms(self) -> tuple[Condition, ...]:
        """The conditions that must all hold."""
        if not isinstance(self._node, ast.BoolOp) or not isinstance(self._node.op, ast.And):
            return (self,) if self._node else ()
        return tuple(self._part(node) for node in self._node.values)

    def _part(self, node: ast.expr) -> Condition:
        part = Condition()
        part.text, part._node = ast.unparse(node), node
        return part

    @property
    def names(self) -> frozenset[str]:
        """The names in it; columns in groups with slashes (``geds/multiplicity``)."""
        if self._node is None:
            return frozenset()
        return frozenset(name.replace(".", "/") for name in Expression(self.text, self._node).names)

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Whether it holds: one truth value, or an array of them where a value is an array.

        Raises
        ------
        UserError
            If a name is unknown, values cannot be compared, or one that should be a truth value is none.
        """
        if self._node is None:
            return True
        try:
            return _truth(self._node, values)
        except _Unfit as problem:
            raise UserError(f"{self.text!r}: {problem.message}", hint=problem.hint) from None

    def check_names(self, known: Iterable[str]) -> None:
        """Refuse names that are none of the known ones.

        Raises
        ------
        UserError
            It names the nearest right one.
        """
        for name in sorted(self.names - set(known)):
            raise UserError(f"{self.text!r}: there is no {name!r}", hint=nearest(name, known))


class _Unfit(UserError):
    """Values with which a condition makes no sense."""


def _parsed(text: str) -> ast.expr:
    node = parsed(text, "a condition").node
    if not _may_be_true(node):
        raise UserError(f"{text!r}: {ast.unparse(node)!r} is not true or false", hint=_FORM)
    return node


def _may_be_true(node: ast.expr) -> bool:
    """Whether an expression can be a condition: no number, no text, nothing that is computed from numbers alone."""
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, tuple(_BITS)) and _may_be_true(node.left) and _may_be_true(node.right)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not | ast.Invert) and _may_be_true(node.operand)
    if isinstance(node, ast.BoolOp):
        return all(map(_may_be_true, node.values))
    return isinstance(node, ast.Compare | ast.Call) or _is_name(node) or _is_truth(node)


def _is_truth(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, bool)


def _is_name(node: ast.expr) -> bool:
    return bool(dotted(node))


def _name(node: ast.expr) -> str:
    return dotted(node).replace(".", "/")


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """The value of a checked expression."""
    if _is_name(node):
        name = _name(node)
        if name not in values:
            raise UserError(f"there is no {name!r}", hint=nearest(name, values))
        return values[name]
    if isinstance(node, ast.BoolOp):
        join = _and if isinstance(node.op, ast.And) else _or
        return reduce(join, (_truth(value, values) for value in node.values))
    if isinstance(node, ast.BinOp) and type(node.op) in _BITS and _are_truths(node, values):
        return _BITS[type(node.op)](_truth(node.left, values), _truth(node.right, values))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert) and _are_truths(node, values):
        return _not(_truth(node.operand, values))
    if isinstance(node, ast.Compare):
        return _compared(node, values)
    return node.value if isinstance(node, ast.Constant) else _computed(node, values)


def _are_truths(node: ast.BinOp | ast.UnaryOp, values: Mapping[str, Any]) -> bool:
    """Whether an operator such as ``&`` joins truth values, and not the bits of numbers; ``not`` always does."""
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not) or _kind(_value(node.operand, values)) == TRUTH
    return _kind(_value(node.left, values)) == TRUTH


def _computed(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """The value of an expression of numbers, as in the configuration of a cycle."""
    from dataflow.jobs.evaluate import evaluate  # keys are compared without numpy

    expression = Expression(ast.unparse(node), node)
    found = {}
    for name in expression.names:
        known = name.replace(".", "/")
        if known not in values:
            raise UserError(f"there is no {known!r}", hint=nearest(known, values))
        found[name] = values[known]
    try:
        value = evaluate(expression, found)
        return value.item() if _is_scalar(value) else value
    except UserError as error:
        raise _Unfit(error.message, hint="texts stand in quotes, numbers do not") from None


def _truth(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """The value of something that must be true or false."""
    value = _value(node, values)
    if _kind(value) != TRUTH:
        raise _Unfit(f"{ast.unparse(node)} is not a truth value", hint=f"compare it with something; {_FORM}")
    return value


def _compared(node: ast.Compare, values: Mapping[str, Any]) -> Any:
    left_node, left, results = node.left, _value(node.left, values), []
    for sign, right_node in zip(node.ops, node.comparators, strict=True):
        if isinstance(sign, ast.In | ast.NotIn):
            items = right_node.elts if isinstance(right_node, ast.Tuple | ast.List) else []
            equal = [_pair(operator.eq, (left_node, left), (item, ast.literal_eval(item))) for item in items]
            found = reduce(_or, equal, False)
            results.append(_not(found) if isinstance(sign, ast.NotIn) else found)
        else:
            right = _value(right_node, values)
            results.append(_pair(_COMPARE[type(sign)], (left_node, left), (right_node, right)))
            left_node, left = right_node, right
    return reduce(_and, results)


def _pair(compare: Callable[[Any, Any], Any], left: tuple[ast.expr, Any], right: tuple[ast.expr, Any]) -> Any:
    """Compare two values, of which none or both must be texts."""
    kinds = [_kind(value) for _, value in (left, right)]
    if "" not in kinds and (kinds[0] == TEXT) != (kinds[1] == TEXT):
        shown = [ast.unparse(node) for node, _ in (left, right)]
        hint = "texts stand in quotes, numbers do not"
        if "timestamp" in shown:
            hint += f"; the time in the name of a file is {FILE_TIME}"
        raise _Unfit(f"{shown[0]} is {kinds[0]} and {shown[1]} {kinds[1]}: they cannot be compared", hint=hint)
    try:
        return compare(left[1], right[1])
    except TypeError:
        both = " and ".join(ast.unparse(node) for node, _ in (left, right))
        raise _Unfit(f"{both} cannot be compared", hint="texts stand in quotes, numbers do not") from None


def _kind(value: Any) -> str:
    """What a value, or each of an array, is; empty where that cannot be told."""
    if isinstance(value, bool):
        return TRUTH
    if isinstance(value, str):
        return TEXT
    if isinstance(value, int | float):
        return NUMBER
    return _KINDS.get(getattr(getattr(value, "dtype", None), "kind", ""), "")


def _is_scalar(value: Any) -> bool:
    """Whether it is one number of numpy."""
    return getattr(value, "shape", None) == ()


def _is_single(value: Any) -> bool:
    return isinstance(value, _CONSTANTS)


def _not(value: Any) -> Any:
    return not value if _is_single(value) else ~value


def _and(left: Any, right: Any) -> Any:
    return (left and right) if _is_single(left) and _is_single(right) else left & right


def _or(left: Any, right: Any) -> Any:
    return (left or right) if _is_single(left) and _is_single(right) else left | right


_BITS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {ast.BitAnd: _and, ast.BitOr: _or}
"""Operators that join conditions."""
