"""Counts of events by run, from what the records say of files: no file of events is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataflow.provenance.records import Records

from .contents import Contents, contents_of


def rates(question: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """For each file of events, those that are selected included: its run, and the counts that its record has."""
    return list(_counts(contents_of(question)))


def _counts(contents: Contents) -> Iterator[tuple[str, Mapping[str, Any]]]:
    records = Records()
    for output in contents.outputs():
        if output.step in ("tier_evt", "tier_skm"):
            record = records.raw(contents.setup.directory / output.path) or {}
            counted = record.get("counts")
            if isinstance(counted, Mapping) and isinstance(counted.get("events"), int):
                yield output.run, counted
