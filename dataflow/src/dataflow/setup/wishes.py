"""Whether the software that ``pkg_versions`` asks for is the one that is installed, as far as the lock of it tells."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dataflow.base.errors import UserError

from .config import Setup
from .packages import Software

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_ADDRESS = re.compile(r"(?P<site>[^:]+://[^/]*)(?P<path>[^@#]*)")


def not_installed(setup: Setup) -> UserError | None:
    """What is to be said if the installed software is not what ``pkg_versions`` of a configuration asks for.

    Checkouts take the place of any version, and of what the lock does not tell nothing is said.

    Raises
    ------
    UserError
        If the lock is none.
    """
    if not setup.pkg_versions:
        return None
    found = list(_missing(setup))
    if not found:
        return None
    message = f"the installed software is not what pkg_versions in {setup.file} asks for: {'; '.join(found)}"
    return UserError(message, hint=f"run dataprod-install-sw {shlex.quote(str(setup.file))}")


def _missing(setup: Setup) -> Iterator[str]:
    software = Software(setup)
    if not software.is_known:
        return
    for name, wish in sorted(setup.pkg_versions.items()):
        wanted = _requirement(name, wish)
        if wanted is None or software.is_checkout(wanted.name):
            continue
        said = _differs(wanted, software.entry(wanted.name))
        if said:
            yield f"{_text(wanted)} is asked for, and {said}"


def _requirement(name: str, wish: str) -> Requirement | None:
    """What a wish means: a version, a range, an address, or a requirement; None if it says nothing for this system."""
    from packaging.requirements import InvalidRequirement, Requirement

    text = wish.strip()
    if text[:1].isdigit():
        text = f"{name}=={text}"
    elif text[:1] in tuple("<>=!~"):
        text = f"{name}{text}"
    elif "://" in text and " @ " not in text:
        text = f"{name} @ {text}"
    try:
        found = Requirement(text)
    except InvalidRequirement:  # dataprod-install-sw refuses it
        return None
    return found if found.marker is None or found.marker.evaluate() else None


def _differs(wanted: Requirement, entry: tuple[str, str] | None) -> str:
    """How the installed version and address of a package differ from what is wanted; empty if they may not."""
    from packaging.version import InvalidVersion

    if entry is None:
        return "is not installed"
    version, address = entry
    if wanted.url:
        same = bool(address) and _base(address) == _base(wanted.url)
        return "" if same else f"{version or address} is installed"
    try:
        fits = not version or wanted.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return ""
    return "" if fits else f"{version} is installed"


def _base(address: str) -> str:
    """An address without the revision, which the lock gives as the commit that it was."""
    match = _ADDRESS.match(address)
    return (match["site"] + match["path"].removesuffix(".git") if match else address).lower()


def _text(wanted: Requirement) -> str:
    return f"{wanted.name} from {wanted.url}" if wanted.url else f"{wanted.name}{wanted.specifier}"
