"""Step configuration: the entry of a rule in ``dataprod/config``, resolved for one time and category."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dataflow.base.errors import UserError, raise_first
from dataflow.base.exact import exact
from dataflow.base.messages import is_misspelt, nearest
from dataflow.base.textfile import Reader, TextFile, kind
from dataflow.keys.channel import Channel
from dataflow.keys.daqforms import all_forms
from dataflow.registry.steps import STEPS

from .layers import Layers
from .schemas import OPTIONS, SECTIONS, check_of, configured_inputs, home, schema
from .validity import Folder

if TYPE_CHECKING:
    from .settings import StepSettings

Form = TypeVar("Form", bound="StepSettings")
_Errors = Iterator[UserError]

RULES = "snakemake_rules"
DEFAULT = "__default__"
STEPS_FOLDER = Path(__file__).resolve().parents[1] / "steps"


def shipped_folder(rule: str) -> Path:
    """The folder with what is shipped for a rule: ``defaults`` in the folder of its step, which twins share."""
    step = next((step.module.split(".")[1] for step in STEPS if step.rule == rule), rule)
    return STEPS_FOLDER / step / "defaults"


NESTED = ("out_spec", "muon_config", "config")
"""Inputs that are mappings of several files, not mappings by detector."""
SHARED = ("settings", "evt_config", "skm_config", "config")
"""Inputs that are the same for all channels."""
OTHER_RULES: Mapping[str, tuple[str, ...]] = {
    "tier_raw": ("raw_config",),
    "tier_daq": (),
    "tier_raw_blind": ("settings", "config"),
    "tier_raw_blind_check": (),
    "tier_psp": ("processing_chain",),
    "tier_ann": ("processing_chain",),
    "tier_pan": ("processing_chain",),
    "pars_psp_dplms": ("dplms_pars", "proc_chain"),
    "pars_psp": ("psp_config",),
    "pars_pht_ecal": ("ecal_config",),
    "pars_pht_fast": (),
    "pars_pht_qc_phy": (),
    "pars_hit_energy_cal": (),
    "pars_hit_aoe_cal": (),
    "pars_hit_lq_cal": (),
}
"""Rules that metadata of the collaboration configure and no step here reads, with their usual inputs.

What stands in them is left alone, and so are rules of any other name, unless it looks like a misspelt one.
"""


def known_rules(foreign: Iterable[str] = ()) -> Mapping[str, tuple[str, ...]]:
    """The rules that metadata may configure, with the names of their inputs."""
    names = [form.name for form in all_forms(foreign)]
    own = {step.rule.format(daq=name): tuple(step.configs) for step in STEPS if step.rule for name in names}
    return dict(OTHER_RULES) | own


@dataclass(frozen=True)
class RulePlace:
    """Where the inputs or the options of a rule stand in the metadata."""

    folder: Folder
    timestamp: str
    category: str
    rule: str
    part: str = OPTIONS

    def error(self, message: str, *names: str | int, hint: str = "") -> UserError:
        """The error to raise about an entry."""
        place = (RULES, self.rule, self.part, *map(str, names))
        return self.folder.error(message, self.timestamp, self.category, *place, hint=hint)


@dataclass(frozen=True)
class StepConfig:
    """How a step works at one time.

    Attributes
    ----------
    rule
        Name of the entry in the metadata.
    inputs
        Configuration files by name: a path, a list of paths, or a mapping by detector with ``__default__``.
    options
        Settings of the step.
    """

    rule: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    _root: Path = Path()
    _base: Path = Path()
    _reader: Reader = field(default_factory=Reader, repr=False, compare=False)
    _places: RulePlace | None = field(default=None, repr=False, compare=False)
    _layers: dict[tuple[object, ...], Layers] = field(default_factory=dict, repr=False, compare=False)
    _settings: dict[int, tuple[Layers, StepSettings]] = field(default_factory=dict, repr=False, compare=False)
    _checked: dict[int, tuple[Channel, ...]] = field(default_factory=dict, repr=False, compare=False)
    _found: dict[tuple[str, str, str], Layers] = field(default_factory=dict, repr=False, compare=False)
    _entries: dict[str, object] = field(default_factory=dict, repr=False, compare=False)
    _mappings: dict[str, Mapping[str, Any]] = field(default_factory=dict, repr=False, compare=False)
    _named: dict[tuple[str, ...], Layers] = field(default_factory=dict, repr=False, compare=False)

    def read(self, name: str, channel: Channel | None = None) -> dict[str, Any] | None:
        """The configuration called `name`, for a channel if one is given.

        The files of the metadata are merged from left to right over what is shipped for the rule and the channel's
        system; a complete one stands alone (see :class:`~.layers.Layers`). Of the metadata's entries that
        for the channel comes first, then that for its system, then ``__default__``.

        Parameters
        ----------
        name
            Name of the input; dots lead into an entry of several files: ``out_spec.geds_config``.
        channel
            The channel, None for what all channels share.

        Returns
        -------
        dict or None
            A fresh mapping, None if neither the metadata nor the defaults say anything.

        Raises
        ------
        UserError
            If a file is missing, not valid, or outside the metadata.
        """
        found = self.shared(name, channel)
        return None if found is None else deepcopy(found)

    def shared(self, name: str, channel: Channel | None = None) -> dict[str, Any] | None:
        """Like :meth:`read`, but not to be changed: it is the same object in each call."""
        layers = self.layers(name, channel)
        return layers.data if layers.files else None

    def files(self, name: str, channel: Channel | None = None) -> tuple[Path, ...]:
        """The files that :meth:`read` merges."""
        return tuple(text.path for text in self.layers(name, channel).files)

    def layers(self, name: str, channel: Channel | None = None) -> Layers:
        """The configuration called `name` with the place of every value; without files if there is none."""
        place = (name, "", "")
        if channel:
            place = (name, channel.name if channel.name in self._by_channel(name) else "", channel.system)
        if place not in self._found:
            self._found[place] = self._merged(name, channel)
        return self._found[place]

    def _by_channel(self, name: str) -> Mapping[str, Any]:
        """The entry called `name` if it is one by channel, else nothing."""
        if name not in self._mappings:
            entry = self._entry(name)
            self._mappings[name] = entry if isinstance(entry, Mapping) else {}
        return self._mappings[name]

    def _merged(self, name: str, channel: Channel | None) -> Layers:
        """The layers of an input; the same object where the same files are merged."""
        value = self._entry(name)
        if isinstance(value, (dict, Mapping)):
            value = self._of_channel(value, channel)
        system = channel.system if channel else ""
        if not isinstance(value, str):
            return self._of_files(name, () if value is None else self._paths(name, value), system)
        named = self.rule, name, system, value
        if named not in self._named:  # between many changes of the metadata most names of files stay the same
            self._named[named] = self._of_files(name, self._paths(name, value), system)
        return self._named[named]

    def _of_files(self, name: str, own: tuple[Path, ...], system: str) -> Layers:
        shipped = shipped_files(self.rule, name, system)
        place = (self.rule, name, shipped, own)
        if place not in self._layers:
            sections = SECTIONS.get(name, frozenset())
            texts = (tuple(map(self._reader.shipped, shipped)), tuple(map(self._reader, own)))
            self._layers[place] = Layers(*texts, sections)
        return self._layers[place]

    def settings(self, name: str, form: type[Form], channel: Channel | None = None) -> Form:
        """The configuration called `name` as the settings that its step declares.

        Parameters
        ----------
        name
            Name of the input.
        form
            The class of the settings.
        channel
            The channel, None for what all channels share.

        Raises
        ------
        UserError
            If an entry is unknown, missing or of another form; file and line are named.
        """
        layers = self.layers(name, channel)
        if id(layers) not in self._settings:
            self._settings[id(layers)] = layers, form.read(layers.data, name, layers)
        found = self._settings[id(layers)][1]
        if not isinstance(found, form):
            raise TypeError(f"{name} of {self.rule} is declared with other settings: {type(found).__name__}")
        return found

    def check(self, channels: tuple[Channel, ...]) -> None:
        """Read the settings of all inputs and channels that the metadata configures; what is shipped is right.

        Raises
        ------
        UserError
            If an entry is unknown, missing or of another form; file and line are named.
        """
        if id(channels) in self._checked:
            return
        raise_first(self._problems(channels))
        self._check_together(channels)
        self._checked[id(channels)] = channels

    def _problems(self, channels: tuple[Channel, ...]) -> Iterator[UserError]:
        """Everything that is wrong with options and inputs."""
        try:
            if self.options and (kind := schema(self.rule, OPTIONS)):
                kind.read(self.options, f"{RULES}.{self.rule}.{OPTIONS}", self._places)
        except UserError as error:
            yield error
        for name in self.inputs:
            try:
                for layers, part in self._configured(name, channels):
                    if layers.own and id(layers) not in self._settings and (kind := schema(self.rule, name)):
                        self._settings[id(layers)] = layers, kind.read(layers.data, part, layers)
            except UserError as error:
                yield error

    def _check_together(self, channels: tuple[Channel, ...]) -> None:
        """What inputs must fit one another, once for channels with the same configuration."""
        check = check_of(self.rule) if self.inputs else None
        seen = set()
        for channel in channels if check else ():
            place = tuple(id(self.layers(name, channel)) for name in configured_inputs(self.rule))
            if check and place not in seen:
                check(self, channel)
            seen.add(place)

    def _configured(self, name: str, channels: Iterable[Channel]) -> Iterator[tuple[Layers, str]]:
        """The configurations of an input, each with what it is called."""
        value = self._entry(name)
        if name in NESTED and isinstance(value, Mapping):
            for part in value:
                yield self.layers(f"{name}.{part}"), f"{name}.{part}"
        elif name in SHARED:
            yield self.layers(name), name
        else:
            for channel in channels:
                yield self.layers(name, channel), name

    def everything(self, name: str) -> object:
        """All that the metadata and the defaults say about an input, entries of several files included."""
        value = self._entry(name)
        if isinstance(value, Mapping):
            return {str(part): self.everything(f"{name}.{part}") for part in value}
        return self.shared(name)

    def names(self, channel: Channel) -> bool:
        """Whether the metadata configures a channel by its name or its system."""
        entries = [value for value in self.inputs.values() if isinstance(value, Mapping)]
        return any(name in value for value in entries for name in (channel.name, channel.system))

    def _of_channel(self, value: Mapping[str, Any], channel: Channel | None) -> object:
        """The entry of a channel: its own, that of its system, the default."""
        names = (channel.name, channel.system, DEFAULT) if channel else (DEFAULT,)
        return next((value[name] for name in names if value.get(name) is not None), None)

    @property
    def base(self) -> Path:
        """The folder that the names of files start at."""
        return self._base

    def _entry(self, name: str) -> object:
        if name not in self._entries:
            self._entries[name] = self._looked_up(name)
        return self._entries[name]

    def _looked_up(self, name: str) -> object:
        value: object = self.inputs
        for part in name.split("."):
            by_name = {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}
            value = by_name.get(part)
        return value

    def _paths(self, name: str, value: object) -> tuple[Path, ...]:
        parts = value if isinstance(value, list) else [value]
        return tuple(self._path(name, part) for part in parts)

    def _path(self, name: str, text: object) -> Path:
        where = f"{RULES}.{self.rule}.inputs.{name}"
        if not isinstance(text, str):
            raise self._error(name, f"{where} must be a file name, not {kind(text)}", f"see {self._base}")
        path = self._base / text
        if not self._reader.is_in(path, self._root):
            message = f"{where}: {text!r} lies outside the metadata {self._root}"
            raise self._error(name, message, "use a file of the metadata")
        if not path.is_file():
            raise self._error(name, f"{where}: there is no file {path}", "names are relative to dataprod/config")
        return path

    def _error(self, name: str, message: str, hint: str) -> UserError:
        if self._places is None:
            return UserError(message, hint=hint)
        return replace(self._places, part="inputs").error(message, *name.split("."), hint=hint)


class GivenConfig(StepConfig):
    """A configuration whose files were looked up and read when the job was planned."""

    def _path(self, name: str, text: object) -> Path:
        return self._base / str(text)


def shipped_files(rule: str, name: str, system: str = "") -> tuple[Path, ...]:
    """The default of a rule's input that comes with this package: that of a system of channels, else that of all.

    It lies in the folder of the rule's step, or with the step that declares the settings which several share: all
    steps that apply a processing chain have that of ``tier_dsp``.
    """
    return _shipped_files(STEPS_FOLDER, rule, name, system)


@cache
def _shipped_files(steps: Path, rule: str, name: str, system: str) -> tuple[Path, ...]:
    own = _shipped(shipped_folder(rule), name, system)
    folder, called = home(rule, name)
    return own or (_shipped(steps / folder / "defaults", called, system) if folder else ())


@cache
def _shipped(folder: Path, name: str, system: str) -> tuple[Path, ...]:
    stems = [f"{name}-{system}", name] if system else [name]
    paths = (folder / f"{stem}.yaml" for stem in stems)
    return next(((path,) for path in paths if path.is_file()), ())


class StepConfigs:
    """The step configurations of a metadata tree.

    Parameters
    ----------
    folder
        ``dataprod/config``.
    root
        The metadata; configuration files must lie in it.
    reader
        Reads and keeps files.
    foreign
        Forms of DAQ files that other packages bring; each has a rule.
    """

    def __init__(self, folder: Folder, root: Path, reader: Reader, foreign: Iterable[str] = ()) -> None:
        self.folder, self._root, self._reader = folder, root, reader
        self._found: dict[tuple[int, str], StepConfig] = {}
        self._alike: dict[tuple[str, bytes], StepConfig] = {}
        self._known = known_rules(foreign)
        self._sound: dict[int, Mapping[str, Any]] = {}
        self._layers: dict[tuple[object, ...], Layers] = {}
        self._settings: dict[int, tuple[Layers, StepSettings]] = {}
        self._named: dict[tuple[str, ...], Layers] = {}

    def content(self, timestamp: str, category: str) -> Mapping[str, Any]:
        """All rules at a time; the same object if the same."""
        return self.folder.on(timestamp, category)

    def texts(self, timestamp: str, category: str) -> tuple[TextFile, ...]:
        """The files that hold at a time."""
        return tuple(map(self._reader, self.folder.files(timestamp, category)))

    def at(self, rule: str, timestamp: str, category: str) -> StepConfig:
        """The configuration of a rule at a time; the same object where the metadata say the same of the rule.

        Raises
        ------
        UserError
            If the metadata names a rule or an input that there is not; file and line are named.
        """
        content = self.folder.on(timestamp, category)
        found = self._found.get((id(content), rule))
        if found is None:
            entry = self._rules(content, timestamp, category).get(rule) or {}
            inputs, options = entry.get("inputs") or {}, entry.get("options") or {}
            text = exact([inputs, options])
            found = self._alike.get((rule, text)) if text is not None else None
            if found is None:
                place = RulePlace(self.folder, timestamp, category, rule)
                kept = self._reader, place, self._layers, self._settings
                found = StepConfig(rule, inputs, options, self._root, self.folder.path, *kept, _named=self._named)
                if text is not None:
                    self._alike[rule, text] = found
            self._found[id(content), rule] = found
        return found

    def _rules(self, content: Mapping[str, Any], timestamp: str, category: str) -> Mapping[str, Any]:
        rules = content.get(RULES) or {}
        if id(content) not in self._sound:
            raise_first(self._wrong(rules, timestamp, category))
            self._sound[id(content)] = content
        return rules

    def _wrong(self, rules: Any, timestamp: str, category: str) -> Iterator[UserError]:
        """Everything that is wrong with the names of rules and of their inputs."""
        yield from self._no_mapping(rules, timestamp, category, RULES)
        for rule, entry in rules.items() if isinstance(rules, Mapping) else ():
            if rule in self._known and rule not in OTHER_RULES:
                yield from self._wrong_entry(entry or {}, timestamp, category, rule)
            elif rule not in self._known and is_misspelt(rule, self._known):
                hint = nearest(rule, self._known)
                yield self.folder.error(f"there is no rule {rule!r}", timestamp, category, RULES, rule, hint=hint)

    def _wrong_entry(self, entry: Any, timestamp: str, category: str, rule: str) -> Iterator[UserError]:
        yield from self._no_mapping(entry, timestamp, category, RULES, rule)
        for part, value in entry.items() if isinstance(entry, Mapping) else ():
            yield from self._unknown(part, ("inputs", "options"), timestamp, category, RULES, rule, part)
            yield from self._no_mapping(value or {}, timestamp, category, RULES, rule, part)
            for name in value if part == "inputs" and isinstance(value, Mapping) else ():
                yield from self._unknown(name, self._known[rule], timestamp, category, RULES, rule, part, name)

    def _unknown(self, name: str, known: tuple[str, ...], timestamp: str, category: str, *place: str) -> _Errors:
        if name not in known:
            message = f"{'.'.join(place[:-1])} has no entry {name!r}"
            yield self.folder.error(message, timestamp, category, *place, hint=nearest(name, known))

    def _no_mapping(self, value: object, timestamp: str, category: str, *place: str) -> _Errors:
        if not isinstance(value, Mapping):
            message = f"{'.'.join(place)} must be a mapping, not {kind(value)}"
            yield self.folder.error(message, timestamp, category, *place)
