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
TEXT, NUMBER, TRUTH = "a text", "a number", "a truth value"
_KINDS = {"U": TEXT, "b": TRUTH, "i": NUMBER, "u": NUMBER, "f": NUMBER}
"""What a column holds, by the kind of its numpy type."""
FILE_TIME = "key_timestamp"
"""The time in the name of a file, a text; ``timestamp`` alone may be a column."""


class Condition:
    """A condition on named values: comparisons joined by ``and``, ``or`` and ``not``.

    Operands are names (``geds.multiplicity`` for a column in a group), texts, numbers, ``True`` and ``False``; after
    ``in`` a tuple or list of them. A name alone stands for a column of truth values.

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
        return frozenset(_names(self._node)) if self._node else frozenset()

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
        except _Unfit as slip:
            raise UserError(f"{self.text!r}: {slip.message}", hint=slip.hint) from None

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
        return reduce(join, (_truth(value, values) for value in node.values))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _not(_truth(node.operand, values))
    if isinstance(node, ast.Compare):
        return _compared(node, values)
    return ast.literal_eval(node)  # a constant, checked while parsing


def _truth(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """The value of something that must be true or false."""
    value = _value(node, values)
    if _kind(value) != TRUTH:
        raise _Unfit(f"{ast.unparse(node)} is no truth value", hint=f"compare it with something; {_FORM}")
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


def _is_single(value: Any) -> bool:
    return isinstance(value, _CONSTANTS)


def _not(value: Any) -> Any:
    return not value if _is_single(value) else ~value


def _and(left: Any, right: Any) -> Any:
    return (left and right) if _is_single(left) and _is_single(right) else left & right


def _or(left: Any, right: Any) -> Any:
    return (left or right) if _is_single(left) and _is_single(right) else left | right
