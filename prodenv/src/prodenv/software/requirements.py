"""Requirements with versions and hashes: reading locks, and laying the wishes of a configuration over them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prodenv.base.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Pin:
    """One package as it is installed: exactly this version, or exactly this commit of an address.

    Parameters
    ----------
    name
        Normalised name.
    version
        Version, or empty where an address says what it is.
    hashes
        ``sha256:…`` of every distribution file that may be taken.
    address
        Address of a package that comes from none of the indices.
    marker
        Environment marker, where it is for some systems only.
    """

    name: str
    version: str = ""
    hashes: tuple[str, ...] = ()
    address: str = ""
    marker: str = ""

    def line(self) -> str:
        """As a line of a requirements file."""
        what = f"{self.name} @ {self.address}" if self.address else f"{self.name}=={self.version}"
        marker = f" ; {self.marker}" if self.marker else ""
        return " ".join([what + marker, *(f"--hash={value}" for value in self.hashes)])


def normalise(name: str) -> str:
    """The name of a package as indices compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_pins(text: str) -> list[Pin]:
    """The pins of a requirements file as ``uv pip compile --generate-hashes`` writes it."""
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
    return [_pin(line) for line in lines if line and not line.startswith("-")]


def _pin(line: str) -> Pin:
    words, *hashes = re.split(r"\s+--hash=", line)
    what, _, marker = words.partition(" ; ")
    if " @ " in what:
        name, _, address = what.partition(" @ ")
        return Pin(normalise(name.strip()), "", tuple(hashes), address.strip(), marker.strip())
    name, _, version = what.partition("==")
    return Pin(normalise(name.strip()), version.strip(), tuple(hashes), "", marker.strip())


def requirement(name: str, wish: str) -> str:
    """The requirement that ``pkg_versions: {name: wish}`` means.

    A bare version, a version with an operator, an address, or a complete requirement.

    Raises
    ------
    UserError
        If the wish is not a requirement.
    """
    text = wish.strip()
    if text[:1].isdigit():
        return f"{name}=={text}"
    if text[:1] in tuple("<>=!~"):
        return f"{name}{text}"
    if "://" in text and " @ " not in text:
        return f"{name} @ {text}"
    if _NAME.match(text) and "\n" not in text:
        return text
    hint = f"write a version (2.6.2), a range (>=2.6), an address (git+https://…) or a requirement ({name}==2.6.2)"
    raise UserError(f"pkg_versions.{name} is {wish!r}, which is not a requirement", hint=hint)


def name_of(line: str) -> str:
    """The normalised name of the package that a requirement is about."""
    match = _NAME.match(line.strip())
    return normalise(match[0]) if match else ""


def merged(declared: Iterable[str], wishes: Mapping[str, str], replaced: Sequence[str]) -> list[str]:
    """The requirements of a cycle.

    Parameters
    ----------
    declared
        Lines of the ``.in`` file.
    wishes
        ``pkg_versions`` of the configuration, which replace the line of their package.
    replaced
        Names of packages that a checkout stands for.
    """
    wanted = [requirement(name, wish) for name, wish in sorted(wishes.items())]
    taken = {name_of(line) for line in wanted} | {normalise(name) for name in replaced}
    kept = [line for line in _lines(declared) if name_of(line) not in taken]
    gone = {normalise(name) for name in replaced}
    return [*kept, *(line for line in wanted if name_of(line) not in gone)]


def _lines(declared: Iterable[str]) -> list[str]:
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in declared)
    return [line for line in lines if line]
