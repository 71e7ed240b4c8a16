"""Keeping compiled code for the next environment with the same packages on the same machine.

Numba takes a compiled file only where the time and the size of the source are those it was compiled from; so these are
kept with the copies, and copies whose sources differ are left out.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from prodenv.base.files import aside, swap_in, write_text
from prodenv.base.notes import step

SLOW = "compiling the signal processors, once for all environments with these packages (minutes)"
MANIFEST = "sources.json"
COMPILING = frozenset({"numba", "llvmlite", "numpy", "dspeed", "legend_lh5io", "legend_pydataobj", "pygama"})
"""Packages that compile, or whose functions are compiled."""
COMPILED = ("*.nbi", "*.nbc")


def facts_of(site: Path, environment: Mapping[str, object]) -> dict[str, object]:
    """What compiled code depends on.

    Parameters
    ----------
    site
        The ``site-packages`` folder.
    environment
        What is known of the interpreter and of the container it runs in.
    """
    found = (path.name.removesuffix(".dist-info").partition("-") for path in site.glob("*.dist-info"))
    versions = {name: version for name, _, version in found if name in COMPILING}
    return {"packages": versions, "environment": dict(environment)}


def key_of(facts: Mapping[str, object]) -> str:
    """The name under which compiled code is kept: a hash of what it depends on."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]


def warm(
    site: Path, kept: Path, facts: Mapping[str, object], compile_all: Callable[[], object], flow: Path | None = None
) -> None:
    """Have everything compiled in `site`, with what is kept in `kept` for the same facts, and keep what is new.

    The same for the sources of the workflow in `flow`, if nothing is compiled beside them yet. `compile_all` runs in
    any case: with compiled code that numba takes, it only takes seconds, and whatever it does not take is compiled.
    """
    stores = {site: kept / key_of(facts)}
    if flow and os.access(flow, os.W_OK) and not compiled_files(flow):
        stores[flow] = kept / f"{key_of(facts)}-flow"
    found = {root: restore(root, store) for root, store in stores.items()}
    taken = sum(found.values())
    with step(f"compiled code: {taken} files from an earlier installation, checked" if taken else SLOW):
        compile_all()
    for root, store in stores.items():
        if len(compiled_files(root)) != found[root]:
            with contextlib.suppress(PermissionError):  # the tools may belong to someone else: only time is lost
                keep(root, store)


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
