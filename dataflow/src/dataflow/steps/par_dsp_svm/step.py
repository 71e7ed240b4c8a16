"""What par_dsp_svm is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import GERMANIUM, PART_AND_FIGURES, PROCESSING_CHAIN, Input, Output, Resources, Scope, Step

STEP = Step(
    "par_dsp_svm",
    Scope.RUN,
    (Input("raw"),),
    {**PART_AND_FIGURES, "model": Output(".lh5", "par", "par_dsp_svm")},
    part_of="dsp",
    rule="pars_dsp_svm",
    configs={"svm_config": "par_dsp_svm.settings:SvmSettings", "processing_chain": PROCESSING_CHAIN},
    only_with=("svm_config", "training_data"),
    channels=GERMANIUM,
    resources=Resources(4000, 8),
    doc="machine that labels traces, where training data are configured",
)
