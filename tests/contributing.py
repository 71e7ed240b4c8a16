"""What CONTRIBUTING tells to do for a new step, done word by word in a copy."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CONTRIBUTING = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
STEP = "par_hit_rate"

_FILE = re.compile(r"^   `([\w/.]+)`\n\n   ```\w+\n(.*?)^   ```$", re.MULTILINE | re.DOTALL)
_LINE = re.compile(
    r"^\d\. Name it in `([\w/.]+)`, after `(.+?)`\..*?^   ```text\n   (.*?)\n   ```$", re.MULTILINE | re.DOTALL
)


def follow(text: str, root: Path) -> list[Path]:
    """Do what the section on a new step says, below a folder; returns the files that are new or changed, sorted.

    Files of folders that are not there, such as ``tests`` in a cycle, are left out.
    """
    section = text.partition("\n## A new step\n")[2].partition("\n## ")[0]
    files = {name: textwrap.dedent(content) for name, content in _FILE.findall(section)}
    done = [_new(root / name, content) for name, content in files.items() if (root / name.partition("/")[0]).is_dir()]
    ((registry, before, line),) = _LINE.findall(section)
    return sorted([*done, _insert(root / registry, before, line)])


def _new(path: Path, content: str) -> Path:
    assert not path.exists(), path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def _insert(path: Path, before: str, line: str) -> Path:
    content = path.read_text(encoding="utf-8")
    assert content.count(f"    {before}\n") == 1, before
    path.write_text(content.replace(f"    {before}\n", f"    {before}\n    {line}\n"), encoding="utf-8")
    return path
