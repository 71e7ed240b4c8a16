"""Checked expressions on numpy and awkward arrays, without Python's ``eval``."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import awkward as ak
import numexpr  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from dataflow.base.errors import UserError
from dataflow.metadata.expressions import CONSTANTS, MODULES, Expression, dotted

_OPERATORS: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_FAILURES = (TypeError, ValueError, IndexError, KeyError, AttributeError, ZeroDivisionError, OverflowError)


def evaluate(expression: Expression, values: Mapping[str, Any]) -> Any:
    """The value of an expression.

    Parameters
    ----------
    expression
        A checked expression.
    values
        Numbers, texts, numpy or awkward arrays by (dotted) name.

    Returns
    -------
    array or number
        A numpy array where all that enters are numpy arrays of one dimension, an awkward array otherwise; what numpy
        makes of the types, as upstream's evaluation by Python does.

    Raises
    ------
    UserError
        If a name has no value, or the values do not fit the operators.
    """
    try:
        with np.errstate(all="ignore"):
            return _value(expression.elementwise, values)
    except _FAILURES as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{expression.text!r} cannot be evaluated: {reason}") from error


def by_numexpr(text: str, values: Mapping[str, Any]) -> NDArray[Any] | None:
    """The value of a checked expression of plain arrays as the libraries compute it; None where numexpr cannot.

    Small integers do not overflow, other than with numpy.
    """
    if not values or any(isinstance(value, ak.Array | str | list) for value in values.values()):
        return None
    if "ak." in text or "np." in text:
        return None
    try:
        return np.asarray(numexpr.evaluate(text, local_dict=dict(values), global_dict={}))
    except (TypeError, ValueError, NotImplementedError, KeyError, AttributeError, SyntaxError):
        return None


def _value(node: ast.AST, values: Mapping[str, Any]) -> Any:
    name = dotted(node)
    if name:
        return CONSTANTS[name] if name in CONSTANTS else _named(name, values)
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.BinOp):
        return _binary(node.op, _value(node.left, values), _value(node.right, values))
    if isinstance(node, ast.Compare):
        return _binary(node.ops[0], _value(node.left, values), _value(node.comparators[0], values))
    if isinstance(node, ast.UnaryOp):
        return _unary(node.op, _value(node.operand, values))
    if isinstance(node, ast.Call):
        return _called(node, values)
    if isinstance(node, ast.Subscript):
        return _value(node.value, values)[_index(node.slice, values)]
    if isinstance(node, ast.Tuple | ast.List):
        return [_value(item, values) for item in node.elts]
    raise TypeError(f"{ast.unparse(node)} is not known")


def _named(name: str, values: Mapping[str, Any]) -> Any:
    if name not in values:
        raise UserError(f"there is no {name!r}")
    return values[name]


def _binary(sign: ast.AST, left: Any, right: Any) -> Any:
    if isinstance(sign, ast.Pow):
        if isinstance(left, int) and isinstance(right, int):
            left = float(left)  # Python's whole numbers grow without end
        return left**right
    return _OPERATORS[type(sign)](left, right)


def _unary(sign: ast.unaryop, value: Any) -> Any:
    if isinstance(sign, ast.Invert | ast.Not):
        return not value if isinstance(value, bool) else ~value
    return -value if isinstance(sign, ast.USub) else +value


def _called(node: ast.Call, values: Mapping[str, Any]) -> Any:
    name = dotted(node.func)
    module, _, function = name.rpartition(".")
    if function not in (MODULES[module] if module else MODULES["np"]):
        raise TypeError(f"{name} may not be called")
    given = [_value(item, values) for item in node.args]
    keywords = {str(keyword.arg): _value(keyword.value, values) for keyword in node.keywords}
    jagged = any(isinstance(item, ak.Array) for item in given)
    home = ak if module in ("ak", "awkward") or (jagged and function == "where") else np
    return getattr(home, function)(*given, **keywords)


def _index(node: ast.AST, values: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Tuple):
        return tuple(_index(part, values) for part in node.elts)
    if isinstance(node, ast.Slice):
        bounds = (node.lower, node.upper, node.step)
        return slice(*(None if bound is None else _value(bound, values) for bound in bounds))
    return _value(node, values)
