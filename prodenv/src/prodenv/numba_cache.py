"""Keeping compiled code for the next environment with the same packages on the same machine.

Numba takes a compiled file only where the time and the size of the source are those it was compiled from; so these are
kept with the copies, and copies whose sources differ are left out.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from prodenv.files import aside, swap_in, write_text

MANIFEST = "sources.json"
COMPILED = ("*.nbi", "*.nbc")


def key_of(facts: Mapping[str, object]) -> str:
    """The name under which compiled code is kept: a hash of what it depends on."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]


def compiled_files(site: Path) -> list[Path]:
    """Compiled files below `site`, relative to it."""
    found = (path for pattern in COMPILED for path in site.rglob(f"__pycache__/{pattern}"))
    return sorted(path.relative_to(site) for path in found)


def _source_of(compiled: Path) -> Path:
    """``a/__pycache__/mod.func-1.py311.nbi`` → ``a/mod.py``."""
    stem = compiled.name.removeprefix("guf-").split(".")[0]
    return compiled.parent.parent / f"{stem}.py"


def _stamps(site: Path, files: Iterable[Path]) -> dict[str, list[int]]:
    sources = sorted({_source_of(file) for file in files})
    stats = {str(source): (site / source).stat() for source in sources if (site / source).is_file()}
    return {name: [stat.st_mtime_ns, stat.st_size] for name, stat in stats.items()}


def keep(site: Path, store: Path) -> int:
    """Copy the compiled files of `site` to the folder `store`; returns how many there are."""
    files = compiled_files(site)
    with aside(store) as folder:
        _copy(files, site, folder)
        write_text(folder / MANIFEST, json.dumps(_stamps(site, files), indent=0, sort_keys=True))
        swap_in(folder, store)
    return len(files)


def restore(site: Path, store: Path) -> int:
    """Copy what `store` has for the sources of `site`; returns how many files were taken."""
    manifest = store / MANIFEST
    if not manifest.is_file():
        return 0
    known = json.loads(manifest.read_text())
    files = compiled_files(store)
    same = {name for name, stamp in _stamps(site, files).items() if known.get(name) == stamp}
    taken = [file for file in files if str(_source_of(file)) in same]
    _copy(taken, store, site)
    return len(taken)


def _copy(files: Iterable[Path], origin: Path, target: Path) -> None:
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(origin / file, target / file)
