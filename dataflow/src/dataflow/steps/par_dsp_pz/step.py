"""What par_dsp_pz is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import GERMANIUM, PART_AND_FIGURES, PROCESSING_CHAIN, Input, Resources, Scope, Step

STEP = Step(
    "par_dsp_pz",
    Scope.RUN,
    (
        Input("raw"),
        Input("par_tcm_pulser", role="masks"),
        Input("raw", role="pzc", datatypes=("pzc",), optional=True),
    ),
    PART_AND_FIGURES,
    part_of="dsp",
    rule="pars_dsp_tau",
    configs={"tau_config": "par_dsp_pz.settings:PzSettings", "processing_chain": PROCESSING_CHAIN},
    channels=GERMANIUM,
    resources=Resources(4000, 8),
    doc="decay constants, from pzc data where the run has some",
)
