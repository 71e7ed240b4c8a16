"""Settings of the quality cuts, checked while planning; no numpy here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from dataflow.base.errors import UserError
from dataflow.metadata.expressions import parsed
from dataflow.metadata.settings import Nowhere, Place, StepSettings

Name = Annotated[str, Field(min_length=1)]
Percent = Annotated[float, Field(gt=50, lt=100)]


class Sides(StepSettings):
    """Levels of a cut; a side that is left out has none.

    Attributes
    ----------
    low_side, high_side
        In standard deviations, counted from the mode. For classifiers the low side is a negative number, for
        ``initial_cal_cuts`` a positive one, as in the published flow. Of ``cut_percentile``: percent.
    """

    low_side: float | None = None
    high_side: float | None = None


class Default(StepSettings):
    """What a level by percentile is compared with.

    Attributes
    ----------
    value
        Standard deviations, for both sides or for each.
    mode
        ``higher_limit``: the level is not further out than this; ``lower_limit``: not further in.
    """

    value: float | Sides
    mode: Literal["higher_limit", "lower_limit"]


class Cut(StepSettings):
    """A cut: an expression that is taken as it is, or levels on a quantity that follow from its distribution.

    Attributes
    ----------
    expression
        Of columns of dsp and other cuts.
    parameters
        Numbers that the expression names.
    cut_parameter
        The quantity: a column of dsp, or an expression of columns.
    cut_level
        Standard deviations from the mode: a number for both sides, or ``low_side`` and ``high_side``.
    cut_percentile
        Percent of events on the inner side of a level, instead of ``cut_level``.
    method
        Accepted; a percentile is that of the events, or of a normal distribution where they are too few.
    default
        What a level by percentile is compared with.
    mode
        Whether the flag is true between the levels (``inclusive``) or beyond them (``exclusive``).
    description
        What it is.
    """

    expression: str | None = None
    parameters: Mapping[str, Any] | None = None
    cut_parameter: Name | None = None
    cut_level: Annotated[float, Field(gt=0)] | Sides | None = None
    cut_percentile: Percent | Sides | None = None
    method: str = "fit"
    default: Default | None = None
    mode: Literal["inclusive", "exclusive"] = "inclusive"
    description: str | None = None

    @property
    def quantity(self) -> str:
        """The expression of the quantity, or of the whole cut."""
        return self.expression or self.cut_parameter or ""

    def problem(self, *, negative: bool) -> tuple[str, str]:
        """What is wrong with the entries together, and the entry that it is about; empty if nothing is."""
        if (self.expression is None) == (self.cut_parameter is None):
            return "a cut has either an expression or a cut_parameter", "expression"
        if self.cut_parameter is not None and (self.cut_level is None) == (self.cut_percentile is None):
            return "a cut_parameter has either a cut_level or a cut_percentile", "cut_parameter"
        if isinstance(self.cut_level, Sides):
            return _sides_problem(self.cut_level, negative=negative), "cut_level"
        if isinstance(self.cut_percentile, Sides):
            given = [side for side in (self.cut_percentile.low_side, self.cut_percentile.high_side) if side is not None]
            wrong = not given or not all(50 < side < 100 for side in given)
            return "a percentile lies between 50 and 100" if wrong else "", "cut_percentile"
        return "", ""


def _sides_problem(level: Sides, *, negative: bool) -> str:
    if level.low_side is None and level.high_side is None:
        return "a cut_level has a low_side, a high_side or both"
    if level.low_side is not None and (level.low_side < 0) is not negative:
        return f"low_side is a {'negative' if negative else 'positive'} number here, not {level.low_side:g}"
    return ""


class CutFields(StepSettings):
    """Cuts, by the name of their flag.

    Attributes
    ----------
    cut_parameters
        The cuts.
    threshold
        Events count whose ``trapTmax`` (ADC) is above this.
    """

    cut_parameters: Mapping[str, Cut] = Field(default_factory=dict)
    threshold: Annotated[float, Field(ge=0)] = 0.0

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {"rounding": "limits are not rounded"}


class Settings(StepSettings):
    """What ``qc_config`` says.

    Attributes
    ----------
    cal_fields
        Cuts that follow from the calibration's pulses.
    fft_fields
        Cuts that follow from traces without pulses, each from what the ones before it leave.
    initial_cal_cuts
        What is removed before the cuts of the calibration are derived; hit does not have them.
    """

    cal_fields: CutFields = Field(default_factory=CutFields)
    fft_fields: CutFields = Field(default_factory=CutFields)
    initial_cal_cuts: CutFields = Field(default_factory=CutFields)

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {
        "rounding": "limits are not rounded",
        "threshold": "that of cal_fields is used, as in the published flow",
    }

    @classmethod
    def read(cls, config: Mapping[str, Any], name: str = "", place: Place | None = None) -> Self:
        """Settings whose cuts are complete and whose expressions have been checked.

        Raises
        ------
        UserError
            If a cut is not, or as the base class says.
        """
        found = super().read(config, name, place)
        for part, cut_name, cut in found.all_cuts():
            where = (part, "cut_parameters", cut_name)
            problem, entry = cut.problem(negative=part != "initial_cal_cuts")
            if problem:
                raise (place or Nowhere()).error(f"{name}.{'.'.join(where)}: {problem}", *where, entry)
            try:
                parsed(cut.quantity)
            except UserError as error:
                entry = "cut_parameter" if cut.expression is None else "expression"
                raise (place or Nowhere()).error(
                    f"{cut_name}: {error.message}", *where, entry, hint=error.hint
                ) from None
        return found

    def all_cuts(self) -> Iterator[tuple[str, str, Cut]]:
        """Part, name and cut of all cuts."""
        parts = {
            "initial_cal_cuts": self.initial_cal_cuts,
            "fft_fields": self.fft_fields,
            "cal_fields": self.cal_fields,
        }
        for part, fields in parts.items():
            for name, cut in fields.cut_parameters.items():
                yield part, name, cut
