"""Operations of hit on columns in memory: what a calibration defines is evaluated as hit will evaluate it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.base.errors import UserError
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.evaluate import evaluate
from dataflow.metadata.expressions import parsed

Columns = Mapping[str, NDArray[Any]]
Operations = Mapping[str, Mapping[str, Any]]


def made(expression: str, **parameters: float) -> dict[str, Any]:
    """An operation as parameter files have it."""
    return {"expression": expression, "parameters": parameters}


def columns_below(name: str, operations: Operations) -> Iterator[str]:
    """The columns of dsp that a column of hit is made of; its own name where it is one of dsp."""
    if name not in operations:
        yield name
        return
    own = dict(operations[name].get("parameters") or {})
    for each in parsed(operations[name]["expression"]).names - own.keys() - {name}:
        yield from columns_below(each, operations)


def value_of(name: str, operations: Operations, data: Columns) -> NDArray[Any]:
    """A column of hit, or of dsp where no operation makes it; shape (events,).

    Parameters
    ----------
    name
        Its name.
    operations
        Expressions and parameters by name.
    data
        Columns of dsp, shape (events,) each.

    Raises
    ------
    WorkFailed
        If dsp lacks a column, or an operation cannot be evaluated.
    """
    if name not in operations:
        if name not in data:
            raise WorkFailed(f"dsp has no column {name}")
        return np.asarray(data[name])
    operation = operations[name]
    parameters = {key: float(value) for key, value in (operation.get("parameters") or {}).items()}
    expression = parsed(operation["expression"])
    values = {each: value_of(each, operations, data) for each in expression.names - parameters.keys() - {name}}
    try:
        return np.asarray(evaluate(expression, {**values, **parameters}))
    except UserError as error:
        raise WorkFailed(f"{name}: {error.message}") from error
