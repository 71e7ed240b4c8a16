"""What stands in configuration and metadata and does nothing: misspelt, misplaced, of a detector that is not there.

Also what does nothing for a part of the data: a step for a run is configured by what holds at its first file.

Nothing of it stops a run, so it is easily overlooked: ``plan``, ``status`` and ``doctor`` say it, with file and line.
Entries of the collaboration's files that have no use here are declared (:data:`~.entries.STATUS`,
:data:`~.entries.TOP`, ``NOT_USED_HERE`` of settings) and not named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from dataflow.base.errors import UserError

from . import detectors, energies, entries, inside, nearly, selectors
from .finding import Finding
from .held import Held

if TYPE_CHECKING:
    from ..cycle import Cycle

__all__ = ["Finding", "findings"]

CHECKS: tuple[Callable[[Held], Iterable[Finding]], ...] = (
    entries.paths,
    entries.statuses,
    entries.rules,
    entries.unnamed_files,
    detectors.unknown,
    selectors.impossible,
    energies.missing,
    energies.unknown,
    inside.changed,
    nearly.categories,
    nearly.daq,
    nearly.psd,
    nearly.overrides,
    nearly.operations,
    nearly.skims,
    entries.files_that_are_not_there,
    entries.twice,
)
"""What is looked for; the last ones look at all files that the others have read."""


def findings(cycle: Cycle) -> tuple[Finding, ...]:
    """All that does nothing in a cycle's configuration and metadata, for the data that are there."""
    held = Held(cycle)
    return tuple(dict.fromkeys(finding for check in CHECKS for finding in _found(check, held)))


def _found(check: Callable[[Held], Iterable[Finding]], held: Held) -> Iterator[Finding]:
    try:
        yield from check(held)
    except UserError as error:  # of a part of the metadata that the present plan does not need
        yield Finding(error.message, error.hint)
