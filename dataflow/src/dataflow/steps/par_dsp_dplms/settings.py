"""Settings of the DPLMS filter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from dataflow.metadata.settings import StepSettings

Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]

_SELECTION = "pulses that are not alone in their trace are left out by their shape"
_TRACES = "the traces are wf_blsub of the chain, whatever their length"
_FIT = "lines are fitted as in the energy calibration"
_FIGURE = "figures are always the same"
_PULSES: Mapping[str, str] = {"rt": _SELECTION, "pt": _SELECTION}


class Grid(StepSettings):
    """The weights that are tried, each with each.

    Attributes
    ----------
    nm
        Of the noise.
    za
        Of the filter's area, in ADC²: the mean square of what levels are off beyond the noise.
    pl
        Of the response to the tail of an earlier pulse, in ADC²: the mean square of its height where the filter begins.
    ft
        Of the change of the response with the time at which charge is collected.
    """

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = _PULSES

    nm: tuple[Positive, ...] = Field(default=(1.0,), min_length=1)
    za: tuple[Weight, ...] = Field(default=(1.0,), min_length=1)
    pl: tuple[Weight, ...] = Field(default=(100.0, 10000.0), min_length=1)
    ft: tuple[Weight, ...] = Field(default=(1.0, 100.0), min_length=1)


class Point(StepSettings):
    """The weights where none of those that are tried is good.

    Attributes
    ----------
    nm, za, pl, ft
        As in the grid.
    """

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = _PULSES

    nm: Positive = 1.0
    za: Weight = 1.0
    pl: Weight = 100.0
    ft: Weight = 1.0


class DplmsSettings(StepSettings):
    """What ``dplms_pars`` of ``pars_dsp_dplms`` says.

    Attributes
    ----------
    run_dplms
        Whether coefficients are sought at all; without, dplmsEmax is NaN.
    n_baselines
        Forced triggers that are looked at, at most.
    n_signals
        Pulses of the lines that are looked at, at most.
    peaks_kev
        Lines whose pulses give the shapes; the resolution is that of the last one.
    length
        Length of the filter in samples of the averaged trace; without it, `kernel` decides.
    kernel
        Length of the filter as a part of the trace, as that of cusp and zac in the chain.
    baseline
        Part of the trace whose mean the chain subtracts.
    flat
        How much earlier or later than found pulses may begin and still be given the same energy, in microseconds: both
        together are the flat top beside the collection of the charge.
    collection
        How long the collection of the charge may take at most, in microseconds; the pulses tell how long it takes.
    dp_coeffs
        Weights that are tried.
    dp_def
        Weights where none of these is good.
    fwhm_limit, err_limit
        Width of the line and its error in keV above which weights are not good.
    p_val_lim
        Probability of the fit's chi square below which weights are not good.
    least
        Quiet traces below which there is no result.
    least_signals
        Pulses below which there is no result.
    """

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {
        "bls_cut_pars": "cuts on the traces follow from the data",
        "bl_field": _TRACES,
        "bsize": _TRACES,
        "wf_field": _TRACES,
        "wsize": _TRACES,
        "period": _TRACES,
        "rt_low": _SELECTION,
        "rt_high": _SELECTION,
        "peak_lim": _SELECTION,
        "centroid_lim": _SELECTION,
        "kev_widths": _FIT,
        "fom_func": _FIT,
        "use_log_pdf": _FIT,
        "zoom": _FIGURE,
        "n_plot": _FIGURE,
    }

    run_dplms: bool = True
    n_baselines: int = Field(5000, ge=1)
    n_signals: int = Field(5000, ge=1)
    peaks_kev: tuple[Positive, ...] = Field(default=(2614.511,), min_length=1)
    length: int | None = Field(None, ge=10)
    kernel: float = Field(0.6, gt=0, lt=1)
    baseline: float = Field(0.34, gt=0, lt=1)
    flat: float = Field(0.5, ge=0)
    collection: float = Field(3.0, gt=0)
    dp_coeffs: Grid = Grid()
    dp_def: Point = Point()
    fwhm_limit: float = Field(10.0, gt=0)
    err_limit: float = Field(1.0, gt=0)
    p_val_lim: float = Field(0.0, ge=0, lt=1)
    least: int = Field(50, ge=10)
    least_signals: int = Field(50, ge=10)
