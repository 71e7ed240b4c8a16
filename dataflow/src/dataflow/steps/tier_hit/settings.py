"""Settings of hit: operations on columns in the form of :func:`pygama.hit.build_hit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from dataflow.base.errors import UserError
from dataflow.metadata.expressions import parsed
from dataflow.metadata.settings import Nowhere, Place, StepOptions, StepSettings


class HitOperation(StepSettings):
    """One column.

    Attributes
    ----------
    expression
        Of columns of dsp and of other operations.
    parameters
        Numbers that the expression names.
    lgdo_attrs
        Attributes of the column, such as its units.
    description
        What it is.
    """

    expression: str
    parameters: dict[str, Any] | None = None
    lgdo_attrs: dict[str, Any] | None = None
    description: str | None = None


class HitConfig(StepSettings):
    """The calibrated quantities of a channel.

    Attributes
    ----------
    outputs
        Columns of the result: operations, or columns of dsp that are handed on.
    outputs_if_calibrated
        Columns of the result where there is an operation of this name: those of a calibration that a detector may lack.
    operations
        Columns by name; those of the calibration are laid over them.
    aggregations
        Columns of bits by name: ``bit0: column``, ``bit1: column`` …; the attribute ``bit_names`` has their names.
    """

    outputs: tuple[str, ...]
    outputs_if_calibrated: tuple[str, ...] = ()
    operations: dict[str, HitOperation] = {}
    aggregations: dict[str, dict[str, str]] | None = None

    @classmethod
    def read(cls, config: Mapping[str, Any], name: str = "", place: Place | None = None) -> Self:
        """Settings whose expressions have been checked, and whose bits are numbered as they are written.

        Raises
        ------
        UserError
            If an expression is none, bits are not in order, or as the base class says.
        """
        found = super().read(config, name, place)
        found._check_bits(name, place or Nowhere())
        for column, operation in found.operations.items():
            try:
                parsed(operation.expression)
            except UserError as error:
                where = ("operations", column, "expression")
                raise (place or Nowhere()).error(f"{column}: {error.message}", *where, hint=error.hint) from None
        return found

    def _check_bits(self, name: str, place: Place) -> None:
        """Pygama numbers bits by their order, whatever they are called."""
        for column, bits in (self.aggregations or {}).items():
            expected = [f"bit{number}" for number in range(len(bits))]
            if list(bits) != expected:
                message = f"{name}.aggregations.{column}: the bits are called {', '.join(bits)}"
                raise place.error(message, "aggregations", column, hint=f"write them in order: {', '.join(expected)}")


class HitSettings(StepSettings):
    """What the file has beside its columns.

    Attributes
    ----------
    aliases
        Add the names of detectors as hard links, ``hit/V07302A`` and ``V07302A/hit``.
    """

    aliases: bool = True


class HitOptions(StepOptions):
    """Options of the rule.

    Attributes
    ----------
    settings
        Names of detectors in the file.
    """

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {"logging": "every job has its log"}

    settings: HitSettings | None = None
