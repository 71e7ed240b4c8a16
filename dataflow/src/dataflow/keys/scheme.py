"""Key schemes: how DAQ files are named and filed, as data.

A key is the values of the scheme's fields joined with dashes. Two schemes are built in (``l200``, ``teststand``); a
setup can define its own, or change parts of one, under ``keys`` in the configuration file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from dataflow.base.errors import UserError
from dataflow.base.messages import listing, nearest
from dataflow.base.times import FORMAT, PATTERN, is_time
from dataflow.keys.key import PARTITION

from .key import Key

TIMESTAMP = "timestamp"
PARTITION_PATTERN = r"\w+(?:\.\w+)?"
"""The name of a partition, after a dot the detector that has a grouping of its own."""
_PLACE = re.compile(r"\{(\w+)(?::([^}]*))?\}")
_NUMBER = re.compile(r"0\d+d|d")
_DATE_FORM = re.compile(r"(?:%[YymdHMS]|[^%])+")
_DAY = re.compile(r"(?=.*%[Yy])(?=.*%m)(?=.*%d)")
_DATE_PARTS = {"%Y": r"\d{4}", "%y": r"\d\d", "%m": r"\d\d", "%d": r"\d\d", "%H": r"\d\d", "%M": r"\d\d", "%S": r"\d\d"}


@dataclass(frozen=True)
class KeyScheme:
    """What a kind of experiment calls its files.

    Attributes
    ----------
    name
        What it is called in the configuration.
    fields
        Field names in the order of the key, each with the regular expression of its values. ``timestamp`` is the last.
    examples
        A value of each field, for error messages.
    category
        The field that metadata validity calls the category: datatype or measurement.
    directory
        Folder of a file below its tier, a template of fields.
    daq_names
        Names of DAQ files without extension. ``{run:04d}`` is the last number of the value in digits,
        ``{timestamp:%y%m%dT%H%M%S}`` a time.
    calibration
        Categories that give parameters.
    choice
        ``time``: the parameters of the last calibration run before a file hold for it; ``preferred``: those of the
        first of `calibration` that exists, for all times.
    shared
        Fields that a file and the calibration run whose parameters it takes have in common.
    runlist
        Fields that name the levels of ``datasets/runlists.yaml`` below the name of the list.
    tiers
        The tiers that are made, in order.
    on_request
        Further tiers that are made only where a target asks for them.
    aliases
        Other names of tiers in targets.
    optional
        A field that targets may leave out, or an empty string.
    detector
        The field with the one detector of a file, or an empty string if a channel map tells the channels.
    run_files
        Tiers that are one file for each series (run and datatype) instead of each key, with the categories that they
        are made of.
    run
        Fields that name a run, with all its datatypes; empty for all fields but the category and the time.
    """

    name: str
    fields: Mapping[str, str]
    examples: Mapping[str, str]
    category: str
    directory: str
    daq_names: tuple[str, ...] = ("{key}",)
    calibration: tuple[str, ...] = ("cal",)
    choice: str = "time"
    shared: tuple[str, ...] = ("experiment",)
    runlist: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ("raw", "tcm", "dsp", "hit", "evt", "skm")
    on_request: tuple[str, ...] = ()
    aliases: Mapping[str, str] | None = None
    optional: str = ""
    detector: str = ""
    run_files: Mapping[str, tuple[str, ...]] | None = None
    run: tuple[str, ...] = ()

    @cached_property
    def all_tiers(self) -> tuple[str, ...]:
        """The tiers that can be made, in order; those that are made on request come last."""
        return tuple(dict.fromkeys((*self.tiers, *self.on_request)))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The field names in order."""
        return tuple(self.fields)

    @cached_property
    def series_fields(self) -> tuple[str, ...]:
        """The fields that name a series, the files of one run and datatype: all but the time."""
        return self.names[:-1]

    @cached_property
    def category_place(self) -> int:
        """The place in a key of the field that is its category."""
        return self.names.index(self.category)

    @cached_property
    def run_places(self) -> tuple[int, ...]:
        """The places in a key of the fields that name a run."""
        of_run = self.run or [name for name in self.series_fields if name != self.category]
        return tuple(place for place, name in enumerate(self.names) if name in of_run)

    @cached_property
    def _key(self) -> re.Pattern[str]:
        return re.compile("-".join(f"({pattern})" for pattern in self.fields.values()))

    @cached_property
    def _values(self) -> Mapping[str, re.Pattern[str]]:
        return {name: re.compile(pattern) for name, pattern in self.fields.items()}

    @cached_property
    def _daq(self) -> tuple[tuple[re.Pattern[str], Mapping[str, str]], ...]:
        templates = (name.replace("{key}", self.key_template) for name in self.daq_names)
        return tuple(_daq_pattern(template, self.fields) for template in templates)

    @cached_property
    def key_template(self) -> str:
        """The key as a template of its fields."""
        return "-".join(f"{{{name}}}" for name in self.names)

    @cached_property
    def series_template(self) -> str:
        """The name of a series as a template of its fields."""
        return "-".join(f"{{{name}}}" for name in self.series_fields)

    @cached_property
    def partition_template(self) -> str:
        """The name of a partition as a template: the fields that its files share, and ``{partition}``."""
        return "-".join(f"{{{name}}}" for name in (*self.shared, PARTITION))

    @cached_property
    def patterns(self) -> Mapping[str, str]:
        """The regular expressions of all fields of path templates, the name of a partition included."""
        return {**self.fields, PARTITION: PARTITION_PATTERN}

    @cached_property
    def form(self) -> str:
        """The key for reading: ``experiment-period-…``."""
        return "-".join(self.names)

    @cached_property
    def example_values(self) -> Mapping[str, str]:
        """A value of each field: its example if that fits, else one made from its expression, else its name."""
        return {name: self._value(name) for name in self.names}

    def _value(self, name: str) -> str:
        pattern = self.fields[name]
        candidates = (self.examples.get(name, ""), name, _made_up(name, pattern), _spelt(pattern))
        return next((text for text in candidates if self.fits(name, text)), name.upper())

    @cached_property
    def example(self) -> str:
        """A key of this scheme."""
        return "-".join(self.example_values.values())

    @cached_property
    def daq_form(self) -> str:
        """The names of DAQ files, without extension, for reading."""
        return " or ".join(name.replace("{key}", self.form) for name in self.daq_names)

    @cached_property
    def daq_example(self) -> str:
        """A DAQ file's name, without extension, in the first of the forms."""
        return _PLACE.sub(lambda place: self._filled(place[1], place[2] or ""), self.daq_names[0])

    def _filled(self, name: str, form: str) -> str:
        text = self.example if name == "key" else self.example_values[name]
        if _NUMBER.fullmatch(form):
            return f"{int(_last_digits(text)[1] or 1):{form}}"
        return datetime.strptime(text, FORMAT).replace(tzinfo=UTC).strftime(form) if form else text

    def parse(self, text: str) -> Key | None:
        """The key that a text spells, None if it is none of this scheme."""
        match = self._key.fullmatch(text)
        return Key(match.groups(), self) if match and is_time(match[len(self.fields)]) else None

    def key(self, text: str) -> Key:
        """The key that a text spells.

        Raises
        ------
        UserError
            If it is none of this scheme.
        """
        key = self.parse(text)
        if key is None:
            raise UserError(f"{text!r} is not a key {self.form}", hint=f"a key looks like {self.example}")
        return key

    def fits(self, field: str, value: str) -> bool:
        """Whether a value has the form of a field."""
        matches = self._values[field].fullmatch(value) is not None
        return matches and (field != TIMESTAMP or is_time(value))

    def daq_key(self, stem: str) -> Key | None:
        """The key of a DAQ file from its name without extension, None if the name has none of the known forms."""
        if self.daq_names[0] == "{key}" and (key := self.parse(stem)):
            return key
        for pattern, formats in self._daq:
            match = pattern.fullmatch(stem)
            if match:
                values = [self._written(name, match[name], formats.get(name, "")) for name in self.names]
                return self.parse("-".join(values))
        return None

    def _written(self, name: str, text: str, form: str) -> str:
        """A field's value as keys write it, from how a file name writes it."""
        if _NUMBER.fullmatch(form):
            before, digits, after = _last_digits(self.example_values[name])
            return f"{before}{int(text):0{len(digits)}d}{after}"
        if form:
            try:
                return datetime.strptime(text, form).replace(tzinfo=UTC).strftime(FORMAT)
            except ValueError:
                return text
        return text

    def tier(self, name: str) -> str | None:
        """The tier called `name` or having it as an alias, None if there is none."""
        real = (self.aliases or {}).get(name, name)
        return real if real in self.all_tiers else None


def _made_up(name: str, pattern: str) -> str:
    """A text that a plain expression may stand for: digits counted out, words as the field is called."""
    text = re.sub(r"(?:\\d|\[0-9\])\{(\d+)(?:,\d*)?\}", lambda match: "1".zfill(int(match[1])), pattern)
    text = re.sub(r"(?:\\d|\[0-9\])[+*]?", "1", text)
    return re.sub(r"(?:\\w|\[[^]]*\])(?:[+*]|\{[^}]*\})", name, text)


def _daq_pattern(template: str, patterns: Mapping[str, str]) -> tuple[re.Pattern[str], Mapping[str, str]]:
    """The expression that matches the names a template stands for, and the format given to each field."""
    formats: dict[str, str] = {}
    expression, end = "", 0
    for place in _PLACE.finditer(template):
        name, form = place[1], place[2] or ""
        expression += re.escape(template[end : place.start()])
        expression += f"(?P={name})" if name in formats else f"(?P<{name}>{_form_pattern(form, patterns[name])})"
        formats[name] = form
        end = place.end()
    return re.compile(expression + re.escape(template[end:])), formats


def _spelt(pattern: str) -> str:
    """A text that a plain expression may stand for: its first alternatives, the first of its sets of characters."""
    text = re.sub(r"\(\?:([^|()]*)[^()]*\)", r"\1", pattern)
    text = text.replace(r"\d", "[1]").replace(r"\w", "[a]")
    text = re.sub(
        r"(\[([^]^])[^]]*\]|[^\\\[\]])\{(\d+)(?:,\d*)?\}", lambda match: (match[2] or match[1]) * int(match[3]), text
    )
    return re.sub(r"[+*?]|\\", "", re.sub(r"\[([^]^])[^]]*\]", r"\1", text))


def _last_digits(text: str) -> tuple[str, str, str]:
    """A text as what comes before its last digits, these, and what comes after them."""
    match = re.fullmatch(r"(.*?)(\d*)(\D*)", text, re.DOTALL)
    return (match[1], match[2], match[3]) if match else (text, "", "")


def _form_pattern(form: str, pattern: str) -> str:
    if _NUMBER.fullmatch(form):
        return rf"\d{{{int(form[:-1] or 1)}}}" if form.startswith("0") else r"\d+"
    if form:
        return re.sub("%[YymdHMS]", lambda part: _DATE_PARTS[part[0]], re.escape(form).replace(r"\%", "%"))
    return pattern


L200 = KeyScheme(
    name="l200",
    fields={
        "experiment": r"\w+",
        "period": r"p\d{2}",
        "run": r"r\d{3}",
        "datatype": r"[A-Za-z0-9]{3}",
        TIMESTAMP: PATTERN,
    },
    examples={
        "experiment": "l200",
        "period": "p03",
        "run": "r001",
        "datatype": "cal",
        TIMESTAMP: "20230317T211819Z",
    },
    category="datatype",
    directory="{datatype}/{period}/{run}",
    runlist=("datatype", "period", "run"),
    on_request=("pht",),
    run_files={"skm": ("phy", "ssc", "rdc")},
)

TESTSTAND = KeyScheme(
    name="teststand",
    fields={
        "experiment": r"\w+",
        "detector": r"[A-Za-z0-9]+",
        "measurement": r"\w+",
        "run": r"r\d{3}",
        TIMESTAMP: PATTERN,
    },
    examples={
        "experiment": "char_data",
        "detector": "B00000B",
        "measurement": "th_HS2_top_psa",
        "run": "r001",
        TIMESTAMP: "20220118T150113Z",
    },
    category="measurement",
    directory="{detector}/{measurement}",
    daq_names=("{key}", "{experiment}-{detector}-{measurement}-run{run:04d}-{timestamp:%y%m%dT%H%M%S}"),
    calibration=("th_HS2_lat_psa", "th_HS2_top_psa"),
    choice="preferred",
    shared=("experiment", "detector"),
    runlist=("measurement", "detector", "run"),
    tiers=("raw", "dsp", "hit"),
    aliases={"tier1": "raw", "tier2": "dsp", "tier3": "hit"},
    optional="experiment",
    detector="detector",
    run=("experiment", "detector", "measurement", "run"),
)

BUILTIN = {scheme.name: scheme for scheme in (L200, TESTSTAND)}
CHOICES = ("time", "preferred")
_LISTS = ("daq_names", "calibration", "shared", "runlist", "tiers", "on_request", "run")
_MAPPINGS = ("fields", "examples", "aliases", "run_files")


def scheme_of(keys: str | Mapping[str, Any], where: str = "keys") -> KeyScheme:
    """The scheme that a configuration asks for: a built-in name, or a mapping that changes one (``scheme``: its name).

    Raises
    ------
    UserError
        If the name or an entry is unknown, or an entry has a wrong form.
    """
    if isinstance(keys, str):
        return _builtin(keys, where)
    base = _builtin(str(keys.get("scheme", "l200")), f"{where}.scheme")
    given: dict[str, Any] = {name: _entry(name, value, where) for name, value in keys.items() if name != "scheme"}
    own = given.get("examples", {})
    scheme = replace(base, **given | {"examples": dict(base.examples) | own})
    _check(scheme, where)
    for name, text in own.items():
        if name not in scheme.fields or not scheme.fits(name, text):
            form = f"; its form is {scheme.fields[name]}" if name in scheme.fields else ""
            hint = "" if form else nearest(name, scheme.fields)
            raise UserError(f"{where}.examples: {text!r} is not a valid {name}{form}", hint=hint)
    return scheme


def _builtin(name: str, where: str) -> KeyScheme:
    if name not in BUILTIN:
        raise UserError(f"{where}: there is no key scheme {name!r}", hint=nearest(name, BUILTIN))
    return BUILTIN[name]


def _entry(name: str, value: object, where: str) -> object:
    known = [field.name for field in fields(KeyScheme)]
    if name not in known:
        raise UserError(f"{where}: unknown entry {name!r}", hint=nearest(name, [*known, "scheme"]))
    if name in _LISTS:
        return _texts(value, f"{where}.{name}")
    if name in _MAPPINGS:
        if not isinstance(value, Mapping):
            raise UserError(f"{where}.{name} must be a mapping, not {value!r}")
        if name == "run_files":
            return {str(key): _texts(item, f"{where}.{name}.{key}") for key, item in value.items()}
        return {str(key): str(item) for key, item in value.items()}
    if not isinstance(value, str):
        raise UserError(f"{where}.{name} must be text, not {value!r}")
    return value


def _texts(value: object, where: str) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, Sequence) or not all(isinstance(item, str) for item in items):
        raise UserError(f"{where} must be a list of texts, not {value!r}")
    return tuple(items)


def _check(scheme: KeyScheme, where: str) -> None:
    """Refuse a scheme whose parts do not fit together."""
    _check_fields(scheme, where)
    used = {"category": [scheme.category], "shared": scheme.shared, "runlist": scheme.runlist, "run": scheme.run}
    used["directory"] = [place[1] for place in _PLACE.finditer(scheme.directory)]
    used["optional, detector"] = [name for name in (scheme.optional, scheme.detector) if name]
    for template in scheme.daq_names:
        used["daq_names"] = [place[1] for place in _PLACE.finditer(template) if place[1] != "key"]
        _check_names(used, scheme, where)
    if scheme.choice not in CHOICES:
        raise UserError(f"{where}.choice {scheme.choice!r} is none of {listing(CHOICES)}")
    for name, value in scheme.example_values.items():
        if not scheme.fits(name, value):
            hint = f"examples: {{{name}: VALUE}}, with a value that {scheme.fields[name]} takes"
            raise UserError(f"{where}.examples has no {name}, and none can be made up", hint=hint)
    for template in scheme.daq_names:
        if wrong := _wrong_daq_name(template, scheme):
            hint = f"for example {BUILTIN['teststand'].daq_names[1]}"
            raise UserError(f"{where}.daq_names: {template!r} {wrong}", hint=hint)


def _wrong_daq_name(template: str, scheme: KeyScheme) -> str:
    """Why a template cannot be the name of DAQ files, empty if it can."""
    places = {place[1]: place[2] or "" for place in _PLACE.finditer(template.replace("{key}", scheme.key_template))}
    if missing := [name for name in scheme.names if name not in places]:
        return f"has no {{{missing[0]}}}, which every key has"
    for name, form in places.items():
        if _NUMBER.fullmatch(form):
            if not _last_digits(scheme.example_values[name])[1]:
                return f"has {{{name}:{form}}}, but {scheme.example_values[name]!r} has no number in it"
        elif form and (name != TIMESTAMP or not _DATE_FORM.fullmatch(form) or not _DAY.search(form)):
            return f"has {{{name}:{form}}}: a number is written as 04d, the time with %Y or %y, %m, %d, %H, %M, %S"
    return ""


def _check_fields(scheme: KeyScheme, where: str) -> None:
    if not scheme.fields or scheme.names[-1] != TIMESTAMP:
        raise UserError(f"{where}.fields: the last field must be {TIMESTAMP!r}, not {list(scheme.fields)[-1:]}")
    for name, pattern in scheme.fields.items():
        try:
            groups = re.compile(pattern).groups
        except re.error as exc:
            raise UserError(f"{where}.fields.{name}: {pattern!r} is not a regular expression: {exc}") from exc
        if not name.isidentifier():
            raise UserError(
                f"{where}.fields: {name!r} is no name of a field", hint="letters, digits and _, such as run"
            )
        if groups:
            raise UserError(
                f"{where}.fields.{name}: {pattern!r} has groups", hint="write the expression without ( ), or (?: )"
            )


def _check_names(used: Mapping[str, Sequence[str]], scheme: KeyScheme, where: str) -> None:
    for entry, names in used.items():
        for name in names:
            if name not in scheme.fields:
                raise UserError(f"{where}.{entry}: there is no field {name!r}", hint=nearest(name, scheme.fields))
