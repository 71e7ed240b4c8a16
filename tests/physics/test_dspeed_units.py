"""A registry of units that remembers answers as pint does, and is needed still."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lgdo import Table

from dataflow.physics.dspeed_units import Remembering, install

from .traces import waveform


@pytest.fixture
def registries() -> tuple[Any, Remembering]:
    """pint's, and one that remembers."""
    import pint

    registry = pint.UnitRegistry()
    return registry, Remembering(registry)


def test_it_answers_as_pint_does(registries: tuple[Any, Remembering]) -> None:
    pints, ours = registries
    for _ in range(2):
        for name in ("ns", "us", "keV", "waveform", "ADC", "sample", "tp_0", "m", "bl_std"):
            assert (name in ours) == (name in pints), name
        assert ours("3*us") == pints("3*us")
        assert ours.Quantity("2 ns").to("ps").magnitude == pytest.approx(2000)
    units = [pints.ns, pints.Quantity("16 ns"), pints.keV, pints.dimensionless, "us", "keV"]
    for one in (pints.ns, pints.Quantity("96 ns"), pints.dimensionless):
        for other in units:
            assert ours.is_compatible_with(one, other) == pints.is_compatible_with(one, other), (one, other)


def test_dspeed_asks_the_same_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails, dspeed asks less: delete ``dataflow.physics.dspeed_units``."""
    from dspeed import processing_chain

    asked: list[str] = []
    registry: Any = getattr(processing_chain.ureg, "_registry", processing_chain.ureg)

    class Counting(Remembering):
        def __contains__(self, name: Any) -> bool:
            asked.append(str(name))
            return super().__contains__(name)

    install()
    monkeypatch.setattr(processing_chain, "ureg", Counting(registry))
    processors = {
        f"wf_{number}": {
            "function": "bl_subtract",
            "module": "dspeed.processors",
            "args": ["waveform", 3, f"wf_{number}"],
        }
        for number in range(5)
    }
    table = Table(col_dict={"waveform": waveform(np.zeros((1, 50), "u2"))})
    processing_chain.build_processing_chain(processors, table, {}, list(processors))
    assert len(asked) > 2 * len(set(asked))
