"""The parameters of a cycle as one table: a row for each run, detector and quantity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from dataflow.base.errors import UserError
from dataflow.base.messages import listing
from dataflow.base.textfile import read
from dataflow.door.contents import Contents
from dataflow.door.parameters import Files, ParameterFiles
from dataflow.keys.key import Key
from dataflow.metadata.merge import merged_all
from dataflow.metadata.quantities import numbers_of, quantities, set_by_hand, unit_of

from .production import Production

NO_NUMBER = float("nan")
Content = Mapping[Any, Any]


@dataclass(frozen=True)
class Row:
    """One quantity of a detector in a run.

    Attributes
    ----------
    run, detector, quantity
        What it is; the quantity by its dotted name in the parameter file.
    value, error
        The number and its error, NaN if it has none.
    unit
        Empty if it has none, or it is not written anywhere.
    by_hand
        Whether an override has set it.
    failed
        Why the detector's parameters could not be derived; empty if all is well.
    valid_from, valid_until
        From when on, and until when (half-open), these parameters hold; empty where there is no bound.
    """

    run: str
    detector: str
    quantity: str
    value: float
    error: float
    unit: str
    by_hand: bool
    failed: str
    valid_from: str
    valid_until: str


def rows(production: Production, tier: str, keys: Iterable[Key], detectors: Iterable[str] | None) -> list[Row]:
    """The rows of some keys, in the order of their runs; see :meth:`Production.parameters`.

    Raises
    ------
    UserError
        If there are no parameters, or none of a detector.
    """
    files = ParameterFiles(Contents(production.cycle.setup, production.cycle.scheme))
    wanted = None if detectors is None else list(detectors)
    held: dict[tuple[str, Files], Key] = {}
    keys = list(keys)
    for key in sorted(keys, key=lambda key: key.order):
        held.setdefault((key.series, files.held(tier, key)), key)
    found: list[Row] = []
    seen: set[str] = set()
    own = list(_own(files, tier, keys))
    with_own = {(run, name) for run, _, made, _ in own for name in made}
    for (run, of_key), key in held.items():
        made, used = _content(of_key)
        seen |= used.keys()
        names = (name for name in used if _is_wanted(str(name), wanted) and (run, name) not in with_own)
        for name in sorted(names):
            found += _of_detector(run, str(name), made.get(name), used[name], files.validity(tier, key))
    for run, valid_from, made, used in own:
        seen |= made.keys()
        for name in sorted(name for name in made if _is_wanted(str(name), wanted)):
            found += _of_detector(run, str(name), made[name], used[name], (valid_from, ""))
    if not found:
        raise _nothing(tier, [run for run, _ in held], wanted, seen)
    return found


def _own(files: ParameterFiles, tier: str, keys: Iterable[Key]) -> Iterator[tuple[str, str, Content, Content]]:
    """What data have from themselves (SiPMs): run, begin, what was found, and the same with overrides over it."""
    seen: set[Path] = set()
    for step in files.own_steps(tier):
        for key in sorted(keys, key=lambda key: key.order):
            path = files.own(step, key)
            if path and path not in seen:
                seen.add(path)
                yield key.series, key.timestamp, *_content(((path,), files.held(tier, key)[1]))


def _content(files: Files) -> tuple[Mapping[Any, Any], Mapping[Any, Any]]:
    """What calibrations say by detector, and what is used; of files that are not there, nothing."""
    made, used = (merged_all(_mapping(path) for path in paths) for paths in (files[0], (*files[0], *files[1])))
    return made, used


def _mapping(path: Path) -> Mapping[Any, Any]:
    return read(path).mapping() if path.is_file() else {}


def _is_wanted(name: str, patterns: Iterable[str] | None) -> bool:
    return patterns is None or any(fnmatchcase(name, pattern) for pattern in patterns)


def _of_detector(run: str, name: str, made: Any, used: Any, valid: tuple[str, str]) -> Iterator[Row]:
    status = used.get("status") if isinstance(used, Mapping) else None
    failed = isinstance(status, Mapping) and status.get("state") == "failed"
    why = str(status.get("reason", "no reason given")) if failed and isinstance(status, Mapping) else ""
    by_hand = set_by_hand(made, used)
    found = dict(numbers_of(used)) | quantities(made, used)
    for quantity in sorted(found):
        value = found[quantity]
        error = NO_NUMBER if value.error is None else value.error
        unit = unit_of(quantity, value)
        yield Row(run, name, quantity, value.value, error, unit, quantity in by_hand, why, *valid)
    if not found:
        yield Row(run, name, "", NO_NUMBER, NO_NUMBER, "", False, why, *valid)


def _nothing(tier: str, runs: list[str], wanted: list[str] | None, seen: Iterable[object]) -> UserError:
    if wanted is not None and seen:
        hint = f"there are: {listing(map(str, seen))}"
        return UserError(f"there are no {tier} parameters of {listing(wanted)}", hint=hint)
    return UserError(f"there are no {tier} parameters for {listing(runs)}", hint="`dataprod status` shows what is made")


def table(found: list[Row], library: str) -> Any:
    """Rows as a table of a library."""
    columns = {each.name: [getattr(row, each.name) for row in found] for each in fields(Row)}
    return of_columns(columns, ("run", "detector", "quantity", "unit"), library)


def of_columns(columns: Mapping[str, list[Any]], categories: Iterable[str], library: str) -> Any:
    """Columns of one value a row as a table of a library, those that repeat as categories.

    Raises
    ------
    UserError
        If the library is ``lgdo``, which has no texts of any length.
    """
    if library == "lgdo":
        raise UserError("this table is not there in LGDO", hint="library is 'pd' or 'ak'")
    if library == "pd":
        import pandas as pd

        frame = pd.DataFrame(columns)
        return frame.astype(dict.fromkeys(categories, "category"))
    import awkward as ak

    return ak.zip({name: ak.Array(values) for name, values in columns.items()}, depth_limit=1)
