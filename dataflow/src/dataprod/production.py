"""A production cycle for reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from operator import index
from pathlib import Path
from typing import Any, SupportsIndex, TypeVar

from dataflow.base.errors import UserError
from dataflow.base.messages import listing, nearest
from dataflow.keys.channel import Channel
from dataflow.keys.inventory import files_below
from dataflow.keys.key import Key
from dataflow.keys.scheme import TIMESTAMP
from dataflow.metadata.merge import merged_all
from dataflow.metadata.validity import Folder
from dataflow.plan.cycle import Cycle
from dataflow.plan.paths import template_pattern
from dataflow.registry.steps import calibrated_tiers

from .condition import FILE_TIME, Condition
from .keypatterns import matching
from .par import Par

BY_CHANNEL = ("raw", "dsp", "psp", "hit", "pht")
"""Tiers whose files have a table for each channel."""
CHANNEL_FIELDS = ("detector", "system", "usability", "processable")
_LIBRARIES = ("ak", "pd", "lgdo")
T = TypeVar("T")


class NothingFound(UserError):
    """No key or file fits; the sentence names those that there are."""


@dataclass(frozen=True)
class TierFile:
    """A file of a tier that is there.

    Attributes
    ----------
    path
        Where it is.
    tier
        Its tier.
    fields
        The fields of its key; a file of a run has no ``timestamp``.
    key
        The key, or for a file of a run that of its first DAQ file (``None`` if that is not known any more).
    """

    path: Path
    tier: str
    fields: Mapping[str, str]
    key: Key | None

    def __str__(self) -> str:
        return "-".join(self.fields.values())

    @property
    def series(self) -> str:
        """What all files of its run and datatype are called."""
        return "-".join(value for name, value in self.fields.items() if name != TIMESTAMP)

    @property
    def labels(self) -> dict[str, str]:
        """What a condition can say of it: the fields of its key, the time as ``key_timestamp``."""
        return {FILE_TIME if name == TIMESTAMP else name: value for name, value in self.fields.items()}


class Production:
    """One production cycle, opened for reading with :func:`dataprod.open`.

    Parameters
    ----------
    cycle
        The cycle as the plan sees it.
    """

    def __init__(self, cycle: Cycle) -> None:
        self.cycle = cycle
        self._files: dict[str, tuple[TierFile, ...]] = {}

    def __repr__(self) -> str:
        return f"<production {self.cycle.setup.directory}: {len(self.cycle.keys)} keys, tiers {', '.join(self.tiers)}>"

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers of its key scheme, in order."""
        return self.cycle.scheme.tiers

    @cached_property
    def _all_keys(self) -> tuple[Key, ...]:
        """The keys of DAQ files and of everything that was made of them, sorted by time."""
        ignored = self.cycle.metadata.datasets.ignored
        made = {file.key for tier in self.tiers for file in self._of(tier) if file.key and "timestamp" in file.fields}
        keys = {*self.cycle.keys, *made}
        return tuple(sorted((key for key in keys if str(key) not in ignored), key=lambda key: key.order))

    def keys(self, pattern: str = "*", *, tier: str = "", where: str | None = "") -> list[Key]:
        """The keys that fit, sorted by time; an empty list if none does.

        Parameters
        ----------
        pattern
            Values of fields next to each other, joined with dashes: ``p03-r00*-cal``; see
            :func:`dataprod.keypatterns.matching`.
        tier
            Only keys with a file of this tier.
        where
            A condition on the fields of the key: ``"period == 'p03' and run < 'r005'"``. The time can be called
            ``key_timestamp`` too, as :meth:`load` does.

        Raises
        ------
        UserError
            If the tier is unknown, or pattern or condition is none.
        """
        condition = self._condition(where)
        found = matching(pattern, ((key.values, key) for key in self._all_keys))
        if tier:
            there = {file.key for file in self._of(self._tier(tier))}
            found = [key for key in found if key in there]
        return [key for key in found if condition({**key.fields, FILE_TIME: key.timestamp})]

    def files(self, tier: str, pattern: str = "*", *, where: str | None = "") -> list[TierFile]:
        """The files of a tier that are there, sorted by time; parameters as for :meth:`keys`.

        Raises
        ------
        NothingFound
            If no file fits; it is a :class:`UserError` and names the runs of which there are files.
        """
        condition = self._condition(where)
        found = [file for file in self._matching(tier, pattern) if condition({**file.fields, **file.labels})]
        if not found:
            raise self._no_file(tier, pattern, condition)
        return found

    def expected(self, tier: str, key: Key) -> Path:
        """Where the file of a key belongs, whether it is there or not."""
        name = self._tier(tier)
        runs = self.cycle.series.get(key.series)
        per_run = name in (self.cycle.scheme.run_files or {})
        return self.cycle.output(f"tier_{name}", runs[0] if per_run and runs else key)

    def detectors(self, key: Key | str, system: str = "") -> list[Channel]:
        """The channels at the time of a key, sorted by name; of one system if given (``geds``, ``spms``, …).

        Raises
        ------
        UserError
            If no key fits, or there is no channel of this system; it names the systems that there are.
        """
        channels = self.cycle.metadata.channels(self.key(key))
        systems = {channel.system for channel in channels}
        if system and system not in systems:
            raise UserError(f"there is no system {system!r} at {self.key(key)}", hint=f"there are: {listing(systems)}")
        return [channel for channel in channels if system in ("", channel.system)]

    def key(self, text: Key | str) -> Key:
        """The key that a text spells, or the first one that fits a pattern such as ``p03-r000-cal``.

        Raises
        ------
        UserError
            If there is none.
        """
        return self._keys_of(text)[0]

    def _keys_of(self, text: Key | str) -> list[Key]:
        """A key, or those that fit a pattern, of which there is one at least."""
        found = [text] if isinstance(text, Key) else self.keys(text)
        if not found:
            raise NothingFound(f"no key fits {text!r}", hint=f"there are runs: {listing(self.runs)}")
        return found

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs of its keys, in the order of their first files: ``l200-p03-r000-cal``."""
        return tuple(dict.fromkeys(key.series for key in self._all_keys))

    def par(self, tier: str, key: Key | str, detector: str) -> Par:
        """The parameters of a detector that hold for a key: those of its calibration run, then overrides.

        Parameters
        ----------
        tier
            The tier that is made with them: ``dsp``, ``hit``, ….
        key
            A key, or a pattern of keys for which the same parameters hold.
        detector
            Its name.

        Raises
        ------
        UserError
            If there are no parameters, none of this detector, or different ones for the keys that fit.
        """
        found = self._keys_of(key)
        files = self.par_files(tier, found[0])
        if any(self.par_files(tier, other) != files for other in found[1:]):
            runs = {each.run for each in found}
            several = f"of several runs: {listing(runs)}" if len(runs) > 1 else f"of {listing(map(str, found))}"
            hint = "name one of them; `keys` gives all that fit"
            raise UserError(f"{key!r} fits keys with different {tier} parameters {several}", hint=hint)
        content = merged_all(self.cycle.metadata.reader(path).mapping() for path in files)
        if detector not in content:
            files = (*self._own_files(tier, found), *files)
            content = merged_all(self.cycle.metadata.reader(path).mapping() for path in files)
        if detector not in content:
            hint = nearest(detector, map(str, content))
            raise UserError(f"there are no {tier} parameters of {detector!r} for {found[0]}", hint=hint)
        return Par(deepcopy(content[detector]), detector, files)

    def parameters(
        self,
        tier: str,
        keys: str | Key | Iterable[Key] = "*",
        *,
        detectors: str | Iterable[str] | None = None,
        library: str = "pd",
    ) -> Any:
        """All numbers among the parameters as one table: a row for each run, detector and quantity.

        Parameters
        ----------
        tier
            The tier that is made with them: ``dsp``, ``hit``, ….
        keys
            A pattern of keys, or keys: the parameters that are used for them, overrides last.
        detectors
            Names or patterns (``V*``); default: all.
        library
            ``pd`` for :class:`pandas.DataFrame`, ``ak`` for :class:`awkward.Array`.

        Returns
        -------
        table
            Columns ``run``, ``detector``, ``quantity`` (the dotted name in the parameter file), ``value``, ``error``
            (NaN if there is none), ``unit``, ``by_hand`` (set by an override), ``failed`` (why the detector could not
            be calibrated; such a detector may have one row without a quantity), ``valid_from`` and ``valid_until``:
            from when on, and until when, the files that the parameters are merged from hold (UTC, half-open; empty
            where there is no bound). A run within which they change has rows for each time; what data have from
            themselves (SiPMs) has rows for each of its files.

        Raises
        ------
        UserError
            If nothing fits.
        """
        from .partable import rows, table

        if self._tier(tier) not in calibrated_tiers():
            raise UserError(f"the tier {tier} has no parameters", hint=f"there are: {', '.join(calibrated_tiers())}")
        chosen = self._keys_of(keys) if isinstance(keys, str | Key) else self._some_keys(keys)
        return table(rows(self, self._tier(tier), chosen, _names(detectors, "detectors")), self._library(library))

    def _some_keys(self, keys: Iterable[Key]) -> list[Key]:
        found = _items(keys, Key, "keys", "a pattern, or keys as .keys() gives")
        if not found:
            raise NothingFound("there are no keys", hint=f"there are runs: {listing(self.runs)}")
        return found

    def livetime(self, keys: str | Key | Iterable[Key] = "phy", *, tier: str = "evt", library: str = "pd") -> Any:
        """Real and live time of files of events; the definitions are in :mod:`dataprod.exposure`.

        Parameters
        ----------
        keys
            A pattern of keys, or keys; default: physics.
        tier
            The tier of events: ``evt`` or ``pet``.
        library
            ``pd`` for :class:`pandas.DataFrame`, ``ak`` for :class:`awkward.Array`.

        Returns
        -------
        table
            A row a file: ``key``, ``run``, ``from`` and ``to`` (first and last event, seconds since 1970),
            ``realtime_in_s``, ``livetime_in_s``, ``pulses``, ``missing_pulses``, and ``method``: ``pulser`` or
            ``events``.

        Raises
        ------
        UserError
            If no file fits, or its events have no times.
        """
        from .exposure import livetime

        return livetime(self, self._chosen(tier, keys, ""), self._library(library))

    def exposure(
        self,
        keys: str | Key | Iterable[Key] = "phy",
        *,
        tier: str = "evt",
        usability: Iterable[str] = ("on", "no_psd"),
        library: str = "pd",
    ) -> Any:
        """Exposure of each germanium detector by run; the definitions are in :mod:`dataprod.exposure`.

        Parameters
        ----------
        keys, tier, library
            As for :meth:`livetime`.
        usability
            Usabilities of detectors that count; others have the live time 0.

        Returns
        -------
        table
            ``run``, ``detector``, ``mass_in_kg``, ``livetime_in_s``, ``exposure_in_kg_yr`` (of 365.25 days), and
            ``left_out``: why the detector, or some files of it, do not count. Detectors that are not processable, or
            whose calibration failed, do not.

        Raises
        ------
        UserError
            If no file fits, or the metadata do not say the mass of a detector.
        """
        from .exposure import exposure

        wanted = _names(usability, "usability") or ()
        return exposure(self, self._chosen(tier, keys, ""), wanted, self._library(library))

    def _own_files(self, tier: str, keys: Iterable[Key]) -> tuple[Path, ...]:
        """What the first of some keys that has it has from its own data (SiPMs)."""
        from dataflow.door.contents import Contents
        from dataflow.door.parameters import ParameterFiles

        files = ParameterFiles(Contents(self.cycle.setup, self.cycle.scheme))
        for key in keys:
            paths = (files.own(step, key) for step in files.own_steps(tier))
            if found := tuple(path for path in paths if path):
                return found
        return ()

    def par_files(self, tier: str, key: Key) -> tuple[Path, ...]:
        """The parameter files that hold for a key, overrides last.

        They are those of the plan where the data are known, else those of ``validity.yaml``.
        """
        overrides = self.cycle.metadata.overrides(tier, key)
        if key.series in self.cycle.series:
            job = self.cycle.job(f"tier_{self._tier(tier)}", key)
            return (*job.inputs.get(f"par_{tier}", ()), *overrides)
        folder = Folder(self.cycle.setup.path(f"par_{tier}"), self.cycle.metadata.reader)
        return (*folder.files(key.timestamp, key.datatype), *overrides)

    def columns(self, tier: str, key: Key | str = "*", detector: str = "") -> list[str]:
        """The names of the columns of a tier, those in groups with slashes; needs the software of a cycle.

        Parameters
        ----------
        key
            Of which file: the first that fits and has the detector.
        detector
            Of which detector; default: the first germanium detector.

        Raises
        ------
        UserError
            If no file fits, or none of those has the detector.
        """
        from .reading import columns_of

        return columns_of(self, self.files(tier, str(key) if isinstance(key, Key) else key), detector)

    def load(
        self,
        tier: str,
        columns: Sequence[str] | None = None,
        *,
        keys: str | Key | Iterable[Key] = "*",
        where: str | None = "",
        detectors: str | Iterable[str] | None = None,
        system: str = "",
        library: str = "ak",
    ) -> Any:
        """Rows of a tier, of all files and detectors that fit, one after the other.

        Parameters
        ----------
        tier
            The tier.
        columns
            Names; those in groups with slashes (``geds/energy``). ``detector``, ``key``, ``period``, ``run`` and the
            other fields of the key can be among them, but ``timestamp`` is the column of the table, the time of the
            row, and ``key_timestamp`` that in the name of the file. Default: all, in tiers by channel by system.
        keys
            A pattern of keys, or keys.
        where
            A condition on the same names, on ``system``, ``usability`` and ``processable``, and on other columns
            (``geds.multiplicity == 1``): whatever can be decided before reading is not read. ``key_timestamp`` is a
            text (``key_timestamp < '20230312T000000Z'``); files of a whole run have none.
        detectors
            Names or patterns (``V*``); default: all that have the columns. Names are those of the channel map at the
            time of each file. Tiers of events (tcm, evt, skm) have none.
        system
            Only channels of this one: ``geds``, ``spms``, ….
        library
            ``ak`` for :class:`awkward.Array`, ``pd`` for :class:`pandas.DataFrame`, ``lgdo`` for :class:`lgdo.Table`.

        Returns
        -------
        table
            For tiers by channel it has a column ``detector`` too. Units of the columns are in ``attrs["units"]``, see
            :func:`dataprod.units`; texts are texts, also where files hold bytes. Where a detector does not have a
            column that others have, its values are NaN (of numbers that are not floating-point, None), and a warning
            of the logger ``dataprod.reading`` names it.

            Systems have different columns: if neither `columns` nor `detectors` nor `system` are given for a tier by
            channel, a dict of one table for each system that has rows that fit.

        Raises
        ------
        UserError
            If nothing fits, or a name is wrong.
        """
        from .reading import load

        chosen = self._chosen(tier, keys, where)
        names = _names(columns, "columns"), Condition(where), _names(detectors, "detectors")
        return load(self, chosen, *names, system, self._library(library))

    def iterate(
        self,
        tier: str,
        columns: Sequence[str] | None = None,
        *,
        rows: int = 100_000,
        keys: str | Key | Iterable[Key] = "*",
        where: str | None = "",
        detectors: str | Iterable[str] | None = None,
        system: str = "",
        library: str = "ak",
    ) -> Iterator[Any]:
        """Like :meth:`load`, in tables of at most `rows` rows: as much is in memory at a time.

        Where :meth:`load` would give a table for each system, those of one system come after those of another, with a
        column ``system``; a column that none of the detectors in a table has is not in it.
        """
        from .reading import iterate

        if not isinstance(rows, SupportsIndex) or index(rows) < 1:
            raise UserError(f"rows is the most rows of a table, a whole number above 0, not {rows!r}")
        chosen = self._chosen(tier, keys, where)
        names = _names(columns, "columns"), Condition(where), _names(detectors, "detectors")
        return iterate(self, chosen, *names, system, self._library(library), index(rows))

    def channels(self, file: TierFile, wanted: Sequence[str] | None) -> list[Channel]:
        """The channels of a file at its time that have one of the names or patterns.

        Raises
        ------
        UserError
            If a name is none of the channel map.
        """
        if file.key is None:
            raise UserError(f"{file.path} belongs to no data of the cycle")
        all_ = self.cycle.metadata.channels(file.key)
        if wanted is None:
            return list(all_)
        for pattern in wanted:
            if not any(fnmatchcase(channel.name, pattern) for channel in all_):
                hint = nearest(pattern, [channel.name for channel in all_])
                raise UserError(f"there is no detector {pattern!r} at {file.key.timestamp}", hint=hint)
        return [channel for channel in all_ if any(fnmatchcase(channel.name, pattern) for pattern in wanted)]

    def has_channel(self, file: TierFile, pattern: str) -> bool:
        """Whether a channel of a file at its time has a name or fits a pattern."""
        return any(fnmatchcase(channel.name, str(pattern)) for channel in self.channels(file, None))

    def table(self, tier: str, channel: Channel) -> str:
        """The LH5 table of a channel."""
        form = self.cycle.setup.table_format[tier]
        if "{ch" not in form:
            return form
        return form.rpartition("/")[2] if channel.rawid is None else form.format(ch=channel.rawid)

    def _library(self, library: str) -> str:
        if library not in _LIBRARIES:
            raise UserError(f"there is no library {library!r}", hint=f"there are: {', '.join(_LIBRARIES)}")
        return library

    def _tier(self, tier: str) -> str:
        name = self.cycle.scheme.tier(tier) if isinstance(tier, str) else None
        if name is None:
            raise UserError(f"there is no tier {tier!r}", hint=nearest(tier, self.tiers))
        return name

    def _condition(self, where: str | None) -> Condition:
        """A condition on the fields of keys."""
        condition = Condition(where)
        condition.check_names((*self.cycle.scheme.names, FILE_TIME))
        return condition

    def _chosen(self, tier: str, keys: str | Key | Iterable[Key], where: str | None) -> list[TierFile]:
        """The files that may have rows that fit."""
        if isinstance(keys, str):
            return self._some(tier, keys, where)
        wanted = set(
            _items([keys] if isinstance(keys, Key) else keys, Key, "keys", "a pattern, or keys as .keys() gives")
        )
        found = [file for file in self._some(tier, "*", where) if file.key in wanted]
        if not found:
            raise NothingFound(f"there are no {tier} files of these keys", hint="see .keys(tier=…)")
        return found

    def _some(self, tier: str, pattern: str, where: str | None) -> list[TierFile]:
        condition = Condition(where)
        of_key = {*self.cycle.scheme.series_fields, FILE_TIME}
        terms = [term for term in condition.terms if term.names <= of_key]
        found = [file for file in self._matching(tier, pattern) if all(term(file.labels) for term in terms)]
        if not found:
            raise self._no_file(tier, pattern, condition)
        return found

    def _matching(self, tier: str, pattern: str) -> list[TierFile]:
        return matching(pattern, [(tuple(file.fields.values()), file) for file in self._of(self._tier(tier))])

    def _no_file(self, tier: str, pattern: str, where: Condition) -> NothingFound:
        name = self._tier(tier)
        runs = listing(file.series for file in self._of(name))
        wanted = " and ".join(filter(None, [pattern, where.text]))
        return NothingFound(f"there is no {name} file for {wanted!r}", hint=f"there are {name} files of: {runs}")

    def _of(self, tier: str) -> tuple[TierFile, ...]:
        """The files of a tier, sorted by time."""
        if tier not in self._files:
            found = sorted(self._found(tier), key=lambda file: (file.fields.get("timestamp", ""), str(file)))
            self._files[tier] = tuple(found)
        return self._files[tier]

    def _found(self, tier: str) -> Iterator[TierFile]:
        cycle = self.cycle
        pattern = template_pattern(cycle.paths.tier(tier), cycle.scheme.fields)
        for path in files_below(cycle.setup.path(f"tier_{tier}")):
            match = pattern.fullmatch(cycle.paths.relative(Path(path)))
            if match:
                values = match.groupdict()
                fields = {name: values[name] for name in cycle.scheme.names if name in values}
                if "-".join(fields.values()) not in cycle.metadata.datasets.ignored:
                    yield TierFile(Path(path), tier, fields, self._key_of(fields))

    def _key_of(self, fields: Mapping[str, str]) -> Key | None:
        text = "-".join(fields.values())
        if "timestamp" in fields:
            return self.cycle.scheme.parse(text)
        return next(iter(self.cycle.series.get(text, ())), None)


def _names(names: str | Iterable[str] | None, what: str) -> list[str] | None:
    if names is None:
        return None
    return [names] if isinstance(names, str) else _items(names, str, what, "a name, or a list of names")


def _items(given: Iterable[T], kind: type[T], what: str, form: str) -> list[T]:
    """The items of what a user gave.

    Raises
    ------
    UserError
        If it is not a list, or an item is of another kind.
    """
    if not isinstance(given, Iterable):
        raise UserError(f"{what} is {form}, not {given!r}")
    items = list(given)
    for item in items:
        if not isinstance(item, kind):
            raise UserError(f"{what} is {form}: {item!r} is none")
    return items
