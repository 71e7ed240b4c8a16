"""JSON Schemas of ``config.json``, of the rules in the metadata, and of each step's settings, for editors.

They describe files, not merged configurations: a file may leave out what other files say, and may use ``$default`` and
``$replace``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataflow.base.textfile import DEFAULT, REPLACE
from dataflow.metadata.schemas import OPTIONS, configured_inputs, documented_rules, schema
from dataflow.metadata.settings import StepSettings
from dataflow.metadata.stepconfig import DEFAULT as FOR_ALL
from dataflow.metadata.stepconfig import NESTED, RULES, known_rules
from dataflow.setup.schema import json_schema as cycle_schema

DRAFT = "https://json-schema.org/draft/2020-12/schema"
Document = dict[str, Any]


_STEERING = {REPLACE: {"type": "boolean", "description": "true: what other files say before is left out"}}


def documents() -> dict[str, Document]:
    """Every schema by the name of its file."""
    found = {"config.json": cycle_schema(), "dataprod-config.json": rules_schema()}
    for rule in documented_rules():
        for name in configured_inputs(rule):
            if kind := schema(rule, name):
                title = {"$schema": DRAFT, "title": f"{name} of {rule}"}
                found[f"{rule}.{name}.json"] = title | settings_schema(kind)
    return found


def settings_schema(kind: type[StepSettings]) -> Document:
    """The schema of a file with settings, which may be a part of them."""
    plain = kind.model_json_schema()
    parts = {each.__name__: each for each in _parts(kind)}
    definitions = {name: _file_of(value, parts[name]) for name, value in sorted(plain.pop("$defs", {}).items())}
    whole = _file_of(plain, kind)
    return whole | ({"$defs": definitions} if definitions else {})


def _parts(kind: type[StepSettings]) -> set[type[StepSettings]]:
    """The settings that stand in others, and these."""
    seen, ahead = {kind}, [kind]
    while ahead:
        each = ahead.pop()
        for field in [*(one.annotation for one in each.model_fields.values()), each.EXTRA]:
            new = _models(field) - seen
            seen |= new
            ahead += new
    return seen


def _models(annotation: Any) -> set[type[StepSettings]]:
    if isinstance(annotation, type) and issubclass(annotation, StepSettings):
        return {annotation}
    return {each for part in getattr(annotation, "__args__", ()) for each in _models(part)}


def _file_of(plain: Mapping[str, Any], kind: type[StepSettings]) -> Document:
    """A schema of pydantic as that of a file: descriptions from the docstring, nothing required."""
    meanings = kind.meanings()
    properties = {
        name: _value(value) | {"description": meanings.get(name, "")}
        for name, value in plain.get("properties", {}).items()
    }
    unused = {
        name: {"description": f"has no effect here: {instead}"} for name, instead in sorted(kind.NOT_USED_HERE.items())
    }
    more = plain.get("additionalProperties", False)
    return {
        "description": (kind.__doc__ or "").strip().splitlines()[0],
        "type": "object",
        "properties": properties | unused | _STEERING,
        "additionalProperties": _value(more) if isinstance(more, Mapping) else more,
    }


def _value(plain: Mapping[str, Any]) -> Document:
    """A value's schema without titles; lists may have ``$default`` among their elements."""
    found: Document = {}
    for name, value in plain.items():
        if name == "items" and isinstance(value, Mapping):
            found[name] = {"anyOf": [_value(value), {"const": DEFAULT}]}
        elif name == "minItems":
            found[name] = min(value, 1)  # one $default may stand for all
        elif isinstance(value, Mapping):
            found[name] = _value(value)
        elif isinstance(value, list):
            found[name] = [_value(item) if isinstance(item, Mapping) else item for item in value]
        elif name != "title":
            found[name] = value
    if isinstance(plain.get("additionalProperties"), Mapping):
        found["properties"] = _STEERING
    return found


def rules_schema() -> Document:
    """The schema of a file in ``dataprod/config``: rules with the files of their inputs, and options."""
    rules = {rule: _rule(rule, names) for rule, names in sorted(known_rules().items())}
    return {
        "$schema": DRAFT,
        "title": "Configuration of the steps (inputs/dataprod/config)",
        "type": "object",
        "properties": {RULES: _closed(rules)},
    }


def _rule(rule: str, names: tuple[str, ...]) -> Document:
    kind = schema(rule, OPTIONS)
    options = settings_schema(kind) if kind else {"type": "object"}
    inputs = {name: _input(name) for name in names}
    made = {"inputs": _closed(inputs), OPTIONS: _inlined(options)}
    return _closed(made)


def _input(name: str) -> Document:
    file = {"description": "a file, or several that are merged from left to right", "anyOf": [_TEXT, _TEXTS]}
    what = "by name" if name in NESTED else f"by detector, system, or {FOR_ALL}"
    return {"anyOf": [*file["anyOf"], {"type": "object", "additionalProperties": file, "description": what}]}


_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}


def _closed(properties: Mapping[str, Any]) -> Document:
    return {"type": ["object", "null"], "properties": dict(properties), "additionalProperties": False}


def _inlined(plain: Document) -> Document:
    """A schema with its definitions in the place of the references to them."""
    definitions = plain.get("$defs", {})

    def of(value: Any) -> Any:
        if isinstance(value, Mapping):
            if "$ref" in value:
                return of(definitions[str(value["$ref"]).rpartition("/")[2]])
            return {name: of(item) for name, item in value.items() if name != "$defs"}
        return [of(item) for item in value] if isinstance(value, list) else value

    found: Document = of(plain)
    return found
