"""What a job leaves behind about itself: beside each output, how it was made; see
:mod:`dataflow.provenance.records`."""

from __future__ import annotations

import getpass
import json
import os
import platform
import resource
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from dataflow.base.errors import SentenceError
from dataflow.plan.job import Job
from dataflow.plan.ticket import Ticket
from dataflow.provenance.identity import hashed
from dataflow.provenance.lineage import Files, Lineage
from dataflow.provenance.recipe import digest
from dataflow.provenance.records import FAILED, FOLDER, UNFINISHED, notes_file, recipe_file, record_file
from dataflow.registry.step import DAQ
from dataflow.setup.packages import DISTRIBUTIONS

from .atomic import write_text
from .errors import WorkFailed
from .notes import content_of, taking_notes
from .shares import Share, done_with, only, using
from .stamp import stamping

FORM = 1
TIME = "%Y%m%dT%H%M%SZ"


def recorded(ticket: Ticket, threads: int, work: Callable[[], Mapping[str, Any] | None]) -> None:
    """Do the work of a job, and write down how it went, with what the work returns.

    What was recorded about an output is taken away at the moment at which the new one takes its place: whenever this
    process is killed, a file without a record is made again, and after a failure the earlier output is still there.
    """
    job, files = ticket.job, Files(ticket.job.setup)
    lineage = ticket.made_by(files)
    began = datetime.now(UTC), time.monotonic()
    try:
        with stamping(lineage.hash, _forgetting(job)), taking_notes() as notes, using(ticket.lineage) as shares:
            found = work() or {}
    except Exception as error:
        _record_failure(job, lineage, error)
        raise
    said = content_of(job, notes)
    facts = _facts(job, lineage, threads, *began) | _daq_time(ticket, lineage) | {**found, **said} | together(shares)
    for role, output in job.outputs.items():
        size, sha256 = _content(output)
        if said:
            write_text(notes_file(output, digest(said)), json.dumps(said, indent=1, ensure_ascii=False) + "\n")
        _write(ticket, output, lineage, facts | {"role": role, "size": size, "sha256": sha256})
    files.identities.save()
    done_with(job)
    ticket.done()


def kept(ticket: Ticket, share: Share, threads: int, work: Callable[[], object]) -> None:
    """Do a share of the work of a job, which is kept with what it took; a failure is recorded as that of the job."""
    job, files = ticket.job, Files(ticket.job.setup)
    lineage = ticket.made_by(files)
    start = time.monotonic()
    try:
        with stamping(lineage.hash), only(share, ticket.lineage, lambda: _taken(threads, start)):
            work()
    except Exception as error:
        _record_failure(job, lineage, error)
        raise


def together(shares: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the shares that a job has put together took: seconds in all, memory at most; nothing if there were none."""
    if not shares:
        return {}
    sums = {name: round(sum(share[name] for share in shares), 3) for name in ("seconds", "cpu_seconds")}
    memory = max(share["peak_memory_mb"] for share in shares)
    return {"shares": {"number": len(shares), **sums, "peak_memory_mb": memory}}


def _forgetting(job: Job) -> Callable[[Path], None]:
    """Forgets what is recorded about an output of a job, and nothing about other files."""
    return lambda path: forget(path) if path in job.outputs.values() else None


def _content(output: Path) -> tuple[int, str]:
    """Size and sha256 of an output, by which ``verify`` recognises it."""
    try:
        return output.stat().st_size, hashed(output)
    except FileNotFoundError as error:
        hint = "somebody removed it; run again"
        raise WorkFailed(f"the output {output} disappeared as soon as it was made", hint=hint) from error


def forget(output: Path) -> None:
    """Take away what is recorded about an output, but that it is ours; parts of recipes stay, others may share them."""
    mark = record_file(output, UNFINISHED)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text("{}\n", encoding="utf-8")  # only its name counts
    with suppress(FileNotFoundError):
        for entry in sorted(os.scandir(output.parent / FOLDER), key=lambda entry: entry.name):
            if entry.name.startswith(f"{output.name}.") and entry.name.endswith(".json") and entry.name != mark.name:
                Path(entry.path).unlink(missing_ok=True)


def _facts(job: Job, lineage: Lineage, threads: int, began: datetime, start: float) -> dict[str, Any]:
    return {
        "form": FORM,
        "lineage": lineage.hash,
        "step": job.step,
        "key": str(job.unit),
        "recipe": dict(lineage.recipe.own),
        "inputs": {role: dict(found) for role, found in lineage.inputs.items()},
        "command": [sys.executable, *sys.orig_argv[1:]],
        "host": socket.gethostname(),
        "user": _user(),
        "began": began.strftime(TIME),
        **_taken(threads, start),
        "python": platform.python_version(),
        "software": libraries(),
    }


def _taken(threads: int, start: float) -> dict[str, Any]:
    """Time and memory of this process since it began."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "seconds": round(time.monotonic() - start, 3),
        "cpu_seconds": round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 3),
        "peak_memory_mb": round(max(_own_peak() or own.ru_maxrss, children.ru_maxrss) / 1024),
        "threads": threads,
    }


def _own_peak() -> int:
    """Peak memory of this process in kB; ``ru_maxrss`` also counts what the process was before it became a job."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


def libraries() -> dict[str, str]:
    """The versions of the installed packages that this process has loaded."""
    loaded = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names
    names = sorted({DISTRIBUTIONS.get(name, name) for name in loaded if not name.startswith("_")})
    return {name: version for name in names if (version := _version(name))}


@cache
def _version(name: str) -> str:
    """The version of an installed package, empty if there is none; to look it up takes a millisecond."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _write(ticket: Ticket, output: Path, lineage: Lineage, facts: Mapping[str, Any]) -> None:
    for name in lineage.recipe.parts:
        file = recipe_file(output, name)
        if not file.is_file():
            write_text(file, ticket.text(name) + "\n")
    write_text(record_file(output, lineage.hash), json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    record_file(output, UNFINISHED).unlink(missing_ok=True)


def _record_failure(job: Job, lineage: Lineage, error: Exception) -> None:
    """Write down a failure; where even that fails, the failure itself is what the user must hear of."""
    sentence = error.render() if isinstance(error, SentenceError) else f"{type(error).__name__}: {error}"
    now = datetime.now(UTC).strftime(TIME)
    facts = {"lineage": lineage.hash, "step": job.step, "key": str(job.unit), "time": now, "error": sentence}
    log = os.path.relpath(job.log, job.setup.directory)
    for output in job.outputs.values():
        with suppress(OSError, WorkFailed):
            write_text(record_file(output, FAILED), json.dumps(facts | {"log": log}, indent=1) + "\n")


def _daq_time(ticket: Ticket, lineage: Lineage) -> dict[str, int]:
    """When the DAQ file was changed that was read, by which a later plan recognises it; nothing for all other jobs."""
    known = dict(lineage.recipe.own.get(DAQ) or {})
    if not known:
        return {}
    planned = {name: ticket.daq[name] for name in known}
    if planned == known:
        return {"daq_mtime_ns": ticket.daq["mtime_ns"]}
    return {"daq_mtime_ns": ticket.job.inputs[DAQ][0].stat().st_mtime_ns}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
