"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; after the block the file is flushed to disk and renamed to `path`.

    When the block raises, nothing is left behind and a former file stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path`, whole or not at all."""
    with appearing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_yaml(path: Path, content: Any, *, comment: str = "") -> None:  # noqa: ANN401
    """Write plain dictionaries, lists and scalars as YAML in the given order, below an optional comment line."""
    head = f"# {comment}\n" if comment else ""
    write_text(path, head + yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True))
