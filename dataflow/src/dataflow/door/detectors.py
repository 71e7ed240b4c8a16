"""Detectors that are not in the files, or not as they should be, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dataflow.plan.troubles import Trouble, counted, sentences, troubles
from dataflow.provenance.records import Records

from .contents import contents_of
from .planning import open_workflow

MORE = "dataprod status CYCLE --json has them all"


def detectors(question: Mapping[str, Any]) -> dict[str, Any]:
    """What the records say of detectors: in all that `targets` ask for and need, or without targets in all files.

    Returns
    -------
    dict
        ``detectors``, each with its fields, a ``sentence`` and a ``line``; the first ``lines`` for people; ``counted``,
        how many they are, in words; ``lost``, whether any failed or is missing.
    """
    if "targets" in question:
        return told(open_workflow(question).troubles(question["targets"]))
    found = contents_of(question)
    root = found.setup.directory
    outputs = (each for each in found.outputs() if not each.kind.startswith("plt"))
    jobs = {(each.step, each.key): each for each in outputs}  # all outputs of a job have the same notes
    return told(troubles(Records(), ((each.step, each.run, f"{root}/{each.path}") for each in jobs.values())))


def told(found: Iterable[Trouble]) -> dict[str, Any]:
    """Troubles as values for scripts and as lines for people."""
    some = list(found)
    return {
        "detectors": [each.plain() for each in some],
        "lines": list(sentences(some, MORE)),
        "counted": counted(some),
        "lost": any(each.is_lost for each in some),
    }
