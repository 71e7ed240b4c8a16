"""What is remembered while chains are made: answers are those of pint and dspeed, and are asked for again and again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dspeed import processing_chain
from lgdo import Table

from dataflow.physics.dspeed_units import Remembering, remembered

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


@pytest.fixture
def table() -> Table:
    """One row, of another length, period and type than the next test's."""
    return Table(col_dict={"waveform": waveform(np.full((1, 400), 7, "u2"))})


PROCESSORS: dict[str, Any] = {
    "wf_short": {
        "function": "bl_subtract",
        "module": "dspeed.processors",
        "args": ["waveform[0:len(waveform)//2]", 3, "wf_short"],
    },
    "wf_trap": {
        "function": "trap_norm",
        "module": "dspeed.processors",
        "args": ["wf_short", "db.rise", "db.flat", "wf_trap"],
        "unit": "ADC",
        "defaults": {"db.rise": "320*ns", "db.flat": "160*ns"},
    },
    "tp_min, tp_max, low, high": {
        "function": "min_max",
        "module": "dspeed.processors",
        "args": ["wf_trap", "tp_min", "tp_max", "low", "high"],
        "unit": ["ns", "us", "ADC", "ADC"],
    },
    "late": {
        "function": "add",
        "module": "numpy",
        "args": ["tp_max", "2*db.rise", "late"],
        "unit": "ns",
        "defaults": {"db.rise": "320*ns"},
    },
    "kernel": {
        "function": "t0_filter",
        "module": "dspeed.processors",
        "args": ["db.rise/waveform.period", "4", "kernel(shape=round(db.rise/waveform.period) + 4, dtype='f')"],
        "defaults": {"db.rise": "320*ns"},
    },
}
OUTPUTS = ["late", "high", "tp_min", "wf_trap", "kernel"]


def described(table: Table, database: dict[str, Any]) -> dict[str, Any]:
    """All that a chain has: its calls with their arguments and types, and what it writes."""
    made, needed, out = processing_chain.build_processing_chain(PROCESSORS, table, database, OUTPUTS, 16)
    calls = [
        (str(each), each.signature if hasattr(each, "signature") else "", values(each.args))
        for each in made._proc_managers
    ]
    made(table, out)
    columns = {name: (dict(node.attrs), repr(node)) for name, node in out.items()}
    return {"calls": calls, "needed": needed, "columns": columns}


def values(found: Any) -> list[str]:
    """As texts that tell types and values, but not places in memory."""
    return [f"{type(each).__name__} {getattr(each, 'dtype', '')} {each!r}" for each in found]


@pytest.mark.parametrize(
    ("kind", "length", "database"),
    [
        ("u2", 400, {}),
        ("u2", 400, {"rise": "480*ns", "flat": "16*ns"}),
        ("f4", 400, {"rise": "0.64*us"}),
        ("i4", 1000, {"rise": "640*ns"}),
        ("u2", 401, {"rise": "400*ns", "flat": "0*ns"}),
    ],
)
def test_chains_are_the_same_as_dspeeds(kind: str, length: int, database: dict[str, Any]) -> None:
    """Whatever was made before: one process makes them all, so answers for other channels are known each time."""
    samples = np.random.default_rng(3).integers(0, 900, (1, length)).astype(kind)
    periods = (16.0, 10.0) if not database else (16.0,)
    for period in periods:
        given = Table(col_dict={"waveform": waveform(samples, period)})
        theirs = described(given, database)
        for _ in range(2):
            with remembered():
                ours = described(given, database)
            assert ours == theirs


def test_errors_are_the_same_and_nothing_stays_behind(table: Table) -> None:
    before = processing_chain.ureg, processing_chain.ast, processing_chain.ProcessingChain.get_variable
    wrong = {"wf_x": {"function": "bl_subtract", "module": "dspeed.processors", "args": ["waveform[", 3, "wf_x"]}}
    messages = []
    for _ in range(2):
        with pytest.raises(processing_chain.ProcessingChainError) as failed, remembered():
            processing_chain.build_processing_chain(wrong, table, {}, ["wf_x"])
        messages.append(str(failed.value))
    with pytest.raises(processing_chain.ProcessingChainError) as failed:
        processing_chain.build_processing_chain(wrong, table, {}, ["wf_x"])
    assert messages == [str(failed.value)] * 2
    assert before == (processing_chain.ureg, processing_chain.ast, processing_chain.ProcessingChain.get_variable)
    assert "parse_units" not in vars(processing_chain.ureg.get())


def test_dspeed_asks_the_same_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails, dspeed asks less: delete ``dataflow.physics.dspeed_units``."""
    asked: list[str] = []

    class Counting(Remembering):
        def __contains__(self, name: Any) -> bool:
            asked.append(str(name))
            return super().__contains__(name)

    monkeypatch.setattr(processing_chain, "ureg", Counting(processing_chain.ureg))
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
