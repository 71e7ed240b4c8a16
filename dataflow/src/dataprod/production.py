"""A production cycle for reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from dataflow.plan.cycle import Cycle
from dataflow.plan.errors import UserError
from dataflow.plan.inventory import files_below
from dataflow.plan.merge import merged_all
from dataflow.plan.model import Channel, Key
from dataflow.plan.paths import template_pattern
from dataflow.plan.validity import Folder
from dataflow.plan.words import listing, nearest

from .condition import Condition
from .keypatterns import matching
from .par import Par

BY_CHANNEL = ("raw", "dsp", "psp", "hit", "pht")
"""Tiers whose files have a table for each channel."""
CHANNEL_FIELDS = ("detector", "system", "usability", "processable")
_LIBRARIES = ("ak", "pd", "lgdo")


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

    def keys(self, pattern: str = "*", *, tier: str = "", where: str = "") -> list[Key]:
        """The keys that fit, sorted by time.

        Parameters
        ----------
        pattern
            Values of fields next to each other, joined with dashes: ``p03-r00*-cal``; see
            :func:`dataprod.keypatterns.matching`.
        tier
            Only keys with a file of this tier.
        where
            A condition on the fields of the key: ``"period == 'p03' and run < 'r005'"``.

        Raises
        ------
        UserError
            If the tier is unknown or the condition is wrong.
        """
        condition = Condition(where)
        condition.check_names(self.cycle.scheme.names)
        found = matching(pattern, ((key.values, key) for key in self._all_keys))
        if tier:
            there = {file.key for file in self._of(self._tier(tier))}
            found = [key for key in found if key in there]
        return [key for key in found if condition(key.fields)]

    def files(self, tier: str, pattern: str = "*", *, where: str = "") -> list[TierFile]:
        """The files of a tier that are there, sorted by time; parameters as for :meth:`keys`."""
        condition = Condition(where)
        condition.check_names(self.cycle.scheme.names)
        named = [(tuple(file.fields.values()), file) for file in self._of(self._tier(tier))]
        return [file for file in matching(pattern, named) if condition(file.fields)]

    def expected(self, tier: str, key: Key) -> Path:
        """Where the file of a key belongs, whether it is there or not."""
        name = self._tier(tier)
        runs = self.cycle.runs.get(key.run)
        per_run = name in (self.cycle.scheme.run_files or {})
        return self.cycle.output(f"tier_{name}", runs[0] if per_run and runs else key)

    def detectors(self, key: Key | str, system: str = "") -> list[Channel]:
        """The channels at the time of a key, sorted by name; of one system if given (``geds``, ``spms``, …)."""
        channels = self.cycle.metadata.channels(self.key(key))
        return [channel for channel in channels if system in ("", channel.system)]

    def key(self, text: Key | str) -> Key:
        """The key that a text spells, or the first one that fits a pattern such as ``p03-r000-cal``.

        Raises
        ------
        UserError
            If there is none.
        """
        if isinstance(text, Key):
            return text
        found = self.keys(text)
        if not found:
            raise UserError(
                f"no key fits {text!r}", hint=f"there are runs: {listing(key.run for key in self._all_keys)}"
            )
        return found[0]

    def par(self, tier: str, key: Key | str, detector: str) -> Par:
        """The parameters of a detector that hold for a key: those of its calibration run, then overrides.

        Parameters
        ----------
        tier
            The tier that is made with them: ``dsp``, ``hit``, ….
        key
            A key, or a pattern whose first match is meant.
        detector
            Its name.

        Raises
        ------
        UserError
            If there are no parameters, or none of this detector.
        """
        files = self.par_files(tier, self.key(key))
        content = merged_all(self.cycle.metadata.reader(path).mapping() for path in files)
        if detector not in content:
            hint = nearest(detector, map(str, content))
            raise UserError(f"there are no {tier} parameters of {detector!r} for {self.key(key)}", hint=hint)
        return Par(deepcopy(content[detector]), detector, files)

    def par_files(self, tier: str, key: Key) -> tuple[Path, ...]:
        """The parameter files that hold for a key, overrides last.

        They are those of the plan where the data are known, else those of ``validity.yaml``.
        """
        overrides = self.cycle.metadata.overrides(tier, key)
        if key.run in self.cycle.runs:
            job = self.cycle.job(f"tier_{self._tier(tier)}", key)
            return (*job.inputs.get(f"par_{tier}", ()), *overrides)
        folder = Folder(self.cycle.setup.path(f"par_{tier}"), self.cycle.metadata.reader)
        return (*folder.files(key.timestamp, key.datatype), *overrides)

    def columns(self, tier: str, key: Key | str = "*", detector: str = "") -> list[str]:
        """The names of the columns of a tier, those in groups with slashes; needs the software of a cycle.

        Parameters
        ----------
        key
            Of which file; the first that fits.
        detector
            Of which detector; default: the first germanium detector.
        """
        from .reading import columns_of

        return columns_of(self, self._some(tier, str(key), "")[0], detector)

    def load(
        self,
        tier: str,
        columns: Sequence[str] | None = None,
        *,
        keys: str | Iterable[Key] = "*",
        where: str = "",
        detectors: str | Iterable[str] | None = None,
        library: str = "ak",
    ) -> Any:
        """Rows of a tier, of all files and detectors that fit, one after the other.

        Parameters
        ----------
        tier
            The tier.
        columns
            Names; those in groups with slashes (``geds/energy``). ``detector``, ``key``, ``period``, ``run`` and the
            other fields of the key can be among them, but ``timestamp`` is the column of the table: the time of the
            row. Default: all.
        keys
            A pattern of keys, or keys.
        where
            A condition on the key's fields (``timestamp`` is the time of the file here, a text), on ``detector``,
            ``system``, ``usability`` and ``processable``, and on columns (``geds.multiplicity == 1``): whatever can be
            decided before reading is not read.
        detectors
            Names or patterns (``V*``); default: all that have the columns. Names are those of the channel map at the
            time of each file. Tiers of events (tcm, evt, skm) have none.
        library
            ``ak`` for :class:`awkward.Array`, ``pd`` for :class:`pandas.DataFrame`, ``lgdo`` for :class:`lgdo.Table`.

        Returns
        -------
        table
            For tiers by channel it has a column ``detector`` too.

        Raises
        ------
        UserError
            If nothing fits, or a name is wrong.
        """
        from .reading import load

        chosen = self._chosen(tier, keys, where)
        return load(self, chosen, _names(columns), where, _names(detectors), self._library(library))

    def iterate(
        self,
        tier: str,
        columns: Sequence[str] | None = None,
        *,
        rows: int = 100_000,
        keys: str | Iterable[Key] = "*",
        where: str = "",
        detectors: str | Iterable[str] | None = None,
        library: str = "ak",
    ) -> Iterator[Any]:
        """Like :meth:`load`, in tables of at most `rows` rows: as much is in memory at a time."""
        from .reading import iterate

        if rows < 1:
            raise UserError(f"rows must be positive, not {rows}")
        chosen = self._chosen(tier, keys, where)
        return iterate(self, chosen, _names(columns), where, _names(detectors), self._library(library), rows)

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
        name = self.cycle.scheme.tier(tier)
        if name is None:
            raise UserError(f"there is no tier {tier!r}", hint=nearest(tier, self.tiers))
        return name

    def _chosen(self, tier: str, keys: str | Iterable[Key], where: str) -> list[TierFile]:
        """The files that may have rows that fit."""
        if isinstance(keys, str):
            return self._some(tier, keys, where)
        wanted = set(keys)
        found = [file for file in self._some(tier, "*", where) if file.key in wanted]
        if not found:
            raise UserError(f"there are no {tier} files of these keys", hint="see .keys(tier=…)")
        return found

    def _some(self, tier: str, pattern: str, where: str) -> list[TierFile]:
        name = self._tier(tier)
        of_key = [term for term in Condition(where).terms if term.names <= set(self.cycle.scheme.names)]
        found = [file for file in self.files(name, pattern) if all(term(file.fields) for term in of_key)]
        if not found:
            runs = listing("-".join(list(file.fields.values())[:-1]) for file in self._of(name))
            wanted = " and ".join(filter(None, [pattern, where]))
            raise UserError(f"there is no {name} file for {wanted!r}", hint=f"there are {name} files of: {runs}")
        return found

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
        return next(iter(self.cycle.runs.get(text, ())), None)


def _names(names: str | Iterable[str] | None) -> list[str] | None:
    if names is None:
        return None
    return [names] if isinstance(names, str) else list(names)
