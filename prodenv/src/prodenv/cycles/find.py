"""The cycles of a production environment: finding them, naming them, and what they leave in their folders."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prodenv.base.errors import UserError
from prodenv.base.places import ROOT

CONFIGS = ("config.json", "config.yaml", "dataflow-config.yaml", "simflow-config.yaml")
"""What the configuration of a cycle may be called; the last two are the names of the published flows."""
FROZEN = "frozen"
"""Folder in a cycle: the manifest and what else belongs to a cycle that may not change any more."""
DERIVED = ".derived.json"
"""File in a cycle that uses files of another one: which, and what it took."""
ATTIC = "generated/attic"
"""Where ``dataprod clean`` puts files."""
OWN_FOLDERS = frozenset(
    {"bin", "prodenv", "dataflow", "demo", "docs", "tests", "torture", "benchmarks", "tools", "build", ".git", ".ci"}
)
"""Folders of the production environment itself, in which no cycle may lie."""
DEEPEST = 8
_NEVER = frozenset({"tools", "node_modules", "__pycache__"})


@dataclass(frozen=True)
class CycleFolder:
    """A production cycle as a folder; nothing in it has been read.

    Parameters
    ----------
    root
        The folder, absolute.
    config
        Its configuration file.
    """

    root: Path
    config: Path

    @property
    def name(self) -> str:
        """What the user calls it: the path below the production environment, else the whole path."""
        return str(self.root.relative_to(ROOT)) if self.root.is_relative_to(ROOT) else str(self.root)

    @property
    def frozen(self) -> bool:
        """Whether ``dataprod freeze`` has closed it."""
        return (self.root / FROZEN / "frozen.json").is_file()

    @property
    def running(self) -> bool:
        """Whether a living process works on it."""
        from .lock import holder_of

        return holder_of(self.root) is not None

    @property
    def interrupted(self) -> bool:
        """Whether Snakemake's lock is there and the one who took it is not."""
        from .lock import is_locked

        return is_locked(self.root) and not self.running

    def refuse_frozen(self, what: str) -> None:
        """Refuse to change a frozen cycle.

        Raises
        ------
        UserError
            If it is frozen.
        """
        if self.frozen:
            raise UserError(
                f"{self.name} is frozen: no {what}", hint=f"to open it again: {command('freeze', self)} --thaw"
            )

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Work on the cycle while nobody else does.

        Raises
        ------
        WorkFailed
            If somebody does; the sentence names the process.
        """
        from .lock import forget, record, taken

        with taken(self.root):
            record(self.root, os.getpid())
            try:
                yield
            finally:
                forget(self.root, os.getpid())


def command(verb: str, cycle: CycleFolder) -> str:
    """A command line for hints, quoted for the shell."""
    import shlex

    return f"dataprod {verb} {shlex.quote(cycle.name)}"


def find_cycle(text: str, root: Path = ROOT) -> CycleFolder:
    """The cycle that the user names: its folder or configuration file, from here or below the production environment.

    Raises
    ------
    UserError
        If there is none.
    """
    for base in (Path.cwd(), root):
        path = Path(os.path.abspath(base / Path(text).expanduser()))  # noqa: PTH100 - links stay as the user gave them
        if path.is_file():
            return CycleFolder(path.parent, path)
        found = cycle_at(path)
        if found:
            return found
    raise UserError(f"there is no cycle {text!r}", hint=_hint(text, root))


def _hint(text: str, root: Path) -> str:
    from difflib import get_close_matches

    names = [cycle.name for cycle in all_cycles(root)]
    close = get_close_matches(text, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there are: {', '.join(names)}" if names else "make one: dataprod init-cycle cycles/v01"


def cycle_at(folder: Path) -> CycleFolder | None:
    """The cycle in a folder, if it is one."""
    config = config_file(folder)
    parts = ("dataflow", "workflow", "generated")
    return CycleFolder(folder, config) if config and any((folder / part).is_dir() for part in parts) else None


def config_file(folder: Path) -> Path | None:
    """The configuration file of a cycle in `folder`, if there is one."""
    return next((folder / name for name in CONFIGS if (folder / name).is_file()), None)


def all_cycles(root: Path = ROOT) -> list[CycleFolder]:
    """Every cycle below a production environment, sorted by path. Links to folders are not followed."""
    return sorted(_below(root, 0), key=lambda cycle: cycle.root)


def _below(folder: Path, depth: int) -> Iterator[CycleFolder]:
    with contextlib.suppress(PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False) or entry.name in _NEVER:
                continue
            if depth == 0 and entry.name in OWN_FOLDERS:
                continue
            found = cycle_at(Path(entry.path))
            if found:
                yield found
            elif depth < DEEPEST:
                yield from _below(Path(entry.path), depth + 1)
