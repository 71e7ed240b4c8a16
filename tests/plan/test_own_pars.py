"""Parameters that files and runs get from their own data: those of SiPMs."""

from __future__ import annotations

import pytest

from dataflow.base.errors import UserError
from dataflow.keys.key import Key
from dataflow.plan.units import Place

from .conftest import KEYS, Tree

CAL, FIRST, SECOND = KEYS[0], KEYS[2], KEYS[3]


def names(places: tuple[Place, ...], step: str) -> list[str]:
    return [unit.name for name, unit in places if name == step]


def test_dsp_needs_that_of_its_file_and_hit_that_of_its_run(tree: Tree) -> None:
    cycle = tree.open()
    key = cycle.scheme.key(SECOND)
    assert names(cycle.needs("tier_dsp", key), "par_dsp_spms") == [SECOND]
    assert names(cycle.needs("tier_hit", key), "par_hit_spms") == [FIRST]
    run = cycle.needs("par_hit_spms", cycle.series[key.series][0])
    assert names(run, "tier_dsp") == [FIRST, SECOND]
    assert names(cycle.needs("par_dsp_spms", key), "tier_raw") == [SECOND]


def test_they_stand_beside_the_parameter_files_and_are_no_part_of_them(tree: Tree) -> None:
    cycle = tree.open()
    key = cycle.scheme.key(SECOND)
    path = cycle.output("par_dsp_spms", key, "par")
    assert path == cycle.setup.path("par_dsp") / f"phy/p03/r000/{SECOND}-par_dsp_spms.yaml"
    assert "par_dsp_spms" not in {each.source for each in cycle.inputs(cycle.step("par_dsp"))}
    assert cycle.job("tier_dsp", key).inputs["spms"] == (path,)
    assert all("spms" not in str(entry) for entry in cycle.validity("dsp"))


def test_calibrations_have_none(tree: Tree) -> None:
    cycle = tree.open()
    key = cycle.scheme.key(CAL)
    assert "spms" not in cycle.job("tier_dsp", key).inputs
    assert names(cycle.needs("tier_hit", key), "par_hit_spms") == []
    with pytest.raises(UserError, match="not for l200-p03-r000-cal"):
        cycle.job("par_dsp_spms", key)
    with pytest.raises(UserError, match="par_hit_spms is not made for l200-p03-r000-cal"):
        cycle.job("par_hit_spms", key)


def test_a_run_is_called_by_its_first_file(tree: Tree) -> None:
    cycle = tree.open()
    assert cycle.job("par_hit_spms", FIRST).unit.keys == tuple(map(cycle.scheme.key, (FIRST, SECOND)))
    with pytest.raises(UserError, match=f"par_hit_spms is not made for {SECOND}"):
        cycle.job("par_hit_spms", SECOND)


def test_without_sipms_there_are_none(tree: Tree) -> None:
    path = "inputs/hardware/configuration/channelmaps"
    for file in (tree.root / path).glob("*.yaml"):
        lines = [line for line in file.read_text().splitlines() if "system: spms" not in line]
        file.write_text("\n".join(lines) + "\n")
    cycle = tree.open()
    key: Key = cycle.scheme.key(SECOND)
    assert "spms" not in cycle.job("tier_dsp", key).inputs
    for step in ("par_dsp_spms", "par_hit_spms"):
        assert cycle.units.of(cycle.step(step)) == []
    assert cycle.units.of(cycle.step("tier_dsp"))
