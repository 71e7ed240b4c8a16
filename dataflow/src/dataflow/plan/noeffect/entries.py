"""Entries and values that nothing reads: misspelt, one level too high, twice, or names of files that are not there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dataflow.base.filestate import state_of
from dataflow.base.messages import few, nearest
from dataflow.base.textfile import SUFFIXES, TextFile
from dataflow.metadata.stepconfig import RULES, known_rules
from dataflow.metadata.validity import Folder
from dataflow.setup.schema import PATH_ALIASES, PATHS

from .finding import Finding, at, of_many
from .held import Held

USABILITY = ("on", "off", "ac", "no_psd")
STATUS: Mapping[str, str] = {
    "processable": "whether it is processed beyond raw",
    "usability": f"one of {', '.join(USABILITY)}",
    "psd": "which pulse-shape classifiers are valid",
    "is_blinded": "not used: data are not blinded here",
    "reason": "not used: for people",
    "comment": "not used: for people",
    "note": "not used: for people",
}
"""Entries of a status."""
TOP: Mapping[str, str] = {
    RULES: "configuration of the steps",
    "analysis": "not used: statuses are in datasets/statuses",
}
"""Entries of a file in ``dataprod/config``."""
OUT_SPEC = ("gen_config", "geds_config", "spms_config", "muon_config", "auxs_config")
READ = ("inputs", "config", "chan_map", "detector_status", "par_overwrite", "tier_daq")
"""Paths from which something is read; what lies in the cycle beside them is made."""


def statuses(held: Held) -> Iterator[Finding]:
    """Unknown entries and usabilities, each named once with all detectors that have it."""
    for text in held.texts(held.metadata.statuses) if held.with_map else ():
        for (entry, value), names in _odd(text).items():
            places = {name: (name, entry) for name in names}
            if entry == "usability":
                message = f"the usability {value!r} of {{names}} is none of {', '.join(USABILITY)}: it selects nothing"
                yield from of_many(text, places, message, lambda _, value=value: nearest(value, USABILITY))  # type: ignore[misc]
            else:
                message = f"the entry {entry!r} in the status of {{names}} is not known: nothing reads it"
                yield from of_many(text, places, message, lambda _, entry=entry: nearest(entry, STATUS))  # type: ignore[misc]


def _odd(text: TextFile) -> dict[tuple[str, object], list[str]]:
    """The detectors that have an unknown entry, or an unknown usability."""
    found: dict[tuple[str, object], list[str]] = {}
    for name, status in text.mapping().items():
        for entry, value in status.items() if isinstance(status, Mapping) else ():
            if entry not in STATUS:
                found.setdefault((str(entry), None), []).append(str(name))
            elif entry == "usability" and not isinstance(value, bool) and str(value) not in USABILITY:
                found.setdefault((entry, str(value)), []).append(str(name))
    return found


def rules(held: Held) -> Iterator[Finding]:
    """Entries of configuration files that are not below ``snakemake_rules``, and parts of ``out_spec``."""
    known = known_rules()
    for text in held.texts(held.config):
        for name in text.mapping():
            if name in known:
                yield at(text, [name], f"{name} stands one level too high: nothing reads it", f"put it below {RULES}")
            elif name not in TOP:
                hint = nearest(name, [*TOP, *known])
                yield at(text, [name], f"the entry {name!r} is not known: nothing reads it", hint)
        yield from _other_rules(text, known)
        yield from _out_specs(text)
        yield from _muons(text)


def _other_rules(text: TextFile, known: Mapping[str, object]) -> Iterator[Finding]:
    """Rules that only other flows have, in one sentence."""
    found = text.data.get(RULES) if isinstance(text.data, Mapping) else None
    others = [str(rule) for rule in found if rule not in known] if isinstance(found, Mapping) else []
    if others:
        message = f"no step here reads the rules {few(others)}"
        yield at(text, [RULES, others[0]], message, "leave them where another flow reads them")


def _out_specs(text: TextFile) -> Iterator[Finding]:
    found = text.data.get(RULES) if isinstance(text.data, Mapping) else None
    for rule in found if isinstance(found, Mapping) else ():
        place = (RULES, str(rule), "inputs", "out_spec")
        spec = _entry(text, place)
        for name in spec if isinstance(spec, Mapping) else ():
            if name not in OUT_SPEC:
                message = f"{'.'.join(place)} has the entry {name!r}, which is not known: nothing reads it"
                yield at(text, [*place, name], message, nearest(name, OUT_SPEC))


def _entry(text: TextFile, place: Iterable[str]) -> object:
    """What stands at a place of a file, None where it has no such place."""
    found: object = text.data
    for name in place:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _muons(text: TextFile) -> Iterator[Finding]:
    """What the published flow builds the events of the muon veto's own stream by."""
    place = (RULES, "tier_evt", "inputs", "muon_config")
    if _entry(text, place):
        message = "muon_config of tier_evt: events of the muon veto's own stream are built by no step here"
        hint = "a veto in the stream of the germanium detectors is coincident___muon of evt_config"
        yield at(text, place, message, hint)


def paths(held: Held) -> Iterator[Finding]:
    """Folders to read from that the configuration names and that are not there."""
    setup, text = held.cycle.setup, TextFile(held.cycle.setup.file, None)
    outer = ("setups", setup.experiment, "paths") if text.names("setups") else ("paths",)
    for given in text.names(*outer):
        name = PATH_ALIASES.get(given, given.replace("/", "_"))
        if _is_read(held, name) and not setup.path(name).exists():
            message = f"paths.{given}: there is no {setup.path(name)} ({PATHS[name][1]})"
            yield at(text, [*outer, given], message, f"make it, or correct paths.{given}")


def _is_read(held: Held, name: str) -> bool:
    if name == "detector_db":  # many metadata have none; who names another place means one
        return held.cycle.setup.path(name) != held.cycle.setup.path("inputs") / "hardware/detectors"
    return name in READ or (name.startswith(("tier_", "par_")) and not held.cycle.paths.inside(name))


def unnamed_files(held: Held) -> Iterator[Finding]:
    """Files that look as if they held something, and that no validity list names."""
    for folder in (held.metadata.statuses, held.metadata.channelmaps, *held.overrides.values(), held.config):
        names = sorted(
            path.name for path in _strangers(folder) if folder is not held.config or _has_rules(folder, path)
        )
        if names:
            verb = "is" if len(names) == 1 else "are"
            message = f"{folder.path}: {few(names)} {verb} named by no entry of {folder.file or 'a validity.yaml'}"
            yield Finding(
                f"{message}: nothing reads {'it' if len(names) == 1 else 'them'}", "add an entry that applies it"
            )


def _strangers(folder: Folder) -> Iterator[Path]:
    timelines = folder.validity.timelines.values()
    named = {Path(name).stem for line in timelines for entry in line for name in entry.files}
    for path in sorted(folder.path.iterdir()) if folder.path.is_dir() else ():
        if path.suffix in SUFFIXES and path.stem != "validity" and path.stem not in named and path.is_file():
            yield path


def _has_rules(folder: Folder, path: Path) -> bool:
    data = folder.read(path.name)
    return isinstance(data, Mapping) and RULES in data


def files_that_are_not_there(held: Held) -> Iterator[Finding]:
    """Texts that begin with ``$_/`` and name no file."""
    roots = (held.cycle.setup.path("config"), held.cycle.setup.path("par_overwrite"))
    there: dict[str, bool] = {}
    named = held.cycle.lineages.recipes.named
    for text in held.read:
        folder = f"{text.path.parent}/"
        if any(text.path.is_relative_to(root) for root in roots) and _begins(text.data, folder):
            for place, value in _texts(text.data, ()):
                if value.startswith(folder) and "\n" not in value:
                    if value not in there:  # of many changes of the metadata, most name the same files
                        named.setdefault(value, state_of(value))
                        there[value] = Path(value).exists()
                    if not there[value]:
                        yield at(text, place, f"there is no file {value}", "correct the name")


def _begins(value: object, start: str) -> bool:
    """Whether any text of a tree of values begins so; most of a tree is texts."""
    if isinstance(value, str):
        return value.startswith(start)
    if isinstance(value, dict):
        return any(_begins(item, start) for item in value.values())
    return isinstance(value, list) and any(_begins(item, start) for item in value)


def _texts(value: object, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, (*place, name))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _texts(item, (*place, position))
    elif isinstance(value, str):
        yield place, value


def twice(held: Held) -> Iterator[Finding]:
    """Names that stand twice in one mapping: the last one wins, and nobody notices."""
    for text in held.read:
        for place, line in text.twice:
            name, outer = place[-1], ".".join(map(str, place[:-1]))
            where = f" in {outer}" if outer else ""
            yield Finding(
                f"{text.path}:{line}: {name!r} stands twice{where}: only this one is read", "keep one of them"
            )
