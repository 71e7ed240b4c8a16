"""Control imports nothing of the flow: it asks the cycle's own, which lies behind one door."""

from __future__ import annotations

import ast
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import prodenv
from dataflow.door.main import VERBS, main
from prodenv.base.errors import UserError, WorkFailed
from prodenv.cycles.find import CycleFolder
from prodenv.cycles.flow import DOOR, Unknown, ask, ask_source

from ..copies import copy_sources
from ..plan.conftest import Tree
from .conftest import Box

SOURCES = Path(prodenv.__file__).parent
FLOW = ("dataflow", "dataprod", "numpy")


def test_no_module_of_control_imports_the_flow_or_numpy() -> None:
    names = sorted(found.name for found in pkgutil.walk_packages([str(SOURCES)], "prodenv."))
    assert len(names) > 50
    code = f"""
import importlib, sys
for name in {[name for name in names if not name.endswith("__main__")]!r}:
    importlib.import_module(name)
print(sorted(name for name in sys.modules if name.partition(".")[0] in {FLOW!r}))
"""
    environ = os.environ | {"PYTHONPATH": str(SOURCES.parent)}
    done = subprocess.run([sys.executable, "-P", "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_no_source_of_control_names_the_flow_in_an_import() -> None:
    for file in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.partition(".")[0] in FLOW], file


def test_the_door_imports_no_numpy(repository: Path) -> None:
    modules = [f"dataflow.door.{place.partition(':')[0]}" for place, _ in VERBS.values()]
    code = (
        f"import importlib, sys; [importlib.import_module(name) for name in {modules!r}]; print('numpy' in sys.modules)"
    )
    environ = os.environ | {"PYTHONPATH": str(repository / "dataflow/src")}
    done = subprocess.run([sys.executable, "-P", "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.fixture
def cycle(tmp_path: Path, repository: Path) -> CycleFolder:
    """A cycle with the flow of the repository."""
    tree = Tree(tmp_path / "cycle")
    (tree.root / "dataflow").symlink_to(repository / "dataflow")
    return CycleFolder(tree.root, tree.save())


def test_the_door_can_be_asked_by_hand(cycle: CycleFolder, repository: Path) -> None:
    words = [sys.executable, "-P", "-m", "dataflow.plan", "setup", "--config", str(cycle.config), "--json"]
    environ = os.environ | {"PYTHONPATH": str(repository / "dataflow/src")}
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert document["form"] == 1 and document["answer"]["paths"]["tier_raw"] == f"{cycle.root}/generated/tier/raw"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["status", "--config", "{}"], "the question does not say 'cores'", '"cores"'),
        (["status", "--with", '{{"cores": 1}}'], "the question does not say 'config'", '"config"'),
        (["status", "--config", "{}", "--with", "{{cores: 1}}"], "the values of the question are not JSON", ""),
        (["status", "--config", "{}", "--with", "[8]"], "the values of the question are no mapping: '[8]'", '"cores"'),
    ],
)
def test_a_question_that_is_not_complete_is_answered_by_a_sentence(
    words: list[str], message: str, hint: str, cycle: CycleFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(cycle.config) for word in words]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["message"].startswith(message) and hint in error["hint"] and error["code"] == 2


def test_what_is_wrong_is_the_sentence_of_the_flow(cycle: CycleFolder) -> None:
    cycle.config.write_text('{"experiment": "l200", "pahts": {}}')
    with pytest.raises(UserError, match=r"config\.json:1: unknown key 'pahts'") as error:
        ask(cycle, "setup")
    assert error.value.exit_code == 2 and "paths" in error.value.hint


def test_what_the_user_has_set_leads_nowhere_else(
    cycle: CycleFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "dataflow").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert ask(cycle, "setup")["experiment"] == "l200"


def test_a_flow_that_breaks_is_named(tmp_path: Path) -> None:
    door = tmp_path / DOOR
    door.parent.mkdir(parents=True)
    for folder in (door.parent, door.parent.parent):
        (folder / "__init__.py").write_text("")
    door.write_text("raise RuntimeError('out of order')")
    with pytest.raises(WorkFailed, match=r"does not answer 'status' \(exit code 1\)"):
        ask_source(tmp_path, "status", {})


def test_a_cycle_without_a_flow_of_ours_is_unknown(cycle: CycleFolder) -> None:
    (cycle.root / "dataflow").unlink()
    with pytest.raises(Unknown, match="has no dataflow"):
        ask(cycle, "status", cores=1)
    (cycle.root / "dataflow/workflow").mkdir(parents=True)
    with pytest.raises(Unknown, match="is not that of this production environment: what it would make is unknown"):
        ask(cycle, "status", cores=1)
    (cycle.root / "dataflow/src/dataflow/plan").mkdir(parents=True)
    with pytest.raises(Unknown, match="is older than this production environment"):
        ask(cycle, "status", cores=1)


def test_asking_leaves_nothing_in_the_cycle(tmp_path: Path, repository: Path) -> None:
    import shutil

    tree = Tree(tmp_path / "cycle")
    shutil.copytree(repository / "dataflow", tree.root / "dataflow", ignore=shutil.ignore_patterns("__pycache__"))
    cycle = CycleFolder(tree.root, tree.save())
    before = sorted(tree.root.rglob("*"))
    ask(cycle, "status", cores=1)
    assert sorted(tree.root.rglob("*")) == before


def test_byte_code_beside_the_sources_is_used(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = Tree(tmp_path / "cycle")
    copy_sources(repository / "dataflow", tree.root / "dataflow")
    monkeypatch.setattr("prodenv.cycles.flow.BYTECODE", tmp_path / "bytecode")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    cycle = CycleFolder(tree.root, tree.save())
    before = sorted(tmp_path.rglob("*"))
    ask(cycle, "status", cores=1)
    assert sorted(tmp_path.rglob("*")) == before
    (tree.root / f"dataflow/src/dataflow/door/__pycache__/main.{sys.implementation.cache_tag}.pyc").unlink()
    ask(cycle, "status", cores=1)
    assert list((tmp_path / "bytecode").rglob("main.*.pyc"))


ASKED = {
    ("status",): ["status"],
    ("plan", "all-l200-p03-r001-cal-hit.gen"): ["plan"],
    ("find",): ["find"],
    ("clean", "--tier", "hit", "--dry-run"): ["clean"],
    ("config", "tier_dsp"): ["in_force"],
    ("show",): ["setup", "contents", "detectors"],
    ("verify", "--quick"): ["setup", "parameter_files", "wrap", "detectors"],
    ("run", "all-l200-p03-r001-cal-raw.gen"): [],
}


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
def test_a_command_asks_for_each_thing_once(box: Box, words: tuple[str, ...]) -> None:
    """Each question is answered by a new process, and most of them plan the cycle."""
    box.cycle()
    asked = box.env.root / "asked.txt"
    door = box.env.root / "dataflow/src/dataflow/door/main.py"
    line = "        answer = function_of(verb)(question())\n"
    text = door.read_text()
    assert text.count(line) == 1
    door.write_text(text.replace(line, f"        open({str(asked)!r}, 'a').write(verb + chr(10))\n{line}"))
    box.dataprod(words[0], "cycles/v01", *words[1:])
    assert (asked.read_text().split() if asked.exists() else []) == ASKED[words]
