"""Settings of the noise of SiPMs."""

from __future__ import annotations

from pydantic import Field

from dataflow.metadata.settings import StepSettings


class NoiseSettings(StepSettings):
    """What ``settings`` of ``pars_spms_dsp_trg_thr`` says.

    Attributes
    ----------
    n_events
        Traces that are looked at, at most: the first ones of the file.
    least
        Traces below which there is no result; each trace then has its own noise.
    """

    n_events: int = Field(500, ge=1)
    least: int = Field(5, ge=1)
