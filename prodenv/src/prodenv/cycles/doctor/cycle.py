"""What may be wrong with a cycle, and the command that fixes it. Nothing is changed here."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prodenv.base.accounts import name_of
from prodenv.base.errors import UserError
from prodenv.base.sources import provenance, provenance_text
from prodenv.cycles.derived.links import changed_links, parent_of, record_of
from prodenv.cycles.derived.relink import broken_links, is_astray
from prodenv.cycles.find import CycleFolder, command
from prodenv.cycles.flow import ask, unknown
from prodenv.cycles.manifest import NAME, entries_of
from prodenv.cycles.setups import Setup, setup_of, snakefile_in, wrap
from prodenv.software.install import is_installed, lock_of, owner_of

from .environment import BAD, OK, WARNING, Finding, disk

MOST = 10
"""As many findings of a kind are shown."""
_PART = "-part"
_COMPILES = "nothing: it is done by itself; software that you install yourself has compiled code of its own"
_OURS, _ANY = "import dataflow, h5py, lgdo", "import sys"
"""What installed software must be able to do for a flow of ours, and for another one."""


def examine(cycle: CycleFolder, experiment: str | None = None) -> Iterator[Finding]:
    """Look at a cycle. If its configuration cannot be read, at nothing else."""
    try:
        setup = setup_of(cycle, experiment)
    except UserError as error:
        yield Finding("configuration", BAD, error.message, error.hint)
        return
    yield Finding("configuration", OK, f"{cycle.config} is the setup {setup.experiment}")
    yield from _alike(cycle)
    yield from _sources(setup)
    yield from _software(setup)
    yield from _compiled(setup)
    yield from _metadata(setup)
    yield from _state(cycle)
    yield from _files(cycle, setup)
    yield from _detectors(setup, cycle)
    yield disk(cycle.root)


def _metadata(setup: Setup) -> Iterator[Finding]:
    """What the cycle's own flow says of the metadata and of its code."""
    if not setup.ours:
        yield Finding("metadata", OK, unknown(setup.cycle).message)
        return
    try:
        found = ask(setup.cycle, "metadata", setup.experiment)
    except UserError as error:
        found = [(BAD, error.message, error.hint)]
    yield from (Finding("metadata", *each) for each in found)


def _detectors(setup: Setup, cycle: CycleFolder) -> Iterator[Finding]:
    """What jobs noted of detectors that they could not do, or that are not in the data."""
    if not setup.ours:
        return
    try:
        found = ask(setup.cycle, "detectors", setup.experiment)
    except UserError as error:
        yield Finding("detectors", BAD, error.message, error.hint)
        return
    others = f"{command('clean', cycle)} --failed"
    fix = f"fix the cause; files that would change are stale then, the others are found by {others}"
    look = "the results are there: the figures of the step show how good they are"
    for trouble in found["detectors"][:MOST]:
        yield Finding("detectors", WARNING, trouble["sentence"], look if trouble["state"] == WARNING else fix)
    if (more := len(found["detectors"]) - MOST) > 0:
        yield Finding("detectors", WARNING, f"and {more} more", f"{command('status', cycle)} --json has them all")
    if not found["detectors"]:
        yield Finding("detectors", OK, "no detector was left out of the files that are there")


def _alike(cycle: CycleFolder) -> Iterator[Finding]:
    """Files that others take for the configuration: simulation flows want the only one that is called so."""
    found = sorted(path for path in cycle.root.glob("*config.*") if not path.name.startswith("."))
    for path in found:
        if path != cycle.config:
            what = f"{path.name} looks like a configuration beside {cycle.config.name}: a simulation refuses the cycle"
            yield Finding("configuration", WARNING, what, "give it another name, or move it away")


def _sources(setup: Setup) -> Iterator[Finding]:
    for name in ("dataflow", "inputs"):
        folder = setup.path(name)
        wanted = snakefile_in(folder) if name == "dataflow" else folder
        if not wanted.exists():
            fix = f"bring it back, or change paths.{name} in {setup.file}"
            yield Finding("configuration", BAD, f"there is no {wanted}", fix)
        else:
            yield Finding("configuration", OK, f"{name}: {provenance_text(provenance(folder), 12)}")


def _software(setup: Setup) -> Iterator[Finding]:
    install = setup.path("install")
    fix = f"dataprod-install-sw {shlex.quote(str(setup.file))}"
    if not os.path.lexists(install / "bin" / "python"):
        yield Finding("software", BAD, f"nothing is installed in {install}", fix)
        return
    said = _try(setup, install / "bin" / "python")
    if said:
        yield Finding("software", BAD, f"the installed software does not work: {said}", fix)
    yield from _of_another(setup, owner) if (owner := owner_of(setup)) else _installed(setup, fix)


def _of_another(setup: Setup, owner: CycleFolder) -> Iterator[Finding]:
    """What is to be said of software that another cycle has installed."""
    wish = ask(setup.cycle, "software", setup.experiment) if setup.ours else None
    if wish:
        fix = f"set paths.install in {setup.file} to a folder of this cycle, and install there"
        yield Finding("software", WARNING, wish["message"], fix)
    else:
        yield Finding("software", OK, f"the software is that of {owner.name}")


def _installed(setup: Setup, fix: str) -> Iterator[Finding]:
    if not lock_of(setup).is_file():
        yield Finding("software", WARNING, f"there is no {lock_of(setup)}: what is installed is unknown", fix)
        return
    try:
        current = is_installed(setup)
    except (UserError, OSError) as error:
        yield Finding("software", BAD, str(error), fix)
        return
    what = "the software is what the configuration asks for"
    wish = ask(setup.cycle, "software", setup.experiment) if setup.ours else None
    other = wish["message"] if wish else "the configuration, the lock or a checkout has changed since it was installed"
    yield Finding("software", OK, what) if current else Finding("software", WARNING, other, fix)


def _compiled(setup: Setup) -> Iterator[Finding]:
    """What the first job of this user will do about compiled code; flows of before do not say."""
    python = setup.path("install") / "bin" / "python"
    if not setup.ours or not os.path.lexists(python):
        return
    words = ["env", f"PYTHONPATH={setup.source}", str(python), "-P", "-m", "dataflow.jobs.compiled"]
    with suppress(OSError, UserError, ValueError, TypeError, IndexError):
        is_ready, what = json.loads(_run(setup, words).stdout.splitlines()[-1])
        yield Finding("software", OK if is_ready else WARNING, what, "" if is_ready else _COMPILES)


def _try(setup: Setup, python: Path) -> str:
    """What the installed interpreter complains about, or an empty text."""
    try:
        done = _run(setup, [str(python), "-P", "-c", _OURS if setup.ours else _ANY])
    except OSError as error:
        return f"cannot run {error.filename}: {error.strerror}"
    except UserError as error:
        return error.message
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return lines[-1] if done.returncode else ""


def _run(setup: Setup, words: list[str]) -> subprocess.CompletedProcess[str]:
    """A program with the software of a cycle, as jobs run it."""
    argv, environ = wrap(setup, words, os.environ)
    return subprocess.run(argv, env=environ, cwd=setup.directory, capture_output=True, text=True, errors="replace")


def _state(cycle: CycleFolder) -> Iterator[Finding]:
    if cycle.interrupted:
        fix = f"{command('run', cycle)} TARGET continues where it stopped"
        yield Finding("state", WARNING, "a run was interrupted: the lock of a dead Snakemake is there", fix)
    if cycle.frozen and not (cycle.root / "frozen" / NAME).is_file():
        yield Finding("state", BAD, "freezing the cycle was interrupted: it has no manifest", command("freeze", cycle))
    if record_of(cycle) and parent_of(cycle) is None:
        yield Finding(
            "state", BAD, f"the cycle that it uses is gone: {record_of(cycle).get('parent')}", "bring it back"
        )
    if is_astray(cycle):
        fix = f"dataprod new {shlex.quote(cycle.name)} --relink"
        what = "is broken since the cycle or its parent was moved:"
        yield from _listed("state", BAD, what, broken_links(cycle), fix)
        return
    fix = "remove the link; the next run makes the file here"
    yield from _listed("state", BAD, "has changed in the cycle that it is used from:", changed_links(cycle), fix)


def _files(cycle: CycleFolder, setup: Setup) -> Iterator[Finding]:
    """Permissions, broken links, and what killed jobs left."""
    unwritable, broken, parts = [], [], []
    astray = set(broken_links(cycle)) if is_astray(cycle) else set()
    for entry in entries_of(cycle.root, (setup.path("install"), setup.path("cache"), setup.path("src"))):
        if entry.link and not Path(entry.path).exists() and entry.name not in astray:
            broken.append(entry.name)
        elif entry.folder and not os.access(entry.path, os.W_OK | os.X_OK) and not cycle.frozen:
            unwritable.append(entry.name)
        elif Path(entry.name).name.startswith(".") and Path(entry.name).stem.endswith(_PART):
            parts.append(entry.name)
    quoted = shlex.quote(str(cycle.root))
    if unwritable and (owner := _other_owner(cycle.root)):
        fix = f"ask the owner for the right to write, or derive: dataprod new CYCLE --from {shlex.quote(cycle.name)}"
        yield Finding("permissions", WARNING, f"the cycle belongs to {owner}; you may read it", fix)
    else:
        fix = f"chmod -R u+rwX {quoted} (as their owner)"
        yield from _listed("permissions", BAD, "you may not write in", unwritable, fix)
    yield from _listed("files", BAD, "a broken link:", broken, "bring back what it leads to, or remove it")
    yield from _listed("files", WARNING, "left behind by a killed job:", parts, f"{command('clean', cycle)} --failed")
    if not (unwritable or broken or parts):
        yield Finding("files", OK, "permissions and links are right, and nothing was left behind")


def _other_owner(folder: Path) -> str:
    """The account that a folder belongs to, if it is not this one and lets this one only read; else an empty text."""
    owner = folder.stat().st_uid
    if owner == os.geteuid() or os.access(folder, os.W_OK | os.X_OK):
        return ""
    return name_of(owner)


def _listed(area: str, state: str, sentence: str, names: list[str], fix: str) -> Iterator[Finding]:
    for name in names[:MOST]:
        yield Finding(area, state, f"{sentence} {name}", fix)
    if len(names) > MOST:
        yield Finding(area, state, f"{sentence} {len(names) - MOST} more", fix)
