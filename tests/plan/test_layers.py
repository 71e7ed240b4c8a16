"""Configuration in layers: what comes out, and where each value was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dataflow.base.errors import UserError
from dataflow.base.textfile import TextFile, read
from dataflow.metadata.layers import Layers

Make = Callable[[str, str], TextFile]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(name: str, text: str) -> TextFile:
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return read(path)

    return made


def test_every_value_knows_its_file_and_line(make: Make) -> None:
    shipped = make("shipped", "a: {x: 1, y: 2}\nb: [p, q]\nc: 3\nd: []\n")
    own = make("own", "a:\n  y: 4\nb:\n  - new\n  - $default\n")
    last = make("last", "# nothing\nc: 5\n")
    layers = Layers((shipped,), (own, last))
    assert layers.data == {"a": {"x": 1, "y": 4}, "b": ["new", "p", "q"], "c": 5, "d": []}
    found = {place: (value.value, value.text.path.stem, value.line) for place, value in layers.values()}
    assert found == {
        ("a", "x"): (1, "shipped", 1),
        ("a", "y"): (4, "own", 2),
        ("b", 0): ("new", "own", 4),
        ("b", 1): ("p", "shipped", 2),
        ("b", 2): ("q", "shipped", 2),
        ("c",): (5, "last", 2),
        ("d",): ([], "shipped", 4),
    }


def test_the_places_are_those_of_the_data(make: Make) -> None:
    """Values and places are merged by the same rules, also where mappings and lists are empty."""
    shipped = make("shipped", "a: {x: 1}\nb: {}\nc: [1]\nd: []\ne: {z: {u: 1}}\n")
    own = make("own", "a: {}\nb: {y: 2}\nc: []\nd: [$default, 3]\ne: {z: 5}\n")
    layers = Layers((shipped,), (own,))
    assert layers.data == {"a": {"x": 1}, "b": {"y": 2}, "c": [], "d": [3], "e": {"z": 5}}
    values = {place: value.value for place, value in layers.values()}
    assert values == {("a", "x"): 1, ("b", "y"): 2, ("c",): [], ("d", 0): 3, ("e", "z"): 5}


def test_an_error_names_the_file_that_said_it(make: Make) -> None:
    layers = Layers((make("shipped", "a: {x: 1}\n"),), (make("own", "\nb: [$default, 2]\na:\n  y: 2\n"),))
    with pytest.raises(UserError, match=r"own.yaml:2: b says \$default"):
        _ = layers.data
    layers = Layers((make("shipped", "a: {x: 1}\nb: [1]\n"),), (make("own", "\nb: [$default, 2]\na:\n  y: 2\n"),))
    assert layers.error("is wrong", "a", "y").message.endswith("own.yaml:4: is wrong")
    assert layers.error("is wrong", "a", "x").message.endswith("shipped.yaml:1: is wrong")
    assert layers.error("is wrong", "b", 1).message.endswith("own.yaml:2: is wrong")


def test_files_of_the_metadata_merge_among_themselves_and_a_complete_one_needs_nothing_shipped(make: Make) -> None:
    shipped = make("shipped", "p: {a: 1}\no: [a]\nextra: 1\n")
    sections = frozenset({"p", "o"})
    parts = (make("one", "p: {b: 1}\n"), make("two", "o: [b]\np: {c: 2}\n"))
    assert Layers((shipped,), parts, sections).data == {"p": {"b": 1, "c": 2}, "o": ["b"]}
    assert Layers((shipped,), parts[:1], sections).data == {"p": {"a": 1, "b": 1}, "o": ["a"], "extra": 1}
    waiting = (make("three", "p: {b: 1}\no: [$default, b]\n"),)
    assert Layers((shipped,), waiting, sections).data == {"p": {"a": 1, "b": 1}, "o": ["a", "b"], "extra": 1}
    assert Layers((shipped,), parts).data["extra"] == 1


def test_what_replaces_does_so_through_all_layers(make: Make) -> None:
    shipped = make("shipped", "p: {a: 1}\no: [a]\n")
    one, two = make("one", "p: {$replace: true, b: 1}\n"), make("two", "p: {c: 2}\n")
    assert Layers((shipped,), (one, two)).data == {"p": {"b": 1, "c": 2}, "o": ["a"]}
    whole = make("whole", "$replace: true\np: {z: 1}\n")
    assert Layers((shipped,), (one, whole)).data == {"p": {"z": 1}}
