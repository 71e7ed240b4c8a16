"""What par_pht_partcal is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import GERMANIUM, PART_AND_FIGURES, Input, Resources, Scope, Step

STEP = Step(
    "par_pht_partcal",
    Scope.PARTITION,
    (Input("dsp"), Input("par_tcm_pulser", role="masks"), Input("par_hit_ecal")),
    PART_AND_FIGURES,
    part_of="pht",
    rule="pars_pht_partcal",
    configs={
        "pars_pht_partcal_config": "par_pht_partcal.settings:PartitionSettings",
        "sources": "par_hit_ecal.settings:Sources",
    },
    check="par_pht_partcal.source:partition_of",
    channels=GERMANIUM,
    resources=Resources(8000, 8),
    doc="energy calibration of the runs of a partition together",
)
