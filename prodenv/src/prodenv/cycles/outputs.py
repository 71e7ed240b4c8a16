"""The files that a cycle has made, as its own flow finds them; of another flow, the files that are there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .find import CycleFolder
from .flow import ask
from .setups import Setup, setup_of


@dataclass(frozen=True)
class Output:
    """One file that a step made.

    Parameters
    ----------
    path
        Where it is, relative to the cycle.
    step
        The step that makes such files; empty where the flow is not ours.
    kind
        What it is: a tier (``dsp``), or ``par_dsp``, ``plt_hit``, ``par_hit_ecal``.
    fields
        The fields of its key; empty for a file of the whole cycle, and where the flow is not ours.
    size
        In bytes; that of the file itself, so a link counts nothing.
    link
        Whether it is a link to a file of another cycle.
    """

    path: str
    step: str
    kind: str
    fields: Mapping[str, str]
    size: int
    link: bool

    @property
    def run(self) -> str:
        """The name of its run: the key without its time."""
        return "-".join(value for name, value in self.fields.items() if name != "timestamp")


@dataclass(frozen=True)
class Contents:
    """What there is in a cycle. It is looked at when it is asked for.

    Parameters
    ----------
    cycle
        The cycle.
    setup
        Its configuration.
    in_full
        Whether the records of raw files are read too, for :attr:`salvaged`.
    """

    cycle: CycleFolder
    setup: Setup
    in_full: bool = False

    def ask(self, verb: str, **values: Any) -> Any:
        """What the cycle's flow answers."""
        return ask(self.cycle, verb, self.setup.experiment, **values)

    def outputs(self) -> list[Output]:
        """What its steps have made, sorted by path."""
        if not self.setup.ours:
            return sorted(_files_there(self.setup), key=lambda output: output.path)
        return [Output(**found) for found in self._found["outputs"]]

    @property
    def daq(self) -> Mapping[str, int]:
        """Numbers of DAQ files by run."""
        return self._counts("daq")

    @property
    def raw(self) -> Mapping[str, int]:
        """Numbers of raw files without DAQ file, by run."""
        return self._counts("raw")

    @property
    def runs(self) -> Mapping[str, int]:
        """Numbers of data files by run, sorted by time; none are known where the flow is not ours."""
        return self._counts("runs")

    @property
    def left_out(self) -> list[str]:
        """The files in the folder of DAQ files that are of no known form."""
        found: list[str] = self._found["left_out"] if self.setup.ours else []
        return found

    @property
    def left_out_note(self) -> str:
        """One sentence on these files, empty if there are none."""
        found: str = self._found.get("left_out_note", "") if self.setup.ours else ""  # an older flow does not tell
        return found

    @property
    def salvaged(self) -> Mapping[str, str]:
        """The raw files that hold only a part of their DAQ file, by key: where it breaks off. Only with `in_full`."""
        found: Mapping[str, str] = self._found.get("salvaged", {}) if self.setup.ours else {}
        return found

    @property
    def detectors(self) -> Mapping[str, Any]:
        """What jobs noted of detectors that they could not do, or that are not in the data; of our flows only."""
        nothing: Mapping[str, Any] = {"detectors": [], "lines": [], "counted": "", "lost": False}
        found: Mapping[str, Any] = self.ask("detectors") if self.setup.ours else nothing
        return found

    def _counts(self, name: str) -> Mapping[str, int]:
        found: Mapping[str, int] = self._found[name] if self.setup.ours else {}
        return found

    @cached_property
    def _found(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.ask("contents", salvaged=self.in_full)
        return found


def contents_of(cycle: CycleFolder, experiment: str | None = None, *, in_full: bool = False) -> Contents:
    """Read the configuration of a cycle."""
    return Contents(cycle, setup_of(cycle, experiment), in_full)


def _files_there(setup: Setup) -> Iterator[Output]:
    """The files below the tiers, parameters and figures of a flow that is not ours, by folder."""
    for area in ("tier", "par", "plt"):
        base = setup.path(area)
        if base.is_relative_to(setup.directory):
            for path in _files_below(base):
                inner = Path(path).relative_to(base).parts
                kind = inner[0] if len(inner) > 1 else ""
                if (area, kind) != ("tier", "daq"):
                    yield _file(path, setup, kind if area == "tier" else f"{area}_{kind}".rstrip("_"))


def _file(path: str, setup: Setup, kind: str) -> Output:
    link = os.path.islink(path)  # noqa: PTH114 - texts, and many of them
    size = 0 if link else os.lstat(path).st_size
    return Output(os.path.relpath(path, setup.directory), "", kind, {}, size, link)


def _files_below(folder: Path) -> Iterator[str]:
    """The files and links below a folder; hidden ones are left out, and links to folders are not followed."""
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(base, name) for name in sorted(names) if not name.startswith("."))  # noqa: PTH118
