"""The lock of a cycle: everything that was installed, so that it can be rebuilt exactly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prodenv.base.errors import UserError
from prodenv.base.files import write_text

from .checkouts import Checkout
from .requirements import Pin

FORM = 1


@dataclass(frozen=True)
class SoftwareLock:
    """What an installation consists of.

    Parameters
    ----------
    python
        ``version``, ``implementation``, ``system`` and ``machine`` of the interpreter.
    execenv
        The container that it was made in.
    packages
        Every package with version and hashes, or with its address.
    checkouts
        Every checkout with revision and what was not committed.
    dataflow
        Revision of the cycle's dataflow; for the record, it is not installed.
    """

    python: Mapping[str, str]
    execenv: Mapping[str, Any]
    packages: Sequence[Pin]
    checkouts: Sequence[Mapping[str, Any]] = ()
    dataflow: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """The lock as it stands in its file; the same installation gives the same text."""
        content = {
            "form": FORM,
            "python": dict(self.python),
            "execenv": dict(self.execenv),
            "packages": [_entry(pin) for pin in sorted(self.packages, key=lambda pin: pin.name)],
            "checkouts": [dict(checkout) for checkout in self.checkouts],
            "dataflow": dict(self.dataflow),
        }
        return json.dumps(content, indent=2, sort_keys=True) + "\n"

    def write(self, file: Path) -> None:
        write_text(file, self.text())

    def check_python(self, found: Mapping[str, str]) -> None:
        """Refuse an interpreter for which the locked packages may differ."""
        for what in ("implementation", "system", "machine"):
            if self.python.get(what) != found.get(what):
                raise UserError(f"the lock is for {what} {self.python.get(what)!r}, this is {found.get(what)!r}")
        if _minor(self.python.get("version", "")) != _minor(found.get("version", "")):
            hint = "give prodenv-tools --python an interpreter of that version, or install without --locked"
            raise UserError(
                f"the lock is for Python {self.python.get('version')}, this is {found['version']}", hint=hint
            )

    def check_checkouts(self, checkouts: Sequence[Checkout], base: Path) -> None:
        """Refuse sources that are not in the state that the lock records."""
        found = {str(record["name"]): record for record in (checkout.record(base) for checkout in checkouts)}
        wanted = {str(record["name"]): record for record in self.checkouts}
        for name in sorted(set(found) | set(wanted)):
            _compare(name, wanted.get(name), found.get(name))


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _compare(name: str, wanted: Mapping[str, Any] | None, found: Mapping[str, Any] | None) -> None:
    if wanted is None:
        raise UserError(f"there is a checkout of {name}, which the lock does not have", hint="move it away")
    if found is None:
        hint = f"check it out: git clone {wanted['remote']} {wanted['path']}"
        raise UserError(f"the lock has a checkout of {name}, which is not there", hint=hint)
    if not wanted["revision"]:
        hint = "only sources under git can be rebuilt exactly"
        raise UserError(f"the checkout of {name} was under no version control when it was locked", hint=hint)
    if found["revision"] != wanted["revision"]:
        hint = f"git -C {found['path']} checkout {wanted['revision']}"
        raise UserError(f"the checkout of {name} is at {found['revision'] or 'no commit'}, not as locked", hint=hint)
    if found["changes"] != wanted["changes"]:
        now = "has other changes than" if found["changes"] and wanted["changes"] else "differs in its changes from"
        raise UserError(f"the checkout of {name} {now} the locked one", hint=f"git -C {found['path']} status")


def _entry(pin: Pin) -> dict[str, Any]:
    if pin.address:
        return {"name": pin.name, "address": pin.address}
    return {"name": pin.name, "version": pin.version, "hashes": list(pin.hashes)}


def read_lock(file: Path) -> SoftwareLock:
    """Read a lock.

    Raises
    ------
    UserError
        If it is missing or not of this form.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["form"] != FORM:
            raise UserError(f"{file} is a lock of form {content['form']}, {FORM} is expected")
        pins = [
            Pin(e["name"], e.get("version", ""), tuple(e.get("hashes", ())), e.get("address", ""))
            for e in content["packages"]
        ]
        return SoftwareLock(content["python"], content["execenv"], pins, content["checkouts"], content["dataflow"])
    except OSError:
        raise UserError(f"there is no lock {file}", hint="install once without --locked, or give --lock FILE") from None
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{file} is not a lock of an installation: {error!r}") from None
