"""Requirements: reading locks, and laying wishes over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodenv.base.errors import UserError
from prodenv.software.requirements import Pin, merged, parse_pins, requirement

LOCK = """\
# a comment
Awkward_cpp==57 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
greenlet==3.5.6 ; platform_machine == 'x86_64' \\
    --hash=sha256:cc
mine @ git+https://host/mine.git@0a1b
-e file:///somewhere
"""


def test_a_lock_is_read() -> None:
    assert parse_pins(LOCK) == [
        Pin("awkward-cpp", "57", ("sha256:aa", "sha256:bb")),
        Pin("greenlet", "3.5.6", ("sha256:cc",), marker="platform_machine == 'x86_64'"),
        Pin("mine", address="git+https://host/mine.git@0a1b"),
    ]


def test_a_pin_written_is_the_pin_read() -> None:
    for pin in parse_pins(LOCK):
        assert parse_pins(pin.line()) == [pin]


@pytest.mark.parametrize("name", ["software.txt", "tools.txt", "clusters.txt", "dev.txt", "bootstrap.txt"])
def test_the_committed_locks_have_hashes_and_no_addresses(name: str, repository: Path) -> None:
    folder = "dataflow" if name == "software.txt" else "prodenv"
    text = (repository / folder / "locks" / name).read_text()
    assert all(pin.version and pin.hashes and not pin.address for pin in parse_pins(text))
    assert "://" not in text


def test_the_stacks_known_traps_are_avoided(repository: Path) -> None:
    pins = {pin.name: pin for pin in parse_pins((repository / "dataflow/locks/software.txt").read_text())}
    assert pins["legend-daq2lh5"].version == "1.7.1"
    assert tuple(map(int, pins["fcio"].version.split(".")[:2])) < (0, 9)


@pytest.mark.parametrize(
    ("wish", "meant"),
    [
        ("2.6.2", "pygama==2.6.2"),
        (">=2.6,<3", "pygama>=2.6,<3"),
        ("pygama==2.6.2", "pygama==2.6.2"),
        ("git+https://host/pygama.git@main", "pygama @ git+https://host/pygama.git@main"),
        ("pygama @ git+https://host/pygama.git", "pygama @ git+https://host/pygama.git"),
    ],
)
def test_every_form_of_a_wish(wish: str, meant: str) -> None:
    assert requirement("pygama", wish) == meant


@pytest.mark.parametrize("wish", ["", "--index-url=x", "-r other.txt", "a\n--find-links=/x"])
def test_what_is_no_requirement_is_refused(wish: str) -> None:
    with pytest.raises(UserError, match="which is not a requirement"):
        requirement("pygama", wish)


def test_wishes_and_checkouts_replace_what_is_declared() -> None:
    declared = ["# comment", "pygama", "fcio<0.9 # why", "Legend_DAQ2LH5==1.7.1", ""]
    wishes = {"legend-daq2lh5": "1.6", "extra": "1.0", "pygama": "2.0"}
    assert merged(declared, wishes, ["pygama"]) == ["fcio<0.9", "extra==1.0", "legend-daq2lh5==1.6"]
