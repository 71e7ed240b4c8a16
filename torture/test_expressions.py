"""Hostile expressions through whole jobs: nothing of them is executed, and no output is left, wherever they stand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lh5
import numpy as np
import pytest
from lgdo import Array, Table, VectorOfVectors
from torture.children import Ending, in_child

from dataflow.jobs.runner import main
from dataflow.plan import Cycle, open_cycle

if TYPE_CHECKING:
    from torture.conftest import Note

SECONDS = 120
CAL, PHY = "l200-p03-r000-cal-20230311T235840Z", "l200-p03-r000-phy-20230312T043356Z"
DETECTOR, NUMBER = "V02160A", 1104000
REFUSED = 2
"""Exit code of a job whose configuration is refused."""
UNUSABLE = 1
"""Exit code of a job whose parameter file is refused."""
HARMLESS = "energy * 2"
HOSTILE = (
    "__import__('os').system('touch {canary}')",
    "__import__('pathlib').Path('{canary}').touch()",
    "open('{canary}', 'w')",
    'exec(\'open("{canary}", "w")\')',
    'eval(\'open("{canary}", "w")\')',
    "compile('open(\"{canary}\", \"w\")', 'x', 'exec')",
    "().__class__.__base__.__subclasses__()",
    "[each for each in ().__class__.__mro__[1].__subclasses__() if each('{canary}')]",
    "(lambda: open('{canary}', 'w'))()",
    "energy.tofile('{canary}')",
    "energy.__class__",
    "np.save('{canary}', energy)",
    "np.fromfile('{canary}')",
    "np.lib.format.open_memmap('{canary}', mode='w+', shape=(1,))",
    "ak.to_parquet(energy, '{canary}')",
    "ak.from_parquet('{canary}')",
    "ak.numba.register()",
    "numexpr.evaluate('energy')",
    "getattr(energy, 'tofile')('{canary}')",
    "print(energy, file=open('{canary}', 'w'))",
    "breakpoint()",
    "(canary := open('{canary}', 'w'))",
    'f\'{{open("{canary}", "w")}}\'',
    "energy if open('{canary}', 'w') else energy",
    "9**9**9**9",
    "1 << 10**10",
    "'a' * 10**10",
    "(" * 5000 + "energy" + ")" * 5000,
    "-" * 20000 + "energy",
    "energy; open('{canary}', 'w')",
    "energy\nopen('{canary}', 'w')",
)

Place = Callable[[Path, str], tuple[str, str]]
"""Writes an expression into a cycle; returns the step that meets it, and the key of its unit."""


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def metadata(root: Path, folder: str, content: Any) -> None:
    """A file that always holds."""
    write(root / f"inputs/{folder}/all.yaml", content)
    write(root / f"inputs/{folder}/validity.yaml", [{"valid_from": "20200101T000000Z", "apply": ["all.yaml"]}])


def configure(root: Path, rule: str, name: str, content: Any) -> None:
    write(root / "inputs/dataprod/config/own.yaml", content)
    metadata(root, "dataprod/config", {"snakemake_rules": {rule: {"inputs": {name: "own.yaml"}}}})


def parameters(operations: Mapping[str, Any]) -> dict[str, Any]:
    return {DETECTOR: {"pars": {"operations": dict(operations)}}}


def operation(expression: str) -> dict[str, Any]:
    return {"e_cal": {"expression": expression, "parameters": {}}}


def in_hit_config(root: Path, expression: str) -> tuple[str, str]:
    configure(root, "tier_hit", "hit_config", {"outputs": ["e_cal"], "operations": operation(expression)})
    return "tier_hit", PHY


def in_overrides(root: Path, expression: str) -> tuple[str, str]:
    configure(root, "tier_hit", "hit_config", {"outputs": ["e_cal"], "operations": {}})
    metadata(root, "dataprod/overrides/hit", parameters(operation(expression)))
    return "tier_hit", PHY


def in_a_parameter_file(root: Path, expression: str) -> tuple[str, str]:
    configure(root, "tier_hit", "hit_config", {"outputs": ["e_cal"], "operations": {}})
    write(place(root, "par_hit", CAL), parameters(operation(expression)))
    return "tier_hit", PHY


def in_events(entry: Mapping[str, Any], root: Path, expression: str) -> tuple[str, str]:
    filled = {name: expression if value == "HERE" else value for name, value in entry.items()}
    first = {"channels": "geds", "aggregation_mode": "sum", "expression": "hit.energy"}
    content = {"channels": {"geds": {"system": "geds"}}, "outputs": ["e"], "operations": {"energy": first, "e": filled}}
    configure(root, "tier_evt", "evt_config", content)
    return "tier_evt", PHY


def in_the_filter_of_skm(root: Path, expression: str) -> tuple[str, str]:
    configure(root, "tier_skm", "skm_config", {"evt_filter": f"({expression}) > 0", "keep_fields": ["energy"]})
    return "tier_skm", PHY


AGGREGATED = {"channels": "geds", "aggregation_mode": "sum", "expression": "hit.energy"}
PLACES: Mapping[str, Place] = {
    "hit_config": in_hit_config,
    "overrides": in_overrides,
    "parameter file": in_a_parameter_file,
    "evt expression": partial(in_events, {"expression": "HERE"}),
    "evt aggregation": partial(in_events, AGGREGATED | {"expression": "HERE"}),
    "evt query": partial(in_events, AGGREGATED | {"query": "HERE"}),
    "skm filter": in_the_filter_of_skm,
}


def place(root: Path, step: str, key: str) -> Path:
    """The output of a step, in an existing folder."""
    cycle: Cycle = open_cycle(root / "config.json")
    path = cycle.output(step, cycle.unit(step, key))
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cycle of one detector with three events, as earlier jobs would have left it."""
    root = tmp_path / "cycle"
    channel = {"name": DETECTOR, "system": "geds", "daq": {"rawid": NUMBER}}
    metadata(root, "hardware/configuration/channelmaps", {DETECTOR: channel})
    metadata(root, "datasets/statuses", {DETECTOR: {"processable": True, "usability": "on"}})
    write(root / "config.json", {"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}})
    for key in (CAL, PHY):
        _, period, run, datatype, _ = key.split("-")
        write(root / f"generated/tier/daq/{datatype}/{period}/{run}/{key}.fcio", "")
    write(place(root, "par_hit", CAL), parameters({}))
    values = {"energy": np.array([10.0, 20.0, 30.0]), "timestamp": np.array([1.0, 2.0, 3.0])}
    table = Table({name: Array(column) for name, column in values.items()})
    for tier in ("dsp", "hit"):
        lh5.write(table, tier, str(place(root, f"tier_{tier}", PHY)), group=f"ch{NUMBER}", wo_mode="of")
    ends = np.arange(1, 4).astype("uint32")
    columns = {"table_key": np.full(3, NUMBER), "row_in_table": np.arange(3)}
    vectors = {name: VectorOfVectors(flattened_data=flat, cumulative_length=ends) for name, flat in columns.items()}
    lh5.write(Table(vectors), "hardware_tcm_1", str(place(root, "tier_tcm", PHY)), wo_mode="of")
    lh5.write(table, "evt", str(place(root, "tier_evt", PHY)), wo_mode="of")
    return root


def run(root: Path, where: str, expression: str) -> tuple[Ending, Path]:
    """Run the job that meets an expression; how it ended, and its output."""
    step, key = PLACES[where](root, expression)
    output = place(root, step, key)
    output.unlink(missing_ok=True)
    words = [step, "--config", str(root / "config.json"), "--key", key]
    return in_child(lambda: main(words), SECONDS), output


def expression_at(where: str, text: str) -> str:
    """An expression with the name that the column has there."""
    prefix = "hit." if where in ("evt aggregation", "evt query") else ""
    return text.replace("energy", f"{prefix}energy")


@pytest.mark.parametrize("where", PLACES)
def test_a_harmless_expression_is_evaluated(root: Path, where: str) -> None:
    text = f"{HARMLESS} > 0" if where == "evt query" else HARMLESS
    ending, output = run(root, where, expression_at(where, text))
    assert ending.code == 0, ending.said
    assert output.is_file()


@pytest.mark.parametrize("where", PLACES)
def test_hostile_expressions_are_refused_and_do_nothing(root: Path, where: str, figures: Note) -> None:
    canary, wrong = root.parent / "canary", []
    outcomes: Counter[int] = Counter()
    for text in HOSTILE:
        ending, output = run(root, where, expression_at(where, text.format(canary=canary)))
        outcomes[ending.code] += 1
        said = "error: " in ending.said and "Traceback" not in ending.said
        if ending.hung or ending.code not in (REFUSED, UNUSABLE) or not said or canary.exists() or output.exists():
            wrong.append(f"{text[:60]}: {ending.code}, {ending.said[-300:]}")
        canary.unlink(missing_ok=True)
    figures(where=where, cases=len(HOSTILE), wrong=len(wrong), outcomes=dict(outcomes))
    assert wrong == [], "\n".join(wrong)
