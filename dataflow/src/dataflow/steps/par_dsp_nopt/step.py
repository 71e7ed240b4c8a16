"""What par_dsp_nopt is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import GERMANIUM, PART_AND_FIGURES, PROCESSING_CHAIN, Input, Resources, Scope, Step

STEP = Step(
    "par_dsp_nopt",
    Scope.RUN,
    (Input("raw", role="noise", datatypes=("fft",), optional=True), Input("par_dsp_pz", role="pz")),
    PART_AND_FIGURES,
    part_of="dsp",
    rule="pars_dsp_nopt",
    configs={"optimiser_config": "par_dsp_nopt.settings:NoptSettings", "processing_chain": PROCESSING_CHAIN},
    channels=GERMANIUM,
    resources=Resources(4000, 8),
    doc="filter times of least noise, where the run has fft data",
)
