"""A small experiment that all tests of the demonstration share."""

from __future__ import annotations

from pathlib import Path

import pytest

from gebox.experiment import Experiment, build
from gebox.simulate import simulate


@pytest.fixture(scope="session")
def small() -> Experiment:
    """The default experiment with few events."""
    return build(seed=7, scale=0.02)


@pytest.fixture(scope="session")
def simulated(small: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its DAQ files in ``daq`` and its truth in ``truth``."""
    folder = tmp_path_factory.mktemp("gebox")
    simulate(small, folder / "daq", folder / "truth")
    return folder
