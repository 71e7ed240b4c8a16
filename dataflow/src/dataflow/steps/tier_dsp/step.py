"""What tier_dsp is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import PROCESSED, PROCESSING_CHAIN, Input, Resources, Scope, Step

STEP = Step(
    "tier_dsp",
    Scope.FILE,
    (
        Input("raw"),
        Input("par_dsp"),
        Input("par_dsp_dplms.coefficients", role="coefficients", optional=True),
        Input("par_dsp_svm.model", role="svm", optional=True),
        Input("par_dsp_spms", role="spms", optional=True),
    ),
    rule="tier_dsp",
    configs={"processing_chain": PROCESSING_CHAIN},
    options="tier_dsp.settings:DspOptions",
    channels=PROCESSED,
    resources=Resources(3000, 4),
    doc="quantities from waveforms",
)
