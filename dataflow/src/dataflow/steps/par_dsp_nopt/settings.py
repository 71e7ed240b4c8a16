"""Settings of the filter times of least noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from dataflow.metadata.settings import StepSettings

_COLUMNS = "traces are wf_blsub and wf_pz of the chain"
_SCATTER = "the noise is the standard deviation at several places of each trace"
_CURVE = "the minimum is that of a parabola through the lowest point of the scan and its neighbours"


class Filter(StepSettings):
    """One filter whose time is scanned.

    Attributes
    ----------
    dict_str
        The filter: the chain has its times as ``db.cusp``, ``db.zac`` and ``db.etrap``.
    filter_par
        The time that is scanned: ``sigma`` of cusp and zac, ``rise`` of etrap.
    """

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {"ene_str": "the filter is applied where a pulse's energy is taken"}

    dict_str: Literal["cusp", "zac", "etrap"]
    filter_par: Literal["sigma", "rise"]

    @model_validator(mode="after")
    def _is_its_own(self) -> Self:
        if self.filter_par != ("rise" if self.dict_str == "etrap" else "sigma"):
            raise ValueError(f"a time that {self.dict_str} has, which {self.filter_par} is not")
        return self


class NoptSettings(StepSettings):
    """What ``optimiser_config`` of ``pars_dsp_nopt`` says.

    Attributes
    ----------
    run_nopt
        Whether times are sought at all; without, those of the chain hold.
    n_events
        Forced triggers that are looked at, at most.
    start, stop, step
        The scan in microseconds, stop included where a step reaches it. Times that do not fit into the trace are left
        out, and the rise times are whole numbers of samples.
    flat
        Flat top in microseconds, given to the chain together with the time that was found.
    kernel
        Length of the cusp and zac kernels as a part of the trace, as in the chain.
    optimization
        The filters, under names of your own.
    n_bootstrap_samples
        Resamples of the traces that give the error.
    least
        Quiet traces below which there is no result.
    """

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {
        "cut_pars": "cuts on the traces follow from the data",
        "fft_field": _COLUMNS,
        "fft_batch_size": _COLUMNS,
        "step_val": _CURVE,
        "fit_deg": _CURVE,
        "perform_fit": _SCATTER,
        "dx": _SCATTER,
        "percentile_low": _SCATTER,
        "percentile_high": _SCATTER,
        "plot_range": "figures are always the same",
    }

    run_nopt: bool = True
    n_events: int = Field(5000, ge=1)
    start: float = Field(1.0, gt=0)
    stop: float = Field(20.0, gt=0)
    step: float = Field(0.5, gt=0)
    flat: float = Field(3.0, ge=0)
    kernel: float = Field(0.6, gt=0, lt=1)
    optimization: dict[str, Filter] = {
        name: Filter(dict_str=name, filter_par="rise" if name == "etrap" else "sigma")
        for name in ("cusp", "zac", "etrap")
    }
    n_bootstrap_samples: int = Field(100, ge=2)
    least: int = Field(50, ge=10)
