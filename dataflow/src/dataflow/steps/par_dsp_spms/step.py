"""What par_dsp_spms is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import (
    DATA,
    LIGHT,
    OWN_PARS,
    PROCESSING_CHAIN,
    SIPMS,
    Input,
    Output,
    Resources,
    Scope,
    Step,
)

STEP = Step(
    "par_dsp_spms",
    Scope.FILE,
    (Input("raw"),),
    {**OWN_PARS, DATA: Output(".lh5", "plot")},
    datatypes=LIGHT,
    part_of="dsp",
    merged=False,
    rule="pars_spms_dsp_trg_thr",
    configs={"processing_chain": PROCESSING_CHAIN, "settings": "par_dsp_spms.settings:NoiseSettings"},
    channels=SIPMS,
    resources=Resources(2000, 4),
    doc="noise of each SiPM of a file",
)
