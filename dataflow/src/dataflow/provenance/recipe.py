"""The recipe of an output, but for its inputs: the resolved configuration of exactly the channels concerned.

It holds contents only, no paths of the cycle, so that a cycle that was moved is still up to date. Parts that many jobs
share, and all large ones, stand in a recipe as their hash; :meth:`Recipes.text` gives what is behind it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataflow.base.filestate import FileState, state_of
from dataflow.keys.channel import Channel
from dataflow.metadata.references import reference_of
from dataflow.metadata.stepconfig import NESTED, StepConfig
from dataflow.registry.step import PROCESSING_CHAIN, Scope, Step
from dataflow.setup.packages import Software

from .code import MACHINERY, PARAMETERS, Code
from .identity import hashed
from .records import LENGTH

if TYPE_CHECKING:
    from dataflow.plan.job import Job

UNIMPORTANT = frozenset({"logging", "buffer_len", "buffer_size", "block_width", "timeout"})
"""Options that change nothing about the result."""
PLOTTING = frozenset({"plot", "plots", "plot_options", "common_plots"})
"""Settings of figures; they reach no parameter."""
COMPILED = "compiled_chains"
"""Setting of a cycle that changes the last digits of what chains compute."""


KEPT = frozenset({"channels", "configs"})
"""Parts of what jobs share that are mappings of objects which many have in common."""
_OfChannel = tuple[dict[str, Any], str, dict[str, object], Channel]
"""What concerns a channel, the hash of its configuration, and this; the channel is kept, or its id could come to mean
another."""

_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str).encode


def normal_text(value: object, cycle: str = "") -> str:
    """A nested value as text; the order of mappings and the cycle's folder in texts do not matter."""
    try:
        text = _encode(value)
    except TypeError:  # YAML takes anything for a key; such that cannot be sorted are told apart by their texts
        text = _encode(_named(value))
    return _of_cycle(text, cycle)


def _of_cycle(text: str, cycle: str) -> str:
    """A JSON text that does not depend on where the cycle is."""
    return text.replace(json.dumps(cycle, ensure_ascii=False)[1:-1], "$CYCLE") if cycle else text


def _named(value: object) -> object:
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else repr(key): _named(item) for key, item in value.items()}
    return [_named(item) for item in value] if isinstance(value, (list, tuple)) else value


def digest(value: object, cycle: str = "") -> str:
    """The hash of a nested value: the first 128 bits of the sha256 of its :func:`normal_text`."""
    return _hash(normal_text(value, cycle))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:LENGTH]


@dataclass(frozen=True)
class Recipe:
    """What decides about an output, but for its inputs.

    Attributes
    ----------
    own
        The recipe; large parts as their hashes.
    parts
        Those parts by hash.
    """

    own: Mapping[str, Any]
    parts: Mapping[str, object]


class Recipes:
    """Computes recipes; what many jobs share is hashed once. What is known by its id is kept, and so is never another.

    Parameters
    ----------
    cycle
        Folder of the cycle.
    code, software
        What the steps are made of.
    """

    def __init__(self, cycle: str, code: Code, software: Software) -> None:
        self._cycle, self._code, self.software = cycle, code, software
        self._shared: dict[tuple[object, ...], tuple[str, object, object]] = {}
        self._pars: dict[tuple[int, int], tuple[str, object, object]] = {}
        self._made: dict[tuple[str, tuple[str, ...]], Mapping[str, object]] = {}
        self.named: dict[str, FileState] = {}
        """Files that the metadata name, and the state of each before it was read, as far as that mattered."""
        self._files: dict[str, object] = {}
        self._configs: dict[tuple[object, ...], tuple[str, dict[str, object], object]] = {}
        self._channels: dict[tuple[str, int], tuple[StepConfig, dict[int, _OfChannel]]] = {}
        self._entries: dict[tuple[str, int, str], tuple[dict[str, Any], Channel]] = {}
        self._replaced: dict[int, tuple[object, dict[object, object]]] = {}
        self._texts: dict[int, tuple[object, str]] = {}

    def of(self, step: Step, job: Job, overrides: Mapping[str, Mapping[str, Any]]) -> Recipe:
        """The recipe of a job.

        Parameters
        ----------
        step, job
            The job.
        overrides
            The merged content of its hand-made parameters by input role, and for a partition by role and run.
        """
        shared, parts = self._shared_part(step, job)
        own: dict[str, Any] = {"step": job.step, "shared": shared}
        contents = {shared: parts}
        if step.kind == "validity":
            own["content"] = digest(job.content)
            return Recipe(own, contents | {own["content"]: {"entries": job.content}})
        own |= {"key": str(job.unit), "overrides": {}}
        for role, values in overrides.items():
            found, kept = self._override_part(job, values)
            if kept:
                own["overrides"][role] = found
                contents[found] = kept
        return Recipe(own, contents)

    def made_of(self, step: Step) -> Mapping[str, object]:
        """The code and the packages that implement a step."""
        return self._made_of(step, ())

    def text(self, part: object) -> str:
        """A part of a recipe as the text that was hashed."""
        return normal_text(part, self._cycle)

    def _shared_part(self, step: Step, job: Job) -> tuple[str, object]:
        changes = _changes(job)
        place = (step.name, id(job.config), id(job.channels), normal_text(changes) if changes else "")
        if place not in self._shared:
            settings = self._settings(step, job)
            content = self._made_of(step, _without(step, settings)) | settings
            if changes:
                content["map_changes"] = changes
            # the objects are kept with the hash, or their ids could come to mean others
            self._shared[place] = self._digest(content), content, (job.config, job.channels)
        return self._shared[place][:2]

    def _made_of(self, step: Step, without: tuple[str, ...]) -> dict[str, object]:
        """The code and the packages that implement a step, without those that it does not use as it is configured."""
        place = step.name, without
        if place not in self._made:
            versions = self.software.versions(self._code.imports(step.module))
            takes = step.is_merge or any(each.source.startswith("par_") for each in step.inputs)
            code = self._code.digests(step.module, *(PARAMETERS if takes else ()))
            used = {name: version for name, version in versions.items() if name not in without}
            self._made[place] = {"code": dict(code), "machinery": MACHINERY, "packages": used}
        return dict(self._made[place])

    def _digest(self, content: Mapping[str, object]) -> str:
        """The :func:`digest` of what jobs share, from the texts of its channels and configurations: most are known."""
        try:
            texts = [f"{encode_basestring(name)}: {self._text_of(name, content[name])}" for name in sorted(content)]
        except TypeError:  # of keys that cannot be sorted, only the whole tells how they are written
            return digest(content, self._cycle)
        return _hash(_of_cycle(f"{{{', '.join(texts)}}}", self._cycle))

    def _text_of(self, name: str, value: object) -> str:
        if name not in KEPT or not isinstance(value, Mapping):
            return _encode(value)
        return (
            f"{{{', '.join([f'{encode_basestring(each)}: {self._encoded(value[each])}' for each in sorted(value)])}}}"
        )

    def _encoded(self, value: object) -> str:
        """The text of a value that is kept by :meth:`_channel` or :meth:`_config_of`."""
        found = self._texts.get(id(value))
        if found is None:
            found = self._texts[id(value)] = value, _encode(value)
        return found[1]

    def _settings(self, step: Step, job: Job) -> dict[str, object]:
        """How a step works for a job: what the metadata and the configuration say, by channel where it differs."""
        configs: dict[str, object] = {}
        channels: dict[str, object] = {}
        _, known = self._channels.setdefault((step.name, id(job.config)), (job.config, {}))
        for channel in job.channels:
            if id(channel) not in known:  # at most changes of the metadata most channels stay as they are
                known[id(channel)] = self._channel(step, job, channel)
            channels[channel.name], name, own, _ = known[id(channel)]
            if own:
                configs[name] = own
        tiers = {step.tier, *(each.source.partition("_")[2].partition("_")[0] for each in step.inputs)}
        return {
            "config": self._with_files(_configured(step, job)),
            "configs": configs,
            "channels": channels,
            "pulsers": sorted(channel.rawid or 0 for channel in job.pulsers) if step.scope is not Scope.FILE else [],
            "tables": {tier: form for tier, form in job.setup.table_format.items() if tier in tiers},
            "settings": self._with_files(_settings_of(step, job)),
        }

    def _channel(self, step: Step, job: Job, channel: Channel) -> _OfChannel:
        """What concerns a channel, with its configuration and the hash of that, as most share one."""
        name, own = self._config_of(step, job, channel) if step.channels.systems else ("", {})
        place = step.name, id(channel), name if own else ""
        if place not in self._entries:
            found: dict[str, Any] = {"system": channel.system, "numbers": [channel.rawid, channel.fcid]}
            if channel.adc_bits is not None:
                found["adc_bits"] = channel.adc_bits
            if step.channels.with_status:
                found |= {"usability": channel.usability, "psd": channel.psd, "daq": channel.daq}
            if missing := [each for each in step.channels.classifiers if channel.lacks(each)]:
                found["missing"] = missing
            if own:
                found["config"] = name
            self._entries[place] = found, channel
        return self._entries[place][0], name, own, channel

    def _config_of(self, step: Step, job: Job, channel: Channel) -> tuple[str, dict[str, object]]:
        """The configuration of a channel and its hash; computed once for channels that take it from the same files."""
        layers = {name: job.config.layers(name, channel) for name in step.configs if name not in NESTED}
        place = (step.name, *map(id, layers.values()))
        if place not in self._configs:
            read = {name: each.data for name, each in layers.items() if each.files}
            own = {name: self._with_files(_important(step, value)) for name, value in read.items()}
            self._configs[place] = digest(own, self._cycle), own, layers
        return self._configs[place][:2]

    def _with_files(self, value: Any) -> Any:
        """A configuration with the content of the files that it names in the place of their paths."""
        if isinstance(value, str):
            if value.startswith("/") and "\n" not in value:
                return self._file(value)
            named = reference_of(value)
            return [self._file(str(named.path)), named.name] if named else value
        if isinstance(value, Mapping):
            found = self._replaced.get(id(value))
            if found is None:  # configurations of many detectors have most parts in common
                found = self._replaced[id(value)] = (
                    value,
                    {name: self._with_files(each) for name, each in value.items()},
                )
            return found[1]
        return [self._with_files(item) for item in value] if isinstance(value, list) else value

    def _file(self, text: str) -> object:
        if text not in self._files:
            path = Path(text)
            self.named.setdefault(text, state_of(text))
            self._files[text] = {"file": path.name, "sha256": hashed(path)} if _is_file(path) else text
        return self._files[text]

    def _override_part(self, job: Job, content: Mapping[str, Any]) -> tuple[str, object]:
        """Overrides of the detectors that the job works on."""
        place = (id(content), id(job.channels))
        if place not in self._pars:
            names = {channel.name for channel in job.channels}
            kept = {name: self._with_files(value) for name, value in content.items() if name in names}
            self._pars[place] = digest(kept, self._cycle), kept, (content, job.channels)
        return self._pars[place][:2]


def _without(step: Step, settings: Mapping[str, object]) -> tuple[str, ...]:
    """Packages that a step imports and does not use: raw computes with dspeed only where it sums or cuts traces.

    A new version of it must not decode all data of an experiment again.
    """
    return ("dspeed", "numba") if step.name == "tier_raw" and "proc_spec" not in normal_text(settings) else ()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # any text that begins with a slash comes here
        return False


def _changes(job: Job) -> dict[str, dict[str, Any]]:
    """The numbers of a job's channels from the files on at which its channel map changes; empty if it does not."""
    names = {channel.name for channel in job.channels}
    found: dict[str, dict[str, Any]] = {}
    last: dict[str, Any] | None = None
    by_key = {path.name.partition("-tier_")[0]: channels for path, channels in job.maps.items()}
    for key, channels in sorted(by_key.items()):
        numbers = {c.name: [c.rawid, c.processable] for c in channels if c.name in names or c.system == "puls"}
        if numbers != last:
            found[key] = last = numbers
    return found if len(found) > 1 else {}


def _configured(step: Step, job: Job) -> dict[str, Any]:
    common = {
        name: _important(step, job.config.everything(name))
        for name in step.configs
        if name in NESTED or not step.channels.systems
    }
    return {"rule": job.config.rule, "options": _important(step, job.config.options), "inputs": common}


def _settings_of(step: Step, job: Job) -> object:
    """What the configuration of the cycle says of a step; chains are compiled unless it says otherwise."""
    runs_others = PROCESSING_CHAIN in step.configs.values() and not job.setup.options.get(COMPILED, True)
    own = {**(job.setup.settings.get(step.name) or {}), **({COMPILED: False} if runs_others else {})}
    return _important(step, own)


def _important(step: Step, value: object) -> object:
    """A configuration without what changes nothing about the result."""
    if not isinstance(value, Mapping):
        return value
    without = UNIMPORTANT | (PLOTTING if step.kind == "par" else frozenset())
    inner = {name: item for name, item in value.items() if name not in without}
    settings = inner.get("settings")
    return inner | {"settings": _important(step, settings)} if isinstance(settings, Mapping) else inner
