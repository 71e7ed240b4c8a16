"""What dspeed works out again and again while it makes a chain: worked out once.

For each name and each argument of a chain dspeed asks pint whether it is a unit and whether units can be converted,
parses expressions that it has parsed before, and spells out variables and calls several times, with their units, for a
log that nobody reads. That is most of the time of making a chain, which is a tenth of a second for each channel of each
file. Within :func:`remembered` answers are kept, those on texts alone from chain to chain. They are dspeed's own, so
chains are the same. Needless as soon as pint and dspeed remember.
"""

from __future__ import annotations

import ast
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any

MOST_TEXTS = 4096
"""Expressions that are kept: those of some chains; numbers stand in them, which differ between channels."""


class Remembering:
    """A registry of units that keeps the answers to questions about texts.

    Parameters
    ----------
    registry
        The registry that is asked.
    """

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self._is_unit = cache(registry.__contains__)
        self._parsed = cache(registry.__call__)
        self._compatible = cache(registry.is_compatible_with)

    def __contains__(self, name: Any) -> bool:
        return bool(self._is_unit(name) if isinstance(name, str) else name in self._registry)

    def __call__(self, text: str) -> Any:
        return self._parsed(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)

    def is_compatible_with(self, one: Any, other: Any) -> bool:
        """Whether one unit can be converted into another; of a quantity, its unit alone counts."""
        return bool(self._compatible(getattr(one, "units", one), getattr(other, "units", other)))


def parsing() -> SimpleNamespace:
    """What the module :mod:`ast` has, with trees that are kept: dspeed only reads them."""
    return SimpleNamespace(**{**vars(ast), "parse": lru_cache(MOST_TEXTS)(ast.parse)})


@contextmanager
def remembered() -> Iterator[None]:
    """Have dspeed remember while chains are made."""
    before = [(owner, vars(owner).get(name), name) for owner, names in _replacements() for name in names]
    try:
        for owner, names in _replacements():
            for name, instead in names.items():
                setattr(owner, name, instead)
        yield
    finally:
        for owner, original, name in before:
            if original is None:
                delattr(owner, name)
            else:
                setattr(owner, name, original)


@cache
def _replacements() -> list[tuple[Any, Mapping[str, Any]]]:
    """What is replaced, by the module, class or object that has it."""
    from dspeed import processing_chain

    registry = processing_chain.ureg
    pints = registry.get() if hasattr(registry, "get") else registry
    return [
        (processing_chain, {"ureg": Remembering(registry), "ast": parsing()}),
        (processing_chain.ProcChainVar, {"description": _described(processing_chain)}),
        (processing_chain.ProcessingChain, {"get_variable": _names_once(processing_chain.ProcessingChain)}),
        (processing_chain.ProcessorManager, {"__str__": _spelt_once(processing_chain.ProcessorManager)}),
        (pints, {"parse_units": cache(pints.parse_units)}),
    ]


def _described(module: Any) -> Callable[[Any], str]:
    """Variables are described only where that is logged."""
    original = module.ProcChainVar.description

    def description(self: Any) -> str:
        return str(original(self)) if module.log.isEnabledFor(logging.DEBUG) else ""

    return description


def _names_once(chains: Any) -> Callable[..., Any]:
    """Which names stand in an expression is looked up once; in a chain that has no variables yet, the text tells."""
    original = chains.get_variable
    empty = chains(1, 1)
    names = lru_cache(MOST_TEXTS)(lambda text: tuple(original(empty, text, True)))

    def get_variable(self: Any, expr: str, get_names_only: bool = False, expr_only: bool = False) -> Any:
        if get_names_only and not self._vars_dict:
            return list(names(expr))
        return original(self, expr, get_names_only, expr_only)

    return get_variable


def _spelt_once(managers: Any) -> Callable[[Any], str]:
    """A call is spelt out once; its parameters stay what they are."""
    original = managers.__str__

    def spelt(self: Any) -> str:
        known = vars(self)
        if _TEXT not in known:
            known[_TEXT] = original(self)
        return str(known[_TEXT])

    return spelt


_TEXT = "_text_of_call"
