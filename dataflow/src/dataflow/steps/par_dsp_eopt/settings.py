"""Settings of the filters' optimisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from dataflow.metadata.settings import StepSettings

Positive = Annotated[float, Field(gt=0)]

_SCAN = "the widths of all filters are known on the same events: a coarse scan, then a fine one around its minimum"
_FIT = "the width is that of a line whose energy may depend on the drift time; it is stated at the source's energy"


class EoptSettings(StepSettings):
    """What ``optimiser_config`` of ``pars_dsp_eopt`` says.

    Attributes
    ----------
    run_eopt
        Whether filters are optimised at all; without, the times of least noise, or those of the chain, hold, and there
        is no correction for charge trapping.
    peaks
        Energies in keV of the lines that are used, of those that were selected; empty: all.
    min_flat_value, max_flat_value
        Limits of the flat top in microseconds; within them it follows from the longest drift times.
    sigma
        Range of ``sigma`` of cusp and zac in microseconds.
    rise
        Range of the rise time of the trapezoid in microseconds, as far as it fits into the trace.
    step
        Step of the fine scan in microseconds; the coarse one has four times that.
    kernel
        Length of the cusp and zac kernels as a part of the trace, as in the chain.
    least
        Events in a line below which it is not used.
    """

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {
        "kev_widths": "the windows are those of the selection",
        "initial_samples": _SCAN,
        "acq_func": _SCAN,
        "batch_size": _SCAN,
        "n_iter": _SCAN,
        "nan_default": _SCAN,
        "fom": _FIT,
        "fom_field": _FIT,
        "fom_err_field": _FIT,
        "use_log_pdf": _FIT,
    }

    run_eopt: bool = True
    peaks: tuple[Positive, ...] = ()
    min_flat_value: Positive = 1.0
    max_flat_value: Positive = 4.0
    sigma: tuple[Positive, Positive] = (0.5, 16.0)
    rise: tuple[Positive, Positive] = (1.0, 12.0)
    step: Positive = 0.5
    kernel: float = Field(0.6, gt=0, lt=1)
    least: int = Field(30, ge=10)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        for name in ("sigma", "rise"):
            low, high = getattr(self, name)
            if low >= high:
                raise ValueError(f"with {name} from low to high, which {low:g} to {high:g} is not")
        if self.min_flat_value > self.max_flat_value:
            raise ValueError("with min_flat_value up to max_flat_value")
        return self
