"""What par_dsp_eopt is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import GERMANIUM, PART_AND_FIGURES, PROCESSING_CHAIN, Input, Resources, Scope, Step

STEP = Step(
    "par_dsp_eopt",
    Scope.RUN,
    (
        Input("par_dsp_evtsel.peaks", role="peaks"),
        Input("par_dsp_evtsel", role="evtsel"),
        Input("par_dsp_pz", role="pz"),
        Input("par_dsp_nopt", role="nopt"),
    ),
    PART_AND_FIGURES,
    part_of="dsp",
    rule="pars_dsp_eopt",
    configs={"optimiser_config": "par_dsp_eopt.settings:EoptSettings", "processing_chain": PROCESSING_CHAIN},
    channels=GERMANIUM,
    resources=Resources(4000, 8),
    doc="filters of least line width, and the correction for charge trapping",
)
