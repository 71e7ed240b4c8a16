"""The steps that list which parameters hold when."""

from __future__ import annotations

from dataflow.registry.step import PARS, Scope, Step

STEPS = (
    Step("validity_dsp", Scope.CYCLE, outputs=PARS, doc="which dsp parameters hold when"),
    Step("validity_hit", Scope.CYCLE, outputs=PARS, doc="which hit parameters hold when"),
    Step("validity_pht", Scope.CYCLE, outputs=PARS, doc="which pht parameters hold when"),
)
