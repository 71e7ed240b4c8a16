"""Reading a cycle's configuration file.

The file is JSON or YAML, in the collaboration's form ``setups.<experiment>.{paths, execenv, …}`` or flat. ``$_`` in any
string is the folder of the file, ``$NAME`` or ``${NAME}`` an environment variable, ``$$`` a dollar sign. Relative paths
start at the folder of the file. What may stand in it is the table in :mod:`dataflow.setup.schema`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dataflow.base.errors import UserError
from dataflow.base.messages import nearest
from dataflow.base.textfile import SafeLoader, text_of, yaml_data
from dataflow.registry.steps import BY_NAME as STEPS_BY_NAME

from .schema import EXECENV, OPTIONS, PATH_ALIASES, PATHS, TABLE_FORMAT, Option, settings_of

EDITORS = "$schema"
"""Leads editors to ``docs/schemas/config.json``; it is not read."""
_VARIABLE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")
_TYPE_NAMES = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a mapping",
    list: "a list",
}


@dataclass(frozen=True)
class ExecEnv:
    """How the commands of a cycle are run: an engine with its arguments, or nothing (bare)."""

    name: str = "bare"
    cmd: tuple[str, ...] = ()
    arg: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    bind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setup:
    """One setup of a configuration file, with every default filled in.

    Parameters
    ----------
    experiment
        Name of the setup, the first component of keys.
    file, directory
        The configuration file and its folder, absolute.
    paths
        Every known path, absolute.
    table_format
        LH5 table of each tier.
    keys
        Name of a key scheme, or a scheme as a mapping.
    failing_channels
        ``record`` or ``fail``.
    settings
        Tuning by step.
    execenv
        The execution environment in use.
    pkg_versions
        Requirements by package name that differ from the locked ones.
    options
        All remaining keys, for example ``evt_buffer_len``.
    """

    experiment: str
    file: Path
    directory: Path
    paths: Mapping[str, Path]
    table_format: Mapping[str, str]
    keys: str | Mapping[str, Any]
    failing_channels: str
    settings: Mapping[str, Any]
    execenv: ExecEnv
    pkg_versions: Mapping[str, str]
    options: Mapping[str, Any]

    def path(self, name: str) -> Path:
        """The absolute path called `name`, for example ``tier_raw``.

        Raises
        ------
        KeyError
            If there is no path of that name: a mistake of ours, not of the configuration.
        """
        return self.paths[PATH_ALIASES.get(name, name)]


BRACES = "{}"
"""Characters that Snakemake takes for the beginning and the end of a wildcard."""
GLOBS = "[]*?$"
"""Characters that readers of LH5 files take for patterns of file names, or for variables."""


@dataclass(frozen=True)
class _Source:
    """A file being read: what errors need to point into it."""

    file: Path
    text: str

    def error(self, message: str, *, key: str = "", hint: str = "") -> UserError:
        line = self.line(key) if key else 0
        return UserError(f"{self.file}{f':{line}' if line else ''}: {message}", hint=hint)

    def line(self, key: str) -> int:
        """First line on which `key` is used as a key, or 0."""
        pattern = re.compile(rf"""(^|[\s{{,])(["']?){re.escape(key)}\2\s*:""")
        return next((n for n, line in enumerate(self.text.splitlines(), 1) if pattern.search(line)), 0)


class _DuplicateKey(ValueError):
    """A mapping says two things about one key."""


class _Loader(SafeLoader):  # type: ignore[misc]
    """Safe YAML that refuses a key given twice, where YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [child.value for child, _ in node.value if isinstance(child, yaml.ScalarNode) and child.value != "<<"]
        _no_duplicates(keys)
        return super().construct_mapping(node, deep=deep)  # type: ignore[no-any-return]


def _no_duplicates(keys: list[str]) -> None:
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise _DuplicateKey(twice[0])


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _no_duplicates([key for key, _ in pairs])
    return dict(pairs)


def _parse(source: _Source) -> object:
    """The content of a JSON or YAML text, told apart by the file's name."""
    try:
        if source.file.suffix == ".json":
            return json.loads(source.text, object_pairs_hook=_pairs)
        return yaml_data(source.text, _Loader)
    except _DuplicateKey as error:
        key = str(error)
        raise source.error(f"the key {key!r} stands there twice", key=key, hint="keep one of them") from None
    except json.JSONDecodeError as error:
        where = UserError(f"{source.file}:{error.lineno}: not valid JSON: {error.msg}", hint="look at that line")
        raise where from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{source.file}{line}: not valid YAML: {error.problem}", hint="look at that line") from None
    except yaml.YAMLError as error:
        raise UserError(f"{source.file}: not valid YAML: {error}") from None
    except (ValueError, RecursionError) as error:
        hint = "look for values that contain themselves"
        raise UserError(f"{source.file}: cannot be read: {error}", hint=hint) from None


def _open(path: str | os.PathLike[str]) -> _Source:
    file = Path(os.path.abspath(path))  # noqa: PTH100 - links stay: a cycle is known by the name it was given
    try:
        return _Source(file, text_of(file))
    except FileNotFoundError:
        raise UserError(f"there is no configuration file {file}", hint="give the config.json of a cycle") from None
    except IsADirectoryError:
        raise UserError(f"{file} is a folder", hint="give the config.json in it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file}: {error}") from None


def _check(source: _Source, where: str, values: object, options: Mapping[str, Option]) -> None:
    """Refuse what the table does not know, and values of the wrong kind."""
    if not isinstance(values, dict):
        raise source.error(f"{where or 'the file'} must be a mapping, not {values!r}", key=where.split(".")[-1])
    for key, value in values.items():
        name = f"{where}.{key}" if where else str(key)
        if key not in options:
            raise source.error(
                f"unknown key {name!r}",
                key=str(key),
                hint=nearest(str(key), options if where else [*options, "setups"]),
            )
        _check_value(source, name, value, options[key])


def _check_value(source: _Source, name: str, value: object, option: Option) -> None:
    key = name.split(".")[-1]
    wrong = isinstance(value, bool) and bool not in option.types
    if wrong or not isinstance(value, option.types):
        kinds = _kinds(option)
        raise source.error(f"{name} must be {kinds}, not {value!r}", key=key)
    if option.choices and value not in option.choices:
        raise source.error(f"{name} is {value!r}", key=key, hint=f"it may be: {', '.join(option.choices)}")

    if option.least is not None and not _is_enough(value, option.least):
        raise source.error(f"{name} must be {_kinds(option)} above {max(option.least - 1, 0)}, not {value!r}", key=key)


def _kinds(option: Option) -> str:
    """What a value may be, in words."""
    kinds = [kind for kind in option.types if kind is not int or float not in option.types]
    return " or ".join(_TYPE_NAMES[kind] for kind in kinds)


def _is_enough(value: object, least: int) -> bool:
    return isinstance(value, (int, float)) and (value >= least if least else value > 0)


def _texts(source: _Source, where: str, values: Mapping[str, Any], choices: Iterable[str] | None) -> dict[str, str]:
    """`values` if it is a mapping of known names to texts."""
    options = {name: Option((str,), "", "") for name in (values if choices is None else choices)}
    _check(source, where, values, options)
    return {str(key): str(value) for key, value in values.items()}


def _choose(source: _Source, content: object, experiment: str | None) -> tuple[str, dict[str, Any]]:
    """The name and the content of the setup that is asked for."""
    if not isinstance(content, dict):
        raise source.error("the file must hold a mapping with `setups`, or with `paths`")
    if "setups" not in content:
        name = content.get("experiment", OPTIONS["experiment"].default)
        if experiment not in (None, name):
            raise source.error(f"this is a setup of {name!r}, not of {experiment!r}", key="experiment")
        return name, content
    others = sorted(set(content) - {"setups", EDITORS})
    if others:
        raise source.error(f"unknown key {others[0]!r} beside `setups`", key=others[0], hint="put it into a setup")
    return _choose_named(source, content["setups"], experiment)


def _choose_named(source: _Source, setups: object, experiment: str | None) -> tuple[str, dict[str, Any]]:
    if not isinstance(setups, dict) or not setups:
        raise source.error("`setups` must hold a mapping for each experiment", key="setups")
    default = OPTIONS["experiment"].default
    name = experiment or (next(iter(setups)) if len(setups) == 1 else default)
    if name not in setups:
        raise source.error(f"there is no setup {name!r}", key="setups", hint=f"there are: {', '.join(sorted(setups))}")
    if not isinstance(setups[name], dict):
        raise source.error(f"setups.{name} must be a mapping, not {setups[name]!r}", key=name)
    return name, {"experiment": name} | setups[name]


def _expand(source: _Source, where: str, value: Any, environ: Mapping[str, str]) -> Any:  # noqa: ANN401 - any tree of values
    """`value` with ``$_`` and variables replaced in every text of it."""
    if isinstance(value, dict):
        return {key: _expand(source, f"{where}.{key}", item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(source, where, item, environ) for item in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name = match[2] or match[3]
        if match[1]:
            return "$"
        if name == "_":
            return str(source.file.parent)
        if name not in environ:
            hint = f"set {name}, or write $$ for a dollar sign"
            raise source.error(f"{where} uses ${name}, which is not set", key=where.split(".")[-1], hint=hint)
        return environ[name]

    return _VARIABLE.sub(replace, value)


def _paths(source: _Source, values: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Path]:
    """Every known path, absolute; what the file does not say follows from what it says."""
    renamed: dict[str, Any] = {}
    for key, value in values.items():
        name = PATH_ALIASES.get(str(key), str(key).replace("/", "_"))
        if name not in PATHS:
            hint = nearest(name, [*PATHS, *PATH_ALIASES])
            raise source.error(f"unknown key {f'paths.{key}'!r}", key=str(key), hint=hint)
        if renamed.get(name, value) != value:
            raise source.error(f"paths.{key} differs from {name!r}, which is the same path", key=str(key))
        renamed[name] = value
    if "orig" in renamed:
        renamed.setdefault("tier_daq", renamed["orig"])
    given = _expand(source, "paths", _texts(source, "paths", renamed, PATHS), environ)
    filled = _filled_paths(given, source.file.parent)
    _refuse_characters(source, filled)
    return filled


def _refuse_characters(source: _Source, paths: Mapping[str, Path]) -> None:
    """Refuse paths that Snakemake or readers of LH5 take for patterns, and a cycle that no list of folders can hold."""
    if os.pathsep in str(source.file.parent):
        what = f"the path of the cycle has the character {os.pathsep!r} in it, which separates folders in PATH"
        raise source.error(what, hint="move the cycle to a folder without it")
    for name, path in paths.items():
        refused = BRACES + GLOBS if name.startswith(("tier", "par", "plt", "tmp")) and name != "tier_daq" else BRACES
        found = next((character for character in str(path) if character in refused), "")
        if found:
            of_cycle = found in str(source.file.parent)
            whose = f"the path of the cycle ({source.file.parent})" if of_cycle else f"paths.{name} ({path})"
            what = f"{whose} has the character {found!r} in it, which has a meaning in names of files"
            raise source.error(
                what, key=name, hint="move the cycle to a folder without it" if of_cycle else "rename it"
            )


def _filled_paths(given: Mapping[str, str], directory: Path) -> dict[str, Path]:
    def text(name: str) -> str:
        if name in given:
            return given[name]
        template = PATHS[name][0].replace("$_", str(directory))
        if not template.startswith("{"):
            return template
        parent, rest = template[1:].split("}")
        return text(parent) + rest

    return {name: Path(os.path.normpath(directory / text(name))) for name in PATHS}


def _execenv(source: _Source, content: Mapping[str, Any], environ: Mapping[str, str]) -> ExecEnv:
    """The entry of ``execenv`` in use: the only one, or the one that the environment or ``system`` names."""
    given = content.get("execenv", {})
    if not given or not all(isinstance(value, dict) for value in given.values()) or set(given) & set(EXECENV):
        _check(source, "execenv", given, EXECENV)
        return _entry(source, "execenv", "default" if given else "bare", given, environ)
    entries = {"bare": {}} | given
    for key, entry in entries.items():
        _check(source, f"execenv.{key}", entry, EXECENV)
    name = environ.get("PRODENV_SYSTEM") or content.get("system") or "bare"
    if name not in entries:
        hint = f"there are: {', '.join(sorted(entries))}; see `system` in the file and $PRODENV_SYSTEM"
        raise source.error(f"there is no execenv {name!r}", key="execenv", hint=hint)
    return _entry(source, f"execenv.{name}", name, entries[name], environ)


def _entry(source: _Source, where: str, name: str, entry: Mapping[str, Any], environ: Mapping[str, str]) -> ExecEnv:
    def words(key: str) -> tuple[str, ...]:
        """Words of a text as a shell would see them, before variables bring in spaces; a list as it is."""
        value = entry.get(key, [])
        items = shlex.split(value) if isinstance(value, str) else value
        if not all(isinstance(item, str) for item in items):
            raise source.error(f"{where}.{key} must hold texts, not {value!r}", key=key)
        return tuple(_expand(source, f"{where}.{key}", list(items), environ))

    env = entry.get("env", {})
    bad = [str(key) for key, value in env.items() if not isinstance(value, (str, int, float))]
    if bad:
        raise source.error(f"{where}.env.{bad[0]} must be a text", key=bad[0], hint="write the value in quotes")
    texts = {str(key): _as_text(value) for key, value in _expand(source, f"{where}.env", env, environ).items()}
    return ExecEnv(name, words("cmd"), words("arg"), texts, words("bind"))


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _settings(source: _Source, content: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Tuning by step; steps and entries that there are not, and values of the wrong kind, are refused."""
    for name, value in content.items():
        if name not in STEPS_BY_NAME:
            raise source.error(f"settings: there is no step {name!r}", key=str(name), hint=nearest(name, STEPS_BY_NAME))
        if not isinstance(value, dict):
            raise source.error(f"settings.{name} must be a mapping, not {value!r}", key=str(name))
        _check(source, f"settings.{name}", value, settings_of(name))
    return dict(_expand(source, "settings", content, environ))


_HANDLED = frozenset({"experiment", "paths", "execenv", "system", "table_format", "pkg_versions", "keys", "settings"})


def _known(content: Mapping[str, Any]) -> dict[str, Any]:
    """What we know of the configuration of a cycle whose flow is not ours; the rest is for that flow alone."""
    kept = {key: value for key, value in content.items() if key in OPTIONS and key not in _OF_FLOWS}
    paths = content.get("paths", {})
    if isinstance(paths, dict):
        kept["paths"] = {key: value for key, value in paths.items() if _is_our_path(key, value)}
    return kept


def _is_our_path(key: object, value: object) -> bool:
    """Whether we know a path; a simulation flow has mappings of paths, such as one of its tiers."""
    return PATH_ALIASES.get(str(key), str(key)) in PATHS and isinstance(value, str)


_OF_FLOWS = frozenset({"keys", "settings", "table_format"})
"""What another flow may mean otherwise."""


def read_config(path: str | os.PathLike[str], experiment: str | None = None, *, lenient: bool = False) -> Setup:
    """Read the setup of `experiment` (default: the only one, or ``l200``) from a configuration file.

    With `lenient`, what is not known here is left out: it is for a flow that is not ours.

    Raises
    ------
    UserError
        If the file is missing or not valid, or holds an unknown key, a value of the wrong kind, or an undefined
        variable; the message names the file, the line and the nearest right word.
    """
    source = _open(path)
    name, content = _choose(source, _parse(source), experiment)
    content = {key: value for key, value in content.items() if key != EDITORS}
    content = _known(content) if lenient else content
    _check(source, "", content, OPTIONS)
    if not re.fullmatch(r"\w+", name):
        raise source.error(f"the experiment {name!r} must be letters, digits and underscores", key="experiment")
    environ = dict(os.environ)
    rest = {key: option.default for key, option in OPTIONS.items() if key not in _HANDLED} | {
        key: _expand(source, key, value, environ) for key, value in content.items() if key not in _HANDLED
    }
    return Setup(
        experiment=name,
        file=source.file,
        directory=source.file.parent,
        paths=_paths(source, content.get("paths", {}), environ),
        table_format=dict(TABLE_FORMAT) | _texts(source, "table_format", content.get("table_format", {}), TABLE_FORMAT),
        keys=content.get("keys", OPTIONS["keys"].default),
        failing_channels=rest.pop("failing_channels"),
        settings=_settings(source, content.get("settings", {}), environ),
        execenv=_execenv(source, content, environ),
        pkg_versions=_texts(source, "pkg_versions", content.get("pkg_versions", {}), None),
        options=rest,
    )
