"""Processors that are compiled by the first job that names them: one process at a time, before the chain is made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dataflow.physics import processors


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each time that a process has waited for others."""
    found: list[str] = []

    @contextmanager
    def alone() -> Iterator[None]:
        found.append("alone")
        yield

    monkeypatch.setattr(processors, "alone", alone)
    return found


def test_processors_are_imported_alone_and_once(waited: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    chain = {"processors": {"a": {"function": "find_me", "module": "own_processors"}, "b": "a + 1"}}
    loaded: list[str] = []

    class Module:
        def find_me(self) -> None: ...

    def take(name: str) -> Module:
        loaded.append(name)
        return sys.modules.setdefault(name, Module())  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(processors.importlib, "import_module", take)
    monkeypatch.delitem(sys.modules, "own_processors", raising=False)
    processors.take(chain)
    processors.take(chain)
    del sys.modules["own_processors"]
    assert loaded == ["own_processors"] and waited == ["alone"]


def test_what_cannot_be_imported_is_left_to_the_chain(waited: list[str]) -> None:
    processors.take({"processors": {"a": {"function": "nothing", "module": "no_such_module"}}})
    processors.take({"processors": {"a": {"function": "no_such_processor"}}})
    assert waited == ["alone", "alone"]


def test_a_processor_of_the_name_of_its_module_stays_a_function() -> None:
    program = (
        "from dataflow.physics.processors import take; from dspeed import processors\n"
        "take({'processors': {'a': {'function': 'presum'}}}); print(type(processors.presum).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "GUFunc"
