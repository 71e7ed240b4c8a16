"""What par_tcm_pulser is made from, and what it needs."""

from __future__ import annotations

from dataflow.registry.step import ALL_CHANNELS, Input, Output, Resources, Scope, Step

OTHERS = ("fft", "pzc")
"""Datatypes of the same run whose files are marked too."""

STEP = Step(
    "par_tcm_pulser",
    Scope.RUN,
    (
        Input("tcm"),
        Input("raw", optional=True),
        Input("tcm", role="other_tcm", datatypes=OTHERS, optional=True),
        Input("raw", role="other_raw", datatypes=OTHERS, optional=True),
    ),
    {"masks": Output(".lh5", "step", "par_tcm_pulser")},
    part_of="tcm",
    rule="pars_tcm_pulser",
    configs={"pulser_config": "par_tcm_pulser.settings:PulserSettings"},
    channels=ALL_CHANNELS,
    resources=Resources(2000),
    doc="pulser, forced-trigger and recovery masks",
)
