"""What par_dsp_evtsel is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import GERMANIUM, PART_AND_FIGURES, PROCESSING_CHAIN, Input, Output, Resources, Scope, Step

STEP = Step(
    "par_dsp_evtsel",
    Scope.RUN,
    (Input("raw"), Input("par_tcm_pulser", role="masks"), Input("par_dsp_pz", role="pz")),
    {**PART_AND_FIGURES, "peaks": Output(".lh5", "step", "par_dsp_peaks")},
    part_of="dsp",
    rule="pars_dsp_peak_selection",
    configs={
        "peak_config": "par_dsp_evtsel.settings:SelectionSettings",
        "processing_chain": PROCESSING_CHAIN,
        "sources": "par_hit_ecal.settings:Sources",
    },
    check="par_dsp_evtsel.lines:selection_of",
    channels=GERMANIUM,
    resources=Resources(4000, 8),
    doc="events of the lines by which filters are optimised",
)
