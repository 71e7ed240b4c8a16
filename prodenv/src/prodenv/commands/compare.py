"""``dataprod compare A B``: what is not the same in two cycles, the significant on top."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prodenv.base.errors import UserError
from prodenv.base.tables import coloured, print_json, print_table
from prodenv.comparison import compare as comparing
from prodenv.comparison.compare import Difference
from prodenv.comparison.physics import Change, Status, changes
from prodenv.comparison.report import STAR, Table, others, tables, text_of, words_of
from prodenv.cycles.find import find_cycle
from prodenv.cycles.outputs import Contents, contents_of

SHOWN = 40
"""Rows of a table, without ``--all``."""
_WIDEST = 60


def run(options: argparse.Namespace) -> int:
    """Print the comparison."""
    cycles = [find_cycle(name) for name in (options.a, options.b)]
    figures = _folder(options.figures) if options.figures else None
    a, b = (contents_of(cycle, options.setup) for cycle in cycles)
    sections = differences(a, b)
    physics, states = changes(a, b)
    physics.sort(key=lambda change: (not _significant(change, options), not change.headline))
    if figures:
        _draw(a, physics, figures, options)
    if options.json:
        print_json(_document(options, sections, physics, states))
        return 0
    print(f"A  {cycles[0].name}\nB  {cycles[1].name}\n")
    _print_physics(physics, states, options)
    for name, found in sections.items():
        _print_section(name, found, None if options.all else SHOWN)
    if not physics and not states and not any(sections.values()):
        print("they are the same")
    return 0


def differences(a: Contents, b: Contents) -> dict[str, list[Difference]]:
    """What differs outside of the physics, by section."""
    return {
        "configuration": comparing.configuration(a.setup, b.setup),
        "software": comparing.software(a.setup, b.setup),
        "workflow": comparing.workflow(a.setup, b.setup),
        "metadata": comparing.metadata(a.setup, b.setup),
        "data": comparing.data(a, b),
    }


def _document(
    options: argparse.Namespace, sections: dict[str, list[Difference]], physics: Sequence[Change], states: list[Status]
) -> dict[str, Any]:
    kept = [change for change in physics if options.all or change.headline or _is_told(change, options)]
    rows = [
        asdict(change)
        | {
            "change": change.difference,
            "significance": change.significance,
            "significant": _significant(change, options),
        }
        for change in kept
    ]
    found = {name: [asdict(difference) for difference in section] for name, section in sections.items()}
    return {"a": options.a, "b": options.b, **found, "status": [asdict(state) for state in states], "physics": rows}


def _significant(change: Change, options: argparse.Namespace) -> bool:
    return change.is_significant(float(options.significance))


def _is_told(change: Change, options: argparse.Namespace) -> bool:
    return _significant(change, options) and not change.intermediate


def _print_physics(physics: list[Change], states: list[Status], options: argparse.Namespace) -> None:
    rows = [(state.run, state.detector, state.tier, state.a, state.b) for state in states]
    if rows:
        print_table(("run", "detector", "tier", "A", "B"), rows, title="detectors with parameters in one only")
    shown = tables(physics, options.significance, everything=options.all)
    for table in shown:
        _print_run(table, None if options.all else SHOWN)
    if shown:
        print(f"2.293(80) is 2.293 ± 0.080; * differs by {options.significance:g} σ or more\n")
    rest = others(physics, shown, options.significance, everything=options.all)
    _print_changes("all other quantities" if options.all else "other significant changes", rest, options)
    if physics and not any(_significant(change, options) and not change.intermediate for change in physics):
        print(f"no change of {options.significance:g} σ in {len(physics)} quantities")


def _print_run(table: Table, most: int | None) -> None:
    """The detectors of a run, those with a star first where not all are shown."""
    told = sorted(table.rows, key=_is_plain)[:most] if most is not None and len(table.rows) > most else table.rows
    rows = [[coloured(text, "red") if text.endswith(STAR) else text for text in row] for row in told]
    print_table(table.columns, rows, title=table.title, numbers=True)
    if len(told) < len(table.rows):
        print(f"{len(table.rows) - len(told)} more: --all\n")
    if table.same:
        print(f"{table.same} more detector{'s are' if table.same > 1 else ' is'} the same\n")


def _is_plain(row: list[str]) -> bool:
    return not any(text.endswith(STAR) for text in row)


def _print_changes(title: str, found: list[Change], options: argparse.Namespace) -> None:
    """A table of quantities for each run, at most :data:`SHOWN` rows in all."""
    shown = found if options.all else found[:SHOWN]
    for run in sorted({change.run for change in shown}):
        rows = [
            (c.detector, words_of(c.quantity), text_of(c.a), text_of(c.b), _sigma(c, options))
            for c in shown
            if c.run == run
        ]
        print_table(("detector", "quantity", "A", "B", "σ"), rows, title=f"{title}, {run}", right="A B σ")
    if len(shown) < len(found):
        print(f"{len(found) - len(shown)} more: --all\n")


def _sigma(change: Change, options: argparse.Namespace) -> Any:
    colour = "red" if _significant(change, options) else ""
    if change.significance is None:
        return coloured("by hand" if change.by_hand else "-", colour)
    return coloured(f"{change.significance:.1f}", colour)


def _print_section(name: str, found: list[Difference], most: int | None) -> None:
    if not found:
        print(f"{name}: the same")
        return
    rows = [(each.name, _short(each.a), _short(each.b)) for each in found[:most]]
    print_table((name, "A", "B"), rows)
    if most is not None and len(found) > most:
        print(f"{len(found) - most} more: --all\n")


def _short(value: Any) -> str:
    text = "-" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _folder(text: str) -> Path:
    """The folder for figures; what is in its way is named before anything is computed."""
    folder = Path(os.path.abspath(text))  # noqa: PTH100 - links stay as the user gave them
    existing = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not existing.is_dir():
        raise UserError(
            f"{existing} is not a folder, so no figures can be drawn in {folder}", hint="give another --figures"
        )
    return folder


def _draw(contents: Contents, physics: list[Change], folder: Path, options: argparse.Namespace) -> None:
    """Draw the changes with the software of the first cycle."""
    from .verify import ask

    folder.mkdir(parents=True, exist_ok=True)
    rows = [asdict(change) | {"significance": change.significance} for change in physics if change.headline]
    document = {"a": options.a, "b": options.b, "physics": rows}
    made: list[str] = ask(contents.setup, "dataflow.checks.changes", ["--out", str(folder)], text=json.dumps(document))
    for name in [] if options.json else made:
        print(f"drawn: {folder / name}")
