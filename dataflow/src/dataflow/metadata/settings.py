"""Settings of a step: a strict, typed, documented schema, and sentences about what does not fit it.

A step declares a subclass of :class:`StepSettings` in a module of its own that imports no numpy, because settings are
checked while planning. Importing pydantic takes some 0.08 s: the modules with settings are imported when there is a
configuration to check, or a job that reads one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Any, ClassVar, Protocol, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from dataflow.base.errors import UserError
from dataflow.base.messages import nearest
from dataflow.base.textfile import kind

Location = tuple[str | int, ...]

_WORDS: Mapping[str, str] = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "model_type": "a mapping",
    "string_type": "a text",
    "tuple_type": "a list",
}
"""What is expected, by pydantic's type of error."""
_LIMITS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}
_UNKNOWN = frozenset({"extra_forbidden", "invalid_key"})
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


class Place(Protocol):
    """Knows in which file and line an entry stands."""

    def error(self, message: str, *names: str | int, hint: str = "") -> UserError:
        """The error to raise about the entry under the given keys."""


class Nowhere:
    """The place of a configuration that is in no file."""

    def error(self, message: str, *names: str | int, hint: str = "") -> UserError:  # noqa: ARG002 - as Place says
        """The error without file and line."""
        return UserError(message, hint=hint)


class StepSettings(BaseModel):
    """Base of the settings of a step, and of mappings in them.

    Entries are declared as annotated fields with defaults, and described in the section ``Attributes`` of the
    docstring: documentation, JSON Schema and hints take the description from there. Lists are declared as tuples, so
    that settings cannot be changed. Nothing is converted: a text is not a number, true is not 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {}
    """Entries of the collaboration's files that the published flow reads, and what is done here instead."""
    EXTRA: ClassVar[Any] = None
    """The annotation of entries with names of the user's own; ``__pydantic_extra__`` says the same to pydantic."""

    @model_validator(mode="before")
    @classmethod
    def _without_unused(cls, values: object) -> object:
        if not cls.NOT_USED_HERE or not isinstance(values, Mapping):
            return values
        return {name: value for name, value in values.items() if name not in cls.NOT_USED_HERE}

    @classmethod
    def read(cls, config: Mapping[str, Any], name: str = "", place: Place | None = None) -> Self:
        """Settings from a configuration.

        Parameters
        ----------
        config
            The merged configuration; entries of :data:`NOT_USED_HERE` are left out.
        name
            What the configuration is called in sentences: ``ecal_config``.
        place
            Where it stands: a :class:`~dataflow.base.textfile.TextFile`, or layers of them.

        Raises
        ------
        UserError
            If an entry is unknown, missing, or of another form; with file and line, and what would be right.
        """
        values = {key: _frozen(value) for key, value in config.items()}
        try:
            return cls.model_validate(values)
        except ValidationError as found:
            raise _wrong(cls, found.errors(include_url=False), values, name, place or Nowhere()) from None

    @classmethod
    def entries(cls) -> tuple[str, ...]:
        """The names of the entries as they are written in a file."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())

    @classmethod
    def meanings(cls) -> dict[str, str]:
        """The description of each entry under its name in the file, from the docstrings of the class and its bases."""
        kinds = [kind for kind in cls.__mro__ if kind is not StepSettings and issubclass(kind, StepSettings)]
        return {name: text for kind in reversed(kinds) for name, text in attributes(kind.__doc__ or "").items()}


class StepOptions(StepSettings):
    """Base of the options of a rule."""

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {"logging": "every job has its log"}


def attributes(docstring: str) -> dict[str, str]:
    """The descriptions in the section ``Attributes`` of a numpydoc docstring, by name."""
    _, _, section = docstring.partition("Attributes\n")
    lines = section.splitlines()[1:]
    margin = next((len(line) - len(line.lstrip()) for line in lines if line.strip()), 0)
    found: dict[str, str] = {}
    names: list[str] = []
    for line in lines:
        inner = line[margin:]
        if inner[:1].strip():
            names = [name.strip() for name in inner.partition(":")[0].split(",")]
            found |= dict.fromkeys(names, "")
        elif inner.strip():
            found |= {name: f"{found[name]} {inner.strip()}".strip() for name in names}
    return found


def _frozen(value: object) -> object:
    """A value with tuples in place of lists: what strict settings take."""
    if isinstance(value, str):  # most are
        return value
    if isinstance(value, Mapping):
        return {name: _frozen(item) for name, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _wrong(
    model: type[StepSettings], errors: Sequence[ErrorDetails], values: Mapping[str, Any], name: str, place: Place
) -> UserError:
    """The first thing that is wrong as a sentence, with the number of others."""
    by_location: dict[Location, list[ErrorDetails]] = {}
    for error in errors:
        by_location.setdefault(_location(error, values), []).append(error)
    # an alternative of a union that was not meant is wrong further out than the one that was
    innermost = [each for each in by_location if not any(each == one[: len(each)] != one for one in by_location)]
    location = min(innermost, key=lambda each: by_location[each][0]["type"] not in _UNKNOWN)
    found = {each: _sentence(model, each, by_location[each], name) for each in innermost}
    message, hint = found.pop(location)
    others = len(found)
    more = f"{others} more {'entry is' if others == 1 else 'entries are'} wrong" if others else ""
    first = place.error(message, *location, hint="; ".join(part for part in (hint, more) if part))
    first.others = tuple(place.error(text, *each, hint=advice) for each, (text, advice) in found.items())
    return first


def _location(error: ErrorDetails, values: object) -> Location:
    """Where in the configuration an error is: alternatives of a union, which pydantic names too, are not entries."""
    found: list[str | int] = []
    for part in error["loc"]:
        inner = _child(values, part)
        if inner is not None:
            values = inner[0]
        if inner is not None or (error["type"] == "missing" and part == error["loc"][-1]):
            found.append(part)
    return tuple(found)


def _child(values: object, part: str | int) -> tuple[object] | None:
    if isinstance(values, Mapping) and part in values:
        return (values[part],)
    if isinstance(values, tuple) and isinstance(part, int) and part < len(values):
        return (values[part],)
    return None


def _sentence(
    model: type[StepSettings], location: Location, errors: Sequence[ErrorDetails], name: str
) -> tuple[str, str]:
    """What is wrong at a location, and what to do."""
    *outer, last = location or ("",)
    where = _dotted(name, outer) or "the configuration"
    kinds = {error["type"] for error in errors}
    if kinds <= _UNKNOWN:
        return f"{where} has no entry {last!r}", _nearest(model, outer, last)
    if kinds == {"missing"}:
        return f"{where} lacks the entry {last!r}", _meaning(model, outer, last)
    value = errors[0]["input"]
    expected = " or ".join(dict.fromkeys(_expected(error) for error in errors))
    hint = _meaning(model, outer, last)
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        hint = f"YAML reads {value} as a text: write {_as_yaml(value)}"
    return f"{_dotted(name, location)} must be {expected}, not {_shown(value)}", hint


def _as_yaml(number: str) -> str:
    """``1e3`` as YAML 1.1 reads it for a number: with a point and a sign."""
    mantissa, _, exponent = number.lower().partition("e")
    return f"{float(mantissa)}e{int(exponent):+d}"


def _dotted(name: str, location: Iterable[str | int]) -> str:
    return ".".join(part for part in (name, *map(str, location)) if part)


def _expected(error: ErrorDetails) -> str:
    """What would be right, in words."""
    found, context = error["type"], error.get("ctx") or {}
    if found in _LIMITS:
        word, limit = _LIMITS[found]
        return f"a number {word} {context[limit]:g}"
    if found == "literal_error":
        return f"one of {str(context['expected']).replace(' or ', ', ')}"
    if found == "too_short":
        return f"a list of at least {context['min_length']}"
    if found == "value_error":
        return str(context["error"])
    return _WORDS.get(found) or error["msg"]


def _shown(value: object) -> str:
    return kind(value) if isinstance(value, (Mapping, type(None))) else repr(_thawed(value))


def _thawed(value: object) -> object:
    return [_thawed(item) for item in value] if isinstance(value, tuple) else value


def _nearest(model: type[StepSettings], outer: Sequence[str | int], name: object) -> str:
    inner = _model_at(model, outer)
    return nearest(name, inner.entries()) if inner else ""


def _meaning(model: type[StepSettings], outer: Sequence[str | int], name: object) -> str:
    inner = _model_at(model, outer)
    text = inner.meanings().get(str(name), "") if inner else ""
    return f"{name}: {text[:1].lower()}{text[1:].removesuffix('.')}" if text else ""


def _model_at(model: type[StepSettings], names: Sequence[str | int]) -> type[StepSettings] | None:
    """The settings that describe the mapping under the given keys, None where it is not a declared one."""
    annotations: list[Any] = [model]
    for name in names:
        annotations = [inner for each in annotations for inner in _alternatives(_inner(each, name))]
    return next((each for each in annotations if _is_model(each)), None)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, StepSettings)


def _alternatives(annotation: Any) -> list[Any]:
    return list(get_args(annotation)) if get_origin(annotation) in (Union, UnionType) else [annotation]


def _inner(annotation: Any, name: str | int) -> Any:
    """The annotation of an entry of a mapping or list, None if there is none."""
    if _is_model(annotation):
        fields = {field.alias or key: field for key, field in annotation.model_fields.items()}
        return fields[str(name)].annotation if str(name) in fields else annotation.EXTRA
    if get_origin(annotation) in (dict, Mapping):
        return get_args(annotation)[1]
    return get_args(annotation)[0] if get_origin(annotation) is tuple else None
