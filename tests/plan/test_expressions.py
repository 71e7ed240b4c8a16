"""The grammar of expressions: what it takes, what it refuses, and that planning refuses it with file and line."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dataflow.base.errors import UserError
from dataflow.base.textfile import read
from dataflow.metadata.expressions import Column, parsed, parsed_call
from dataflow.steps.tier_evt.settings import EvtConfig
from dataflow.steps.tier_hit.settings import HitConfig
from dataflow.steps.tier_skm.settings import SkmConfig

HOSTILE = [
    "__import__('os').system('true')", "open('x')", "exec('1')", "eval('1')", "a.__class__", "a.__class__.__mro__",
    "().__class__", "(lambda: 1)()", "[x for x in y]", "{x for x in y}", "a if b else c", "f'{a}'", "a := 1", "a; b",
    "import os", "np.load('x')", "np.fromfile('x')", "ak.from_parquet('x')", "ak.to_parquet(a, 'x')",
    "numexpr.evaluate('a')",    "os.system('true')", "a.sum()", "getattr(a, 'b')", "9**9**9",
    "(9**9)**9", "9**a if b else 1", "1 << 99999",
    "'a' * 9",     "'a' + a", "{1: 2}", "*a", "None", "(a, b)", "a is b", "a in b", "...", "await a",
    "yield a", "b'x' == a", "1j * a",
    "sqrt(a, out=b)", "np.sqrt(a, where=b)", "sum(a)", "max(a, b)", "sqrt(*a)", "sqrt(**a)", "", "a\0", "x" * 20_000,
    "(" * 3000 + "a" + ")" * 3000, "-" * 3000 + "1", "__a", "evt.__dict__", "a == (1, 2)",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parsed(text)


@pytest.mark.parametrize("value", [None, [], {}, b"a"])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(UserError, match="an expression is a text, not"):
        parsed(value)


@pytest.mark.parametrize(
    ("text", "rewritten", "names"),
    [
        ("a + b * trapEmax_ctc", "a + b * trapEmax_ctc", {"a", "b", "trapEmax_ctc"}),
        ("hit.energy > 25 and not hit.flag", "(hit.energy > 25) & ~hit.flag", {"hit.energy", "hit.flag"}),
        ("1 < a <= 3", "(1 < a) & (a <= 3)", {"a"}),
        ("a in (1, 2)", "(a == 1) | (a == 2)", {"a"}),
        ("a not in (1, 2)", "(a != 1) & (a != 2)", {"a"}),
        ("ak.nansum(energies, axis=1)", "ak.nansum(energies, axis=1)", {"energies"}),
        ("evt.geds.energy[:, 0] - np.nan", "evt.geds.energy[:, 0] - np.nan", {"evt.geds.energy"}),
        ("where(a > 0, 1e9 ** 2, -1)", "where(a > 0, 1000000000.0 ** 2, -1)", {"a"}),
        ("(a & 12) >> 2", "(a & 12) >> 2", {"a"}),
        ("ak.fill_none(ak.firsts(a), None)", "ak.fill_none(ak.firsts(a), None)", {"a"}),
        ("a == 'x'", "a == 'x'", {"a"}),
        (True, "True", set()),
        (0.5, "0.5", set()),
    ],
)
def test_expressions_are_rewritten_for_arrays(text: object, rewritten: str, names: set[str]) -> None:
    found = parsed(text)
    assert (found.rewritten, found.names) == (rewritten, names)
    assert ast.dump(parsed(found.rewritten).node) == ast.dump(ast.parse(rewritten, mode="eval").body)


def test_every_expression_that_is_shipped_is_one(repository: Path) -> None:
    count = 0
    for path in sorted((repository / "dataflow/src/dataflow/steps").glob("*/defaults/*.yaml")):
        for operation in (yaml.safe_load(path.read_text()).get("operations") or {}).values():
            count += bool(parsed(operation["expression"]).names)
    assert count > 30


def test_calls_have_values_and_names() -> None:
    arguments = "<...>, observable='hit.e', dt=(-1, 5), at=evt.geds.t0, no=None, x=np.nan"
    found = parsed_call(f"pygama.evt.modules.spms.gather_pulse_data({arguments})", "pygama.evt.modules")
    assert found.function == "pygama.evt.modules.spms.gather_pulse_data"
    assert {name: found.arguments[name] for name in ("observable", "dt", "at", "no")} == {
        "observable": "hit.e",
        "dt": (-1, 5),
        "at": Column("geds.t0"),
        "no": None,
    }
    assert found.arguments["x"] != found.arguments["x"]


@pytest.mark.parametrize(
    "text",
    [
        "os.system('true')", "pygama.evt.modules.spms.f(<...>, a=open('x'))", "pygama.evt.modules.spms.f(1)",
        "pygama.evt.modules.f()", "pygama.evt.modules.spms.np.load(<...>, a=1)", "pygama.evt.modules.spms._f()",
        "pygama.evt.modules.spms.f(<...>, **a)", "pygama.evt.modules.spms.f(<...>)(1)", "pygama.evt.modules.spms.f", 5,
    ],
)  # fmt: skip
def test_calls_of_anything_else_are_refused(text: object) -> None:
    with pytest.raises(UserError):
        parsed_call(text, "pygama.evt.modules")


EVT = """\
channels: {geds: {system: geds}}
outputs: [e]
operations:
  e:
    channels: geds
    aggregation_mode: sum
    expression: {text}
"""


@pytest.mark.parametrize(
    ("kind", "name", "text", "line"),
    [
        (EvtConfig, "evt_config", EVT.replace("{text}", "exit()"), 4),
        (HitConfig, "hit_config", "outputs: [e]\noperations:\n  e:\n    expression: exit()\n", 4),
        (SkmConfig, "skm_config", "# selection\nevt_filter: exit()\n", 2),
    ],
)
def test_planning_refuses_an_expression_with_file_and_line(
    tmp_path: Path, kind: type[EvtConfig | HitConfig | SkmConfig], name: str, text: str, line: int
) -> None:
    (tmp_path / "x.yaml").write_text(text)
    file = read(tmp_path / "x.yaml")
    with pytest.raises(UserError) as caught:
        kind.read(file.mapping(), name, file)
    assert caught.value.message.startswith(f"{tmp_path}/x.yaml:{line}: ")
    assert "the function 'exit' may not be called here" in caught.value.message


def test_checking_needs_no_numpy(repository: Path) -> None:
    modules = "dataflow.steps.tier_evt.settings, dataflow.steps.tier_skm.settings"
    code = f"import sys; import {modules}; assert 'numpy' not in sys.modules"
    environ = {"PYTHONPATH": str(repository / "dataflow/src")}
    subprocess.run([sys.executable, "-c", code], env=environ, check=True)


def test_the_tiny_numbers_of_published_parameters_are_numbers() -> None:
    """``10**-99`` stands in the published width of A/E, and in overrides made from it."""
    import numpy as np

    from dataflow.jobs.evaluate import evaluate

    published = parsed("(AoE_Corrected-1)/(a+(b/(energy+10**-99))**c)**(0.5)")
    values = {"AoE_Corrected": np.array([1.02]), "energy": np.array([2000.0]), "a": 4e-5, "b": 6.0, "c": 2.0}
    assert evaluate(published, values)[0] == pytest.approx(0.02 / np.sqrt(4e-5 + 9e-6))
    for text in ("10**99", "10**(9**9)", "2**-9**9", "1 << 99"):
        with pytest.raises(UserError):
            parsed(text)
