"""What is said of a cycle whose flow is not ours: that it is unknown, with the files that are there."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prodenv.base.tables import print_json, print_table, size_text
from prodenv.cycles.find import CycleFolder
from prodenv.cycles.flow import Unknown
from prodenv.cycles.outputs import Output, contents_of


def kinds_of(outputs: list[Output]) -> list[dict[str, Any]]:
    """Number, size and links of the files of each kind."""
    groups: dict[str, list[Output]] = defaultdict(list)
    for output in outputs:
        groups[output.kind].append(output)
    return [
        {
            "kind": kind,
            "files": len(group),
            "linked": sum(output.link for output in group),
            "size": sum(output.size for output in group),
        }
        for kind, group in groups.items()
    ]


def print_kinds(kinds: list[dict[str, Any]]) -> None:
    """A table of the files of each kind, nothing where there are none."""
    rows = [(kind["kind"], kind["files"], kind["linked"], size_text(kind["size"])) for kind in kinds]
    if rows:
        print_table(("kind", "files", "linked", "size"), rows, right="files linked size")


def tell_files(cycle: CycleFolder, reason: Unknown, *, as_json: bool) -> None:
    """Say which files a cycle has, where nothing else is known of them."""
    kinds = kinds_of(contents_of(cycle).outputs())
    if as_json:
        print_json({"name": cycle.name, "flow": "unknown", "reason": reason.message, "files": kinds})
        return
    print("files that are there:" if kinds else "no files are there yet")
    print_kinds(kinds)


def tell_file(cycle: CycleFolder, name: str, reason: Unknown, *, as_json: bool) -> None:
    """Say whether one file is there, where nothing else is known of it."""
    found = next(filter(os.path.lexists, _places(cycle, name)), None)
    state: dict[str, Any] = {"file": name, "state": "there" if found else "missing", "reason": reason.message}
    if found:
        about = found.stat() if found.exists() else found.lstat()
        changed = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(about.st_mtime))
        state |= {"file": os.path.relpath(found, cycle.root), "size": about.st_size, "changed": changed}
    if as_json:
        print_json(state)
    elif found:
        print(f"{state['file']} is there: {size_text(state['size'])}, written {state['changed']}")
    else:
        print(f"{name} is not there")


def _places(cycle: CycleFolder, name: str) -> Iterator[Path]:
    """Where a file may be that the user names: from here, or from the cycle."""
    for base in (Path.cwd(), cycle.root):
        yield Path(os.path.abspath(base / name))  # noqa: PTH100 - links stay as the user gave them
