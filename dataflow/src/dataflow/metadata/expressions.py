"""The one grammar of expressions in metadata and on the command line: parsed, checked, never executed as code.

Hit operations, the operations and queries of evt, ``evt_filter`` of skm and the reader's ``where`` pass here before a
library sees them. The libraries fall back to Python's ``eval`` with all built-in functions; what has passed here can
do no harm there. This module imports no numpy: it works while planning.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from typing import Any

from dataflow.base.errors import UserError
from dataflow.base.messages import nearest

LONGEST = 10_000
LARGEST_EXPONENT = 64
"""Of a constant raised to a constant: Python would compute with numbers of any length."""
_FORM = (
    "an expression has names, numbers, operators such as + - * / ** < == & | ~, and functions such as sqrt or ak.sum"
)


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


CONSTANTS: Mapping[str, float] = {"np.nan": math.nan, "np.inf": math.inf, "np.pi": math.pi, "np.e": math.e}

PLAIN = words(
    "abs arccos arccosh arcsin arcsinh arctan arctan2 arctanh ceil cos cosh exp expm1 floor isfinite isinf isnan log "
    "log10 log1p round sin sinh sqrt tan tanh where"
)
"""Functions without a module: those of numexpr that give a value a row (its sums run over whatever is in memory)."""
NUMPY = PLAIN | words(
    "abs absolute all any bitwise_and bitwise_not bitwise_or bitwise_xor cbrt clip count_nonzero exp2 fabs "
    "full_like hypot invert isin log2 logical_and logical_not logical_or logical_xor max maximum mean median min "
    "minimum mod nan_to_num nanmax nanmean nanmin nansum negative ones_like rint sign square std sum trunc var "
    "zeros_like"
)
AWKWARD = words(
    "all any argmax argmin argsort broadcast_arrays concatenate count count_nonzero drop_none fill_none firsts flatten "
    "from_regular full_like is_none isclose local_index mask max mean min moment nan_to_none nan_to_num nanargmax "
    "nanargmin nanmax nanmean nanmin nanprod nanstd nansum nanvar num ones_like pad_none prod ptp ravel singletons "
    "sort std sum to_regular values_astype var where without_parameters zeros_like"
)
MODULES: Mapping[str, frozenset[str]] = {"np": NUMPY, "numpy": NUMPY, "ak": AWKWARD, "awkward": AWKWARD}
KEYWORDS = words("ascending atol axis clip dtype equal_nan initial keepdims mask_identity rtol stable value")

_BINARY = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
_BITS = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.LShift, ast.RShift)
_COMPARE = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)


@dataclass(frozen=True)
class Expression:
    """An expression that has been checked.

    Attributes
    ----------
    text
        As it was written.
    node
        Its syntax tree: names, constants, operators, comparisons, calls of the functions listed above, indices.
    """

    text: str
    node: ast.expr

    @cached_property
    def names(self) -> frozenset[str]:
        """The columns and parameters in it: ``hit.energy``, ``a``; functions and constants are none."""
        return frozenset(_names(self.node))

    @cached_property
    def elementwise(self) -> ast.expr:
        """The tree with ``and``, ``or``, ``not``, ``in`` and chains of comparisons as operators on arrays."""
        return _Elementwise().visit(ast.parse(ast.unparse(self.node), mode="eval")).body  # type: ignore[no-any-return]

    @cached_property
    def rewritten(self) -> str:
        """The text of :attr:`elementwise`: what a library is given to evaluate."""
        return ast.unparse(self.elementwise)

    def check_names(self, known: Iterable[str]) -> None:
        """Refuse names that are none of the known ones.

        Raises
        ------
        UserError
            It names the nearest right one.
        """
        known = list(known)
        for name in sorted(self.names - set(known)):
            raise UserError(f"{self.text!r}: there is no {name!r}", hint=nearest(name, known))


@dataclass(frozen=True)
class Call:
    """A call of a processing function with keywords.

    Attributes
    ----------
    text
        As it was written.
    function
        The dotted name of the function.
    arguments
        By keyword: a value (number, text, boolean, None, list, tuple) or a :class:`Column`.
    """

    text: str
    function: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """An argument that is a name: a column of the events, or a parameter."""

    name: str


def parsed(text: object, what: str = "an expression") -> Expression:
    """Parse and check an expression.

    Parameters
    ----------
    text
        What was written; a number or a boolean, as YAML may read it, is an expression too.
    what
        What it is, for messages.

    Raises
    ------
    UserError
        If it is not a text or not an expression, or holds something that the grammar does not know; the text is named.
    """
    written = str(text) if isinstance(text, bool | int | float) else text
    if not isinstance(written, str) or not written.strip():
        raise UserError(f"{what} is a text, not {text!r}", hint=_FORM)
    return _checked(written, what)


@lru_cache(maxsize=4096)
def _checked(text: str, what: str) -> Expression:
    """A text that was parsed once; a hundred detectors have the same expressions."""
    node = _tree(text, what)
    try:
        _check(node, text)
    except RecursionError:
        raise UserError(f"{text[:60]!r} is not {what}: nested too deeply", hint=_FORM) from None
    return Expression(text, node)


def _tree(text: str, what: str) -> ast.expr:
    if len(text) > LONGEST:
        raise UserError(f"{what} has {len(text)} characters, more than {LONGEST}", hint=_FORM)
    try:
        return ast.parse(
            " ".join(text.split()) if "'" not in text and '"' not in text else text.strip(), mode="eval"
        ).body
    except SyntaxError as error:
        raise UserError(f"{text!r} is not {what}: {error.msg}", hint=_FORM) from None
    except (ValueError, RecursionError, MemoryError):
        raise UserError(f"{text[:60]!r} is not {what}: nested too deeply", hint=_FORM) from None


def _check(node: ast.AST, text: str) -> None:
    """Refuse everything that the grammar does not name."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, _BINARY + _BITS):
        _check_operands(node, text)
    elif isinstance(node, ast.BoolOp | ast.UnaryOp):
        pass  # what they hold is checked below
    elif isinstance(node, ast.Compare):
        _check_comparison(node, text)
        _check_all(
            [node.left, *(each for each in node.comparators if not isinstance(each, ast.Tuple | ast.List))], text
        )
        return
    elif isinstance(node, ast.Call):
        _check_call(node, text)
        _check_arguments([*node.args, *(keyword.value for keyword in node.keywords)], text)
        return
    elif isinstance(node, ast.Subscript):
        _check(node.value, text)
        _check_index(node.slice, text)
        return
    elif dotted(node) or _literal(node) is not None:
        return
    else:
        raise _refused(node, text)
    _check_all((child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)), text)


def _check_all(nodes: Iterable[ast.AST], text: str) -> None:
    for node in nodes:
        _check(node, text)


def _check_arguments(nodes: Iterable[ast.AST], text: str) -> None:
    """Arguments of functions may be lists, and None."""
    for node in nodes:
        if isinstance(node, ast.Tuple | ast.List):
            _check_arguments(node.elts, text)
        elif not _is_constant(node):
            _check(node, text)


def _check_operands(node: ast.BinOp, text: str) -> None:
    for side in (node.left, node.right):
        if isinstance(side, ast.Tuple | ast.List) or (isinstance(side, ast.Constant) and isinstance(side.value, str)):
            raise _refused(node, text)
    if isinstance(node.op, ast.Pow | ast.LShift) and not (_variables(node.left) or _variables(node.right)):
        right = _literal(node.right)
        # a negative exponent makes a small number, whatever it is: published parameters have 10**-99
        if not isinstance(right, int | float) or right > LARGEST_EXPONENT or _literal(node.left) is None:
            raise UserError(f"{text!r}: {ast.unparse(node)!r} is too large a number", hint="write it as 1e9")


def _check_comparison(node: ast.Compare, text: str) -> None:
    for sign, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(sign, ast.In | ast.NotIn):
            if not isinstance(right, ast.Tuple | ast.List) or not all(_is_constant(item) for item in right.elts):
                raise UserError(f"{text!r}: after `in` a list of constants is expected", hint="run in ('r000', 'r001')")
        elif not isinstance(sign, _COMPARE):
            raise UserError(f"{text!r}: compare with ==, !=, <, <=, >, >= or in", hint=_FORM)
        elif isinstance(right, ast.Tuple | ast.List):
            raise _refused(right, text)


def _check_call(node: ast.Call, text: str) -> None:
    name = dotted(node.func)
    module, _, function = name.rpartition(".")
    known = MODULES.get(module, frozenset()) if module else PLAIN
    if not name or function not in known:
        choices = [f"{module}.{each}" for each in known] if known and module else sorted(PLAIN)
        raise UserError(
            f"{text!r}: the function {name or ast.unparse(node.func)!r} may not be called here",
            hint=nearest(name, choices) or _FORM,
        )
    for keyword in node.keywords:
        if keyword.arg not in KEYWORDS:
            raise UserError(
                f"{text!r}: {name} has no keyword {keyword.arg!r} here", hint=nearest(str(keyword.arg), KEYWORDS)
            )


def _check_index(node: ast.AST, text: str) -> None:
    for part in node.elts if isinstance(node, ast.Tuple) else [node]:
        if isinstance(part, ast.Slice):
            _check_all((bound for bound in (part.lower, part.upper, part.step) if bound is not None), text)
        else:
            _check(part, text)


def _refused(node: ast.AST, text: str) -> UserError:
    return UserError(f"{text!r}: {ast.unparse(node)!r} is not allowed in an expression", hint=_FORM)


def dotted(node: ast.AST) -> str:
    """``a.b.c`` for such names, an empty text for anything else and for names that begin with two underscores."""
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base and not node.attr.startswith("__") else ""
    return node.id if isinstance(node, ast.Name) and not node.id.startswith("__") else ""


def _is_constant(node: ast.AST) -> bool:
    return _literal(node) is not None or (isinstance(node, ast.Constant) and node.value is None)


def _literal(node: ast.AST) -> Any:
    """The value of a constant with or without a sign; None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = node.operand.value if isinstance(node.operand, ast.Constant) else None
        if type(inner) not in (int, float):
            return None
        return -inner if isinstance(node.op, ast.USub) else inner  # type: ignore[operator]
    if isinstance(node, ast.Constant) and type(node.value) in (int, float, bool, str):
        return node.value
    return None


def _variables(node: ast.AST) -> bool:
    return any(isinstance(child, ast.Name) for child in ast.walk(node))


def _names(node: ast.AST) -> Iterator[str]:
    name = dotted(node)
    if name:
        if name not in CONSTANTS:
            yield name
    elif isinstance(node, ast.Call):
        for part in [*node.args, *(keyword.value for keyword in node.keywords)]:
            yield from _names(part)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _names(child)


class _Elementwise(ast.NodeTransformer):
    """Python's ``and``, ``or``, ``not``, ``in`` and ``a < b < c`` ask an array for its one truth value."""

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:  # noqa: N802 - as ast calls it
        self.generic_visit(node)
        sign = ast.BitAnd() if isinstance(node.op, ast.And) else ast.BitOr()
        return _joined(sign, node.values)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:  # noqa: N802
        self.generic_visit(node)
        return ast.UnaryOp(ast.Invert(), node.operand) if isinstance(node.op, ast.Not) else node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:  # noqa: N802
        self.generic_visit(node)
        if len(node.ops) == 1 and isinstance(node.ops[0], _COMPARE):
            return node
        pairs, left = [], node.left
        for sign, right in zip(node.ops, node.comparators, strict=True):
            pairs.append(_pair(left, sign, right))
            left = right
        return _joined(ast.BitAnd(), pairs)


def _pair(left: ast.expr, sign: ast.cmpop, right: ast.expr) -> ast.expr:
    if not isinstance(sign, ast.In | ast.NotIn):
        return ast.Compare(left, [sign], [right])
    items = right.elts if isinstance(right, ast.Tuple | ast.List) else []
    if not items:
        never = ast.Compare(left, [ast.NotEq()], [left])
        return ast.UnaryOp(ast.Invert(), never) if isinstance(sign, ast.NotIn) else never
    one, join = (ast.Eq(), ast.BitOr()) if isinstance(sign, ast.In) else (ast.NotEq(), ast.BitAnd())
    return _joined(join, [ast.Compare(left, [one], [item]) for item in items])


def _joined(sign: ast.operator, values: Sequence[ast.expr]) -> ast.expr:
    return reduce(lambda left, right: ast.BinOp(left, sign, right), values)


FIRST = re.compile(r"\(\s*(?:<\s*\.\.\.\s*>|\.\.\.)\s*,?")
"""The place of the arguments that the event builder supplies: ``f(<...>, key=value)``."""


def parsed_call(text: object, package: str, what: str = "a function call") -> Call:
    """Parse and check the call of a function of one package: ``package.module.function(<...>, name=value)``.

    Raises
    ------
    UserError
        If it is anything else: another package, arguments without a name, arguments that are computed.
    """
    form = f"only functions of {package} may be called, as {package}.module.function(<...>, name=value)"
    if not isinstance(text, str):
        raise UserError(f"{what} is a text, not {text!r}", hint=form)
    node = _tree(FIRST.sub("(", text.strip(), count=1), what)
    name = dotted(node.func) if isinstance(node, ast.Call) else ""
    inner = name.removeprefix(f"{package}.").split(".")
    if not isinstance(node, ast.Call) or not name.startswith(f"{package}.") or len(inner) != 2 or inner[1][0] == "_":
        raise UserError(f"{text!r} may not be called", hint=form)
    if node.args or any(keyword.arg is None for keyword in node.keywords):
        raise UserError(f"{text!r}: arguments need names", hint=form)
    arguments = {str(keyword.arg): _argument(keyword.value, text, form) for keyword in node.keywords}
    return Call(text, name, arguments)


def _argument(node: ast.expr, text: str, form: str) -> Any:
    name = dotted(node)
    if name:
        return CONSTANTS[name] if name in CONSTANTS else Column(name.removeprefix("evt."))
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, MemoryError, RecursionError):
        raise UserError(f"{text!r}: {ast.unparse(node)!r} is neither a value nor a name", hint=form) from None
