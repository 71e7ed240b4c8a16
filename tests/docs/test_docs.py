"""The documentation is complete, its generated parts are up to date, and its links lead somewhere."""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from dataflow.keys.scheme import BUILTIN
from dataflow.metadata.stepconfig import known_rules, shipped_folder
from dataflow.registry.steps import STEPS, calibrated_tiers
from dataflow.setup.execenv import ENGINES
from dataflow.setup.schema import EXECENV, OPTIONS, PATH_ALIASES, PATHS, TABLE_FORMAT
from prodenv.cli.parsers import COMMANDS, VARIABLES

ROOT = Path(__file__).resolve().parents[2]
STEP_FOLDERS = sorted(path.parent for path in (ROOT / "dataflow/src/dataflow/steps").glob("*/step.py"))
DOCUMENTS = (
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/steps").glob("*.md")),
)
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in DOCUMENTS}
FOREIGN = {
    "PATH",
    "HOME",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_CONFIG_DIRS",
    "NUMBA_CACHE_DIR",
    "MPLBACKEND",
    "UV_CONFIG_FILE",
    "UV_NO_CONFIG",
    "GIT_CONFIG_COUNT",
    "SHELL",
    "TERM",
    "NO_COLOR",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "XDG_RUNTIME_DIR",
}
"""Variables that belong to the system; what they mean is nothing of ours."""


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """``docs/generate.py``."""
    spec = spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_generated_parts_are_up_to_date(generate: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    code = generate.main(["--check"])
    assert code == 0, f"run make docs: {capsys.readouterr().out}"


def test_every_generated_part_is_used_once(generate: ModuleType) -> None:
    marks = [mark for text in TEXTS.values() for mark in re.findall(r"<!-- generated: ([\w-]+) -->", text)]
    assert sorted(marks) == sorted(generate.BLOCKS)


def test_an_unknown_mark_is_refused(generate: ModuleType) -> None:
    with pytest.raises(SystemExit, match="nothing generated called 'weather'"):
        generate.renewed("<!-- generated: weather -->\n<!-- end -->", Path("x.md"))


def documented(name: object, file: str) -> bool:
    """Whether a document has a name as code, alone or with what belongs to it."""
    return re.search(rf"`{re.escape(str(name))}[` \[=]", TEXTS[file]) is not None


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from options_of(inner)
        elif not isinstance(action, argparse._HelpAction):
            yield from action.option_strings


@pytest.mark.parametrize("verb", list(COMMANDS))
def test_a_command_and_its_options_are_documented(verb: str, generate: ModuleType) -> None:
    command = COMMANDS[verb]
    section = TEXTS["commands.md"].partition(f"### {generate.name_of(command)}\n")[2].partition("\n### ")[0]
    assert section
    missing = [name for name in options_of(command.parser()) if f"`{name}" not in section]
    assert not missing


@pytest.mark.parametrize("verb", list(COMMANDS))
def test_an_option_says_what_it_is_for(verb: str) -> None:
    parser = COMMANDS[verb].parser()
    silent = [action.dest for action in parser._actions if not action.help and not _groups(action)]
    assert not silent


def _groups(action: argparse.Action) -> bool:
    return isinstance(action, argparse._SubParsersAction)


@pytest.mark.parametrize("name", [*OPTIONS, *EXECENV, *PATHS, *PATH_ALIASES, *TABLE_FORMAT, *ENGINES])
def test_a_key_of_the_configuration_is_documented(name: str) -> None:
    assert documented(name, "configuration.md")


@pytest.mark.parametrize("name", list(known_rules()))
def test_a_rule_of_the_step_configuration_and_its_inputs_are_documented(name: str) -> None:
    assert documented(name, "configuration.md")
    assert all(documented(entry, "configuration.md") for entry in known_rules()[name])


@pytest.mark.parametrize("name", [step.name for step in STEPS])
def test_a_step_and_its_files_are_documented(name: str) -> None:
    assert documented(name, "concepts.md")
    assert documented(name, "file-formats.md")


@pytest.mark.parametrize("folder", STEP_FOLDERS, ids=lambda path: path.name)
def test_a_step_tells_its_physics_and_has_a_page(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# ") and len(text.split()) > 50
    assert TEXTS[f"{folder.name}.md"].startswith(text.splitlines()[0])
    assert f"(steps/{folder.name}.md)" in TEXTS["concepts.md"]


@pytest.mark.parametrize("scheme", list(BUILTIN.values()), ids=list(BUILTIN))
def test_what_a_target_can_end_with_is_documented(scheme: object) -> None:
    tiers = [*scheme.tiers, *(scheme.aliases or {})]  # type: ignore[attr-defined]
    tiers += [f"par_{tier}" for tier in calibrated_tiers()]
    assert all(documented(tier, "commands.md") for tier in tiers)


@pytest.mark.parametrize("system", ["geds", "spms", "puls"])
def test_a_column_of_the_shipped_chains_has_a_meaning(system: str) -> None:
    chain = yaml.safe_load((shipped_folder("tier_dsp") / f"processing_chain-{system}.yaml").read_text(encoding="utf-8"))
    lines = TEXTS["file-formats.md"].splitlines()
    for name in chain["outputs"]:
        rows = [[cell.strip() for cell in line.split("|")] for line in lines if line.startswith(f"| `{name}` |")]
        assert any(row[3] for row in rows), f"{name}: describe its processor, or see MEANINGS in docs/generate.py"


def read_variables(source: Path) -> Iterator[str]:
    """The names that a module looks up in the environment."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        where, name = None, None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            where, name = ast.unparse(node.func), node.args[0]
        elif isinstance(node, ast.Subscript):
            where, name = ast.unparse(node.value), node.slice
        reads = where and re.fullmatch(r"(os\.)?(environ(\.get|\.setdefault)?|getenv)", where)
        if reads and isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield name.value


def test_every_environment_variable_is_documented() -> None:
    sources = [path for part in ("prodenv", "dataflow") for path in sorted((ROOT / part / "src").rglob("*.py"))]
    used = {name for source in sources for name in read_variables(source)}
    assert used <= set(VARIABLES) | FOREIGN, "declare it in prodenv/cli/parsers.py: VARIABLES"
    assert all(documented(name, "commands.md") for name in VARIABLES)


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


def links() -> Iterator[tuple[Path, str]]:
    for path in DOCUMENTS:
        plain = re.sub(r"```.*?```", "", TEXTS[path.name], flags=re.DOTALL)
        yield from ((path, link) for link in re.findall(r"\]\(([^)\s]+)\)", plain))


@pytest.mark.parametrize(("file", "link"), list(links()), ids=lambda value: getattr(value, "name", value))
def test_a_link_leads_somewhere(file: Path, link: str) -> None:
    if link.startswith(("https://", "mailto:")):
        return
    place, _, anchor = link.partition("#")
    target = (file.parent / place).resolve() if place else file
    assert target.exists(), f"{file.name}: {link}"
    assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), f"{file.name}: {link}"


def test_every_document_is_linked_from_the_readme() -> None:
    assert all(f"](docs/{path.name})" in TEXTS["README.md"] for path in (ROOT / "docs").glob("*.md"))


def test_no_path_of_a_machine_is_in_the_documents() -> None:
    found = {
        name: re.findall(r"(?<![\w$/])/(?:home|root|work|tmp|Users)/[\w/.]*", text) for name, text in TEXTS.items()
    }
    assert not {name: paths for name, paths in found.items() if paths}


def test_tests_that_documents_name_are_there() -> None:
    named = [match for text in TEXTS.values() for match in re.findall(r"(tests/[\w/]+\.py)::(test_\w+)", text)]
    missing = [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text("utf-8")]
    assert len(named) > 30 and missing == []
