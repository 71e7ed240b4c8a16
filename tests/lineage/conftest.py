"""Cycles whose lineages are looked at, with a dataflow and a software lock of their own, so that both can change."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from dataflow.plan import Cycle, Key
from dataflow.plan.batches import everything as everything_of
from dataflow.plan.survey import Item, Survey, all_jobs, foreign_tiers

from ..copies import copy_sources
from ..plan.conftest import KEYS, Tree
from ..workflow.conftest import Production, two_periods


class Origin(Tree):
    """A cycle of made-up files with code and software of its own.

    Parameters
    ----------
    root
        The folder of the cycle.
    repository
        The checkout under test.
    """

    def __init__(self, root: Path, repository: Path) -> None:
        super().__init__(root)
        copy_sources(repository / "dataflow", root / "dataflow")
        self.software()

    def software(self, **versions: str) -> None:
        """Write the lock of the installed software."""
        known = {"legend-daq2lh5": "1.7.1", "dspeed": "2.4.3", "pygama": "2.6.2", "numpy": "2.4.6"} | versions
        packages = [{"name": name, "version": version, "hashes": []} for name, version in known.items()]
        content = {"form": 1, "packages": packages, "checkouts": [], "python": {}, "execenv": {}, "dataflow": {}}
        self.write("software/python/software-lock.json", json.dumps(content))

    def code(self, module: str) -> Path:
        """A module of the dataflow."""
        return self.root / "dataflow/src/dataflow" / module

    def override(self, tier: str, text: str, begin: str, end: str) -> None:
        """Hand-made parameters that hold for a while."""
        self.write(f"inputs/dataprod/overrides/{tier}/a.yaml", text)
        self.write(f"inputs/dataprod/overrides/{tier}/none.yaml", "")
        entries = [{"valid_from": begin, "apply": "a.yaml"}, {"valid_from": end, "mode": "reset", "apply": "none.yaml"}]
        self.validity(f"dataprod/overrides/{tier}", *entries)

    def configure(self, rule: str, **inputs: object) -> None:
        """The configuration of one rule, for all times."""
        self.write("inputs/dataprod/config/all.yaml", json.dumps({"snakemake_rules": {rule: {"inputs": inputs}}}))
        self.validity("dataprod/config", {"valid_from": "20200101T000000Z", "apply": "all.yaml"})

    def lineages(self) -> dict[str, str]:
        """The lineage of everything that the cycle makes, by step and key."""
        return {f"{step} {key}": cycle.lineage(step, key) for cycle in [self.open()] for step, key in everything(cycle)}


def everything(cycle: Cycle) -> list[tuple[str, Key]]:
    """All jobs of a cycle: step and key."""
    wanted = [(step, key) for key in cycle.keys for step in ("tier_evt",) if key.datatype == "phy"]
    wanted += [("tier_hit", key) for key in cycle.keys]
    wanted += [(f"validity_{tier}", cycle.keys[0]) for tier in ("dsp", "hit")]
    cycle.check(wanted)
    return sorted(cycle.planned, key=str)


def surveyed(cycle: Cycle) -> list[Item]:
    """All that a cycle can make, as it is found when many files are looked at together: the same as one by one."""
    found = [item for batch in everything_of(Survey(cycle))[0] for item in batch.items()]
    again = Cycle(cycle.setup, cycle.registry)
    survey = Survey(again)
    alone = [survey.item(*place) for place in (*all_jobs(again), *foreign_tiers(again))]
    assert sorted(found, key=_place) == sorted(alone, key=_place)
    return found


def _place(item: Item) -> tuple[str, str]:
    return item.step, str(item.unit)


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The jobs of both whose lineage is another one."""
    return sorted(name for name in before.keys() & after.keys() if before[name] != after[name])


def of(steps: Iterable[str], *keys: str) -> list[str]:
    """The names of steps for keys."""
    return sorted(f"{step} {key}" for step in steps for key in keys)


@pytest.fixture
def origin(tmp_path: Path, repository: Path) -> Origin:
    """An L200 cycle with two periods."""
    made = Origin(tmp_path / "cycle", repository)
    made.metadata()
    made.daq(*KEYS)
    return made


@pytest.fixture
def production(tmp_path: Path, repository: Path) -> Production:
    """An L200 cycle with two periods that Snakemake runs, with a stand-in for the software."""
    pytest.importorskip("snakemake")
    return two_periods(Tree(tmp_path / "the cycle"), repository)


@pytest.fixture
def empty(tmp_path: Path) -> Tree:
    """A cycle with nothing in it."""
    return Tree(tmp_path / "empty")
