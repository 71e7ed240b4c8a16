"""What par_dsp_dplms is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import GERMANIUM, PART_AND_FIGURES, PROCESSING_CHAIN, Input, Output, Resources, Scope, Step

STEP = Step(
    "par_dsp_dplms",
    Scope.RUN,
    (
        Input("raw", role="noise", datatypes=("fft",), optional=True),
        Input("par_dsp_evtsel", role="evtsel"),
        Input("par_dsp_evtsel.peaks", role="peaks"),
        Input("par_dsp_pz", role="pz"),
    ),
    {**PART_AND_FIGURES, "coefficients": Output(".lh5", "par", "par_dsp_dplms")},
    part_of="dsp",
    rule="pars_dsp_dplms",
    configs={"dplms_pars": "par_dsp_dplms.settings:DplmsSettings", "proc_chain": PROCESSING_CHAIN},
    channels=GERMANIUM,
    resources=Resources(4000, 8),
    doc="coefficients of the DPLMS filter, where the run has fft data",
)
