"""Conditions such as ``period == 'p03' and run in ('r000', 'r001')``: parsed, checked, and never executed as code."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

from dataflow.plan.errors import UserError
from dataflow.plan.words import nearest

LONGEST = 10_000
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


class Condition:
    """A condition on named values: comparisons joined by ``and``, ``or`` and ``not``.

    Operands are names (``geds.multiplicity`` for a column in a group), texts, numbers, ``True`` and ``False``; after
    ``in`` a tuple or list of them. A name alone stands for a column of truth values.

    Parameters
    ----------
    text
        The condition; an empty one always holds.

    Raises
    ------
    UserError
        If it is none.
    """

    def __init__(self, text: str = "") -> None:
        self.text = text
        self._node = _parsed(text) if text.strip() else None

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
        return frozenset(_names(self._node)) if self._node else frozenset()

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Whether it holds: one truth value, or an array of them where a value is an array.

        Raises
        ------
        UserError
            If a name is unknown, or values cannot be compared.
        """
        if self._node is None:
            return True
        try:
            return _value(self._node, values)
        except TypeError as slip:
            raise UserError(f"{self.text!r}: {slip}", hint="texts stand in quotes, numbers do not") from None

    def check_names(self, known: Iterable[str]) -> None:
        """Refuse names that are none of the known ones.

        Raises
        ------
        UserError
            It names the nearest right one.
        """
        for name in sorted(self.names - set(known)):
            raise UserError(f"{self.text!r}: there is no {name!r}", hint=nearest(name, known))


def _parsed(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise UserError(f"the condition has {len(text)} characters, more than {LONGEST}", hint=_FORM)
    try:
        node = ast.parse(text.strip(), mode="eval").body
        _check(node, text)
    except SyntaxError as slip:
        raise UserError(f"{text!r} is no condition: {slip.msg}", hint=_FORM) from None
    except (ValueError, RecursionError, MemoryError):
        raise UserError(f"{text[:60]!r} is no condition: nested too deeply", hint=_FORM) from None
    return node


def _check(node: ast.expr, text: str) -> None:
    """Refuse everything that is no comparison of names and constants."""
    if isinstance(node, ast.BoolOp):
        for value in node.values:
            _check(value, text)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        _check(node.operand, text)
    elif isinstance(node, ast.Compare):
        _check_comparison(node, text)
    elif not _is_operand(node):
        raise _wrong(node, text)


def _check_comparison(node: ast.Compare, text: str) -> None:
    if not _is_operand(node.left):
        raise _wrong(node.left, text)
    for sign, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(sign, ast.In | ast.NotIn):
            if not isinstance(right, ast.Tuple | ast.List) or not all(map(_is_constant, right.elts)):
                raise UserError(f"{text!r}: after `in` a list of constants is expected", hint="run in ('r000', 'r001')")
        elif type(sign) not in _COMPARE:
            raise UserError(f"{text!r}: compare with ==, !=, <, <=, >, >= or in", hint=_FORM)
        elif not _is_operand(right):
            raise _wrong(right, text)


def _wrong(node: ast.expr, text: str) -> UserError:
    shown = ast.unparse(node)
    return UserError(f"{text!r}: {shown!r} is no name, text or number", hint=_FORM)


def _is_operand(node: ast.expr) -> bool:
    return _is_name(node) or _is_constant(node)


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and _is_name(node.value))


def _is_constant(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return isinstance(node.operand, ast.Constant) and type(node.operand.value) in (int, float)
    return isinstance(node, ast.Constant) and type(node.value) in _CONSTANTS


def _names(node: ast.expr) -> set[str]:
    if _is_name(node):
        return {_name(node)}
    return {name for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr) for name in _names(child)}


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}/{node.attr}"
    assert isinstance(node, ast.Name)  # noqa: S101 - checked while parsing
    return node.id


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """The value of a checked expression."""
    if _is_name(node):
        name = _name(node)
        if name not in values:
            raise UserError(f"there is no {name!r}", hint=nearest(name, values))
        return values[name]
    if isinstance(node, ast.BoolOp):
        join = _and if isinstance(node.op, ast.And) else _or
        return reduce(join, (_value(value, values) for value in node.values))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _value(node.operand, values)
        return not inner if _is_single(inner) else ~inner
    if isinstance(node, ast.Compare):
        return _compared(node, values)
    return ast.literal_eval(node)  # a constant, checked while parsing


def _compared(node: ast.Compare, values: Mapping[str, Any]) -> Any:
    left, results = _value(node.left, values), []
    for sign, right_node in zip(node.ops, node.comparators, strict=True):
        if isinstance(sign, ast.In | ast.NotIn):
            found = reduce(_or, [left == item for item in ast.literal_eval(right_node)], False)
            turned = (not found if _is_single(found) else ~found) if isinstance(sign, ast.NotIn) else found
            results.append(turned)
        else:
            right = _value(right_node, values)
            results.append(_COMPARE[type(sign)](left, right))
            left = right
    return reduce(_and, results)


def _is_single(value: Any) -> bool:
    return isinstance(value, _CONSTANTS)


def _and(left: Any, right: Any) -> Any:
    return (left and right) if _is_single(left) and _is_single(right) else left & right


def _or(left: Any, right: Any) -> Any:
    return (left or right) if _is_single(left) and _is_single(right) else left | right
