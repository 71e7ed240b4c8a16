"""Derived cycles whose links lead nowhere, because they or their parents were moved: their links are made anew."""

from __future__ import annotations

import json
import os
from pathlib import Path

from prodenv.base.errors import UserError
from prodenv.base.files import write_text
from prodenv.cycles.find import DERIVED, CycleFolder

from .links import link_to, parent_of, record_of


def broken_links(cycle: CycleFolder) -> list[str]:
    """The links of a derived cycle into its parent that lead nowhere, as paths in the cycle; sorted."""
    record = record_of(cycle)
    names = [*record.get("linked", {}), *record.get("folders", [])]
    return sorted(name for name in names if _is_broken(cycle.root / name))


def _is_broken(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def is_astray(cycle: CycleFolder) -> bool:
    """Whether a derived cycle has links that lead nowhere although its parent is there."""
    return bool(record_of(cycle)) and parent_of(cycle) is not None and bool(broken_links(cycle))


def relink(cycle: CycleFolder, parent: CycleFolder | None = None) -> int:
    """Let the broken links of a derived cycle lead to its parent again, wherever both are now; returns how many.

    Parameters
    ----------
    cycle
        The derived cycle.
    parent
        Where the other one is now, if it cannot be found by its manifest because it was never frozen.

    Raises
    ------
    UserError
        If the parent is not to be found, or has another file in the place of one of them.
    """
    parent, record = parent or parent_of(cycle), record_of(cycle)
    if parent is None:
        hint = "bring it back, or name it with --from"
        raise UserError(f"the cycle that {cycle.name} uses is gone: {record.get('parent')}", hint=hint)
    names = broken_links(cycle)
    for name in names:
        source, seen = parent.root / name, record.get("linked", {}).get(name)
        found = source.stat() if source.exists() else None
        same = found and (seen is None or (found.st_size, found.st_mtime_ns) == (seen["size"], seen["mtime_ns"]))
        if not same:
            hint = f"remove the link {cycle.root / name}; the next run makes the file here"
            raise UserError(f"{source} is not the file that {cycle.name} links", hint=hint)
    for name in names:
        _replace(cycle.root / name, parent.root / name)
    content = record | {"parent": os.path.relpath(parent.root, cycle.root)}
    write_text(cycle.root / DERIVED, json.dumps(content, indent=1, sort_keys=True) + "\n")
    return len(names)


def _replace(link: Path, source: Path) -> None:
    """Put a link to the source in the place of a link; there is always one of them."""
    new = link.with_name(f".{link.name}.{os.getpid()}-link")
    new.unlink(missing_ok=True)
    link_to(source, new, link.parent)
    new.replace(link)
