"""Whom files belong to."""

from __future__ import annotations

import os
import pwd
from pathlib import Path


def name_of(uid: int) -> str:
    """What people call an account: its name, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"


def closed_to_us(path: Path) -> str:
    """Whose folder it is in which we may not write, as a hint; empty where no other account is the reason."""
    there = next((place for place in (path, *path.parents) if os.path.lexists(place)), Path("/"))
    place = there if there.is_dir() else there.parent
    owner = place.stat().st_uid
    if owner == os.geteuid() or os.access(place, os.W_OK | os.X_OK):
        return ""
    return f"{place} belongs to {name_of(owner)}: ask for the right to write there, or work in a folder of your own"
