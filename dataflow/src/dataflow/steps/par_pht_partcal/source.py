"""How a detector's partition is calibrated, and with which lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataflow.steps.par_hit_ecal.settings import Sources
from dataflow.steps.par_hit_ecal.source import check_copies, source_of

from .settings import PartitionSettings

if TYPE_CHECKING:
    from dataflow.keys.channel import Channel
    from dataflow.metadata.stepconfig import StepConfig
    from dataflow.physics.lines import Source

INPUT = "pars_pht_partcal_config"


def partition_of(config: StepConfig, channel: Channel) -> tuple[PartitionSettings, Source]:
    """The settings of a detector, and the lines of its source.

    Raises
    ------
    UserError
        If the configuration is not valid; file and line are named.
    """
    settings, table = config.settings(INPUT, PartitionSettings, channel), config.settings("sources", Sources, channel)
    place = config.layers(INPUT, channel)
    if settings.estimators:
        check_copies(settings, settings.estimators, place, INPUT)
    return settings, source_of(settings, table.nuclides, place, INPUT)
