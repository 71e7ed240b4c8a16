"""Ways in which configuration and metadata files are wrong, by mistake or on purpose."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

CANARY: Final = "CANARY"
"""Stands for the folder that nobody may touch."""

VALUES: Final[tuple[Any, ...]] = (
    None, True, -1, 0, 10**400, 2**63, 1e308, float("nan"), float("inf"), [], {}, [[]], [None], {"a": {"b": [1]}}, "",
    " ", "\n", "\0", "a\nb", "$", "$_", "${_}", "$HOME", "$UNDEFINED_VARIABLE", "${", "$(touch CANARY/made)",
    "`touch CANARY/made`", "; touch CANARY/made", "| touch CANARY/made", "' || touch CANARY/made", '"',
    "{ch.__class__}", "{ch:07d}", "{}", "{0}", "{nothing}", "{", "%s", "../../../CANARY", "/../CANARY/file", "CANARY",
    "CANARY/file.yaml", "file:///CANARY", "~", "~root", "/dev/zero", "/dev/stdin", "/proc/self/mem", "a" * 5000,
    "../" * 400, "\u202e", "\ud7ff", "ä/ö", "*", "**", "[a-z", "(?P<a>", "(a+)+$", "20240301T080000Z",
    "20249999T999999Z", "l200-p03-r000-cal-20240301T080000Z", "2024-03-01", "on", "0x10", "1_000", "--config", "-rf",
    "!!python/object/apply:os.system ['touch CANARY/made']", "__import__('os').system('touch CANARY/made')",
)  # fmt: skip

TAGS: Final = (
    "!!python/object/apply:os.system ['touch CANARY/made']",
    "!!python/object/new:subprocess.Popen [['touch', 'CANARY/made']]",
    "!!python/name:os.system",
    "!!python/module:CANARY.made",
    "!include CANARY/file.yaml",
    "!!timestamp 2024-99-99",
    "!!binary '***'",
    "!!int x",
    "!!set {a, b}",
    "&a [*a]",
    "*nowhere",
    "<<: 3",
    "? [a, b] : c",
)


def mutate(folder: Path, draw: random.Random, canary: Path, count: int = 1) -> str:
    """Break some files of a cycle; returns which and how."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and is_text(path)]
    said = []
    for file in draw.sample(files, count):
        way = draw.choice((value, value, value, name, delete, delete, tag, graft, bytes_, cut, bomb, other_kind))
        said.append(f"{file.relative_to(folder)}: {way.__name__.strip('_')} {way(file, draw, canary)[:120]!r}")
    return "; ".join(said)


def is_text(path: Path) -> bool:
    """Whether it is configuration or metadata."""
    return path.suffix in (".json", ".yaml") and "generated" not in path.parts


def hostile(draw: random.Random, canary: Path) -> Any:
    """A value that nobody expects."""
    chosen = draw.choice(VALUES)
    return chosen.replace(CANARY, str(canary)) if isinstance(chosen, str) else chosen


def nodes(data: Any) -> Iterator[tuple[Any, Any]]:
    """Each container of a document with each of its keys or positions."""
    keys = list(data) if isinstance(data, dict) else list(range(len(data))) if isinstance(data, list) else []
    for key in keys:
        yield data, key
        yield from nodes(data[key])


def _edit(file: Path, draw: random.Random, change: Callable[[Any, Any], str]) -> str:
    """Change one node of the document."""
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    found = list(nodes(data))
    said = change(*draw.choice(found)) if found else "empty"
    dump = json.dumps if file.suffix == ".json" else lambda data: yaml.safe_dump(data, sort_keys=False)
    file.write_text(dump(data), encoding="utf-8")
    return said


def value(file: Path, draw: random.Random, canary: Path) -> str:
    """Another value."""

    def change(container: Any, key: Any) -> str:
        container[key] = hostile(draw, canary)
        return f"{key}: {str(container[key])[:80]}"

    return _edit(file, draw, change)


def name(file: Path, draw: random.Random, canary: Path) -> str:
    """Another key."""

    def change(container: Any, key: Any) -> str:
        new = hostile(draw, canary)
        new = str(new) if isinstance(new, (list, dict)) or file.suffix == ".json" else new
        if isinstance(container, dict):
            container[new] = container.pop(key)
        return f"{key} -> {str(new)[:80]}"

    return _edit(file, draw, change)


def delete(file: Path, draw: random.Random, _canary: Path) -> str:
    """An entry is missing."""

    def change(container: Any, key: Any) -> str:
        del container[key]
        return str(key)

    return _edit(file, draw, change)


def graft(file: Path, draw: random.Random, _canary: Path) -> str:
    """An entry stands in another place, too."""
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    found = list(nodes(data))
    if not found:
        return "empty"
    (target, key), (source, other) = draw.choice(found), draw.choice(found)
    target[key] = json.loads(json.dumps(source[other], default=str))
    file.write_text(json.dumps(data, default=str), encoding="utf-8")
    return f"{key} <- {other}"


def tag(file: Path, draw: random.Random, canary: Path) -> str:
    """YAML that asks for objects, or is none."""
    lines = file.read_text(encoding="utf-8").splitlines() or [""]
    place = draw.randrange(len(lines))
    text = draw.choice(TAGS).replace(CANARY, str(canary))
    begin = lines[place].partition(":")[0]
    lines[place] = f"{begin}: {text}" if draw.random() < 0.8 else text
    file.write_text("\n".join(lines), encoding="utf-8")
    return lines[place]


def bytes_(file: Path, draw: random.Random, _canary: Path) -> str:
    """Bytes that are not text."""
    data = bytearray(file.read_bytes() or b"\n")
    for _ in range(draw.randrange(1, 6)):
        data[draw.randrange(len(data))] = draw.choice((0x00, 0x07, 0x80, 0xFF, 0x22, 0x7B, 0x5B, 0x3A, 0x09, 0x0A))
    file.write_bytes(data)
    return "overwritten"


def cut(file: Path, draw: random.Random, _canary: Path) -> str:
    """The end is missing."""
    size = file.stat().st_size
    os.truncate(file, draw.randrange(size) if size else 0)
    return f"{size} -> {file.stat().st_size}"


def bomb(file: Path, draw: random.Random, _canary: Path) -> str:
    """A few lines that want all the memory, or nest without end."""
    laughs = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    laughs += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    merges = ["a0: &a0 {k0: 1}"] + [f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}, <<: *a{n - 1}}}" for n in range(1, 40)]
    chosen = draw.choice(("\n".join(laughs), "\n".join(merges), "[" * 100_000, '{"a":' * 100_000, "- " * 50_000))
    file.write_text(chosen)
    return chosen[:20]


def other_kind(file: Path, draw: random.Random, canary: Path) -> str:
    """Not a file at all, or a link to somewhere else."""
    file.unlink()
    kinds: dict[str, Callable[[], object]] = {
        "folder": file.mkdir,
        "pipe": lambda: os.mkfifo(file),
        "nothing": lambda: None,
        "link to itself": lambda: file.symlink_to(file.name),
        "link into nothing": lambda: file.symlink_to(canary / "nothing"),
        "link outside": lambda: file.symlink_to(canary / "file.yaml"),
        "link to a device": lambda: file.symlink_to("/dev/zero"),
        "unreadable": lambda: _unreadable(file),
    }
    chosen = draw.choice(sorted(kinds))
    kinds[chosen]()
    return chosen


def _unreadable(file: Path) -> None:
    file.write_text("a: 1")
    file.chmod(0)
