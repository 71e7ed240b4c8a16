"""The steps that join the results of a calibration into the parameter file of a tier."""

from __future__ import annotations

from dataflow.registry.step import GERMANIUM, PARS, Scope, Step

STEPS = (
    Step("par_dsp", Scope.RUN, outputs=PARS, channels=GERMANIUM, doc="parameters for dsp"),
    Step("par_hit", Scope.RUN, outputs=PARS, channels=GERMANIUM, doc="parameters for hit"),
    Step("par_pht", Scope.RUN, outputs=PARS, channels=GERMANIUM, doc="parameters for pht"),
)
