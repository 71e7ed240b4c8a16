"""A step is added as CONTRIBUTING says, word by word, to a copy of the repository: it works, nothing else changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lh5
import numpy as np
import pytest
import yaml
from lgdo import Array, Struct, Table

from dataflow.jobs.figures import plotdata

from ..contributing import CONTRIBUTING, REPOSITORY, STEP, follow
from ..copies import copy_sources
from ..plan.conftest import Tree

COPIED = ("dataflow", "prodenv", "demo", "docs", "tests", "benchmarks", "torture", "bin")
KEY = "l200-p03-r000-cal-20230311T235840Z"
CHANNELS = "V02160A: {name: V02160A, system: geds, daq: {rawid: 1104000}}\n"
UNRELATED = (
    *("tests/plan/test_units.py", "tests/plan/test_jobs.py", "tests/plan/test_metadata.py"),
    *("tests/plan/test_stepconfig.py", "tests/plan/test_recipes.py", "tests/docs/test_docs.py"),
    *("tests/docs/test_schemas.py", "tests/lineage/test_meaning.py", "tests/workflow/test_tickets.py"),
)
"""Tests that look at all steps, or at all that a cycle makes."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with one more step."""
    root = tmp_path_factory.mktemp("repository")
    for name in COPIED:
        copy_sources(REPOSITORY / name, root / name, links=True)
    for path in REPOSITORY.glob("*.*"):
        if path.is_file():
            shutil.copy(path, root)
    follow(CONTRIBUTING, root)
    python(root, "docs/generate.py")
    return root


def python(root: Path, *words: object) -> str:
    """Run Python with the code of a copy; what it prints."""
    path = os.pathsep.join(str(root / part) for part in ("dataflow/src", "prodenv/src", "demo/src"))
    environ = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=root, env=environ, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def differences(one: Path, two: Path) -> Iterator[str]:
    """The files that are in the second folder only, or have another content there."""
    for path in sorted(path for name in COPIED for path in (two / name).rglob("*") if path.is_file()):
        before = one / path.relative_to(two)
        if "__pycache__" not in path.parts and (not before.is_file() or before.read_bytes() != path.read_bytes()):
            yield str(path.relative_to(two))


def test_a_step_is_a_folder_a_test_and_a_line_of_the_registry(copy: Path) -> None:
    changed = [name for name in differences(REPOSITORY, copy) if not name.startswith("docs/")]
    modules = ("README.md", "__init__.py", "build.py", "calibrate.py", "settings.py", "step.py")
    assert changed == [
        "dataflow/src/dataflow/registry/steps.py",
        *(f"dataflow/src/dataflow/steps/{STEP}/{name}" for name in modules),
        f"tests/steps/test_{STEP}.py",
    ]
    place = changed[0]
    before, after = ((root / place).read_text().splitlines() for root in (REPOSITORY, copy))
    assert [line for line in after if line not in before] == [f'    of("{STEP}"),']
    assert len(after) == len(before) + 1


def test_documents_and_schemas_follow(copy: Path) -> None:
    made = {name for name in differences(REPOSITORY, copy) if name.startswith("docs/")}
    assert {f"docs/steps/{STEP}.md", "docs/schemas/pars_hit_rate.rate_config.json", "docs/concepts.md"} <= made
    text = (copy / "docs/configuration.md").read_text()
    assert "| `threshold` | `1000.0` | Amplitude in ADC counts above which a pulse is high. |" in text


def test_what_is_shown_passes_the_checks_of_style(copy: Path) -> None:
    places = (f"dataflow/src/dataflow/steps/{STEP}", f"tests/steps/test_{STEP}.py", "dataflow/src/dataflow/registry")
    python(copy, "-m", "ruff", "check", "--no-cache", *places)
    python(copy, "-m", "ruff", "format", "--check", "--no-cache", *places)


def test_its_own_test_passes(copy: Path) -> None:
    said = python(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/steps/test_{STEP}.py")
    assert "2 passed" in said


def cycle(root: Path) -> Tree:
    """A cycle with the dsp file of one calibration."""
    tree = Tree(root)
    tree.metadata(CHANNELS, "V02160A: {processable: true, usability: 'on'}\n")
    tree.daq(KEY)
    tree.write("inputs/dataprod/config/rate.yaml", "threshold: 50\n")
    tree.write(
        "inputs/dataprod/config/all.yaml", "snakemake_rules: {pars_hit_rate: {inputs: {rate_config: rate.yaml}}}"
    )
    tree.validity("dataprod/config", {"valid_from": "20200101T000000Z", "apply": ["all.yaml"]})
    opened = tree.open()
    path = opened.output("tier_dsp", opened.scheme.key(KEY))
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"trapEmax": np.array([10.0, 60.0, 70.0, 51.0]), "timestamp": np.array([0.0, 1.0, 2.0, 6.0])}
    table = Table(col_dict={name: Array(values) for name, values in columns.items()})
    lh5.write(table, "dsp", str(path), group="ch1104000", wo_mode="of")
    masks = opened.output("par_tcm_pulser", opened.scheme.key(KEY), "masks")
    masks.parent.mkdir(parents=True, exist_ok=True)
    lh5.write(Struct({"files": Array(np.array([KEY], dtype="S"))}), "masks", str(masks), wo_mode="of")
    return tree


def test_its_job_makes_its_part_of_the_parameters_and_a_figure(copy: Path, tmp_path: Path) -> None:
    tree = cycle(tmp_path / "cycle")
    python(copy, "-m", "dataflow.jobs", STEP, "--config", tree.save(), "--key", KEY)
    (found,) = (tree.root / "generated/tmp/par").rglob(f"*-{STEP}.yaml")
    rate = yaml.safe_load(found.read_text())["V02160A"]["results"]["rate"]
    assert rate["in_hz"] == pytest.approx(3 / 6)
    assert rate["err_in_hz"] == pytest.approx(np.sqrt(3) / 6)
    for name in ("qc", "ecal", "aoe", "lq"):  # these have nothing to show
        plotdata.write(found.with_name(f"{KEY}-par_hit_{name}_data.lh5"), {})
    python(copy, "-m", "dataflow.jobs", "plt_hit", "--config", tree.save(), "--key", KEY)
    (figure,) = tree.root.rglob("*-plt_hit_rate.pdf")
    assert figure.read_bytes().startswith(b"%PDF")


def test_its_settings_are_checked_while_planning(copy: Path, tmp_path: Path) -> None:
    tree = cycle(tmp_path / "cycle")
    tree.write("inputs/dataprod/config/rate.yaml", "treshold: 50\n")
    ask = (
        "from dataflow.base.errors import UserError\nfrom dataflow.plan import open_cycle\n"
        f"try: open_cycle({str(tree.save())!r}).job({STEP!r}, {KEY!r})\n"
        "except UserError as error: print(error.render())"
    )
    said = python(copy, "-c", ask)
    assert "rate.yaml:1: rate_config has no entry 'treshold'\nhint: did you mean 'threshold'?" in said


@pytest.mark.production
def test_unrelated_tests_do_not_change(copy: Path) -> None:
    said = python(copy, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *UNRELATED)
    assert "failed" not in said
