"""A run on a cluster: what its profile asks for, jobs that an earlier run left behind, and the queue.

Snakemake and its executor do the work; see ``dataflow/profiles`` of a cycle and ``docs/clusters.md``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from prodenv.base.errors import UserError, WorkFailed
from prodenv.base.notes import step

LOCAL = ("", "local", "dryrun", "touch")
"""Executors whose jobs run on this host."""
SLURM = "slurm"
PREFIX = "dataprod"
PATIENCE, PAUSE = 60.0, 0.5
"""Seconds in which cancelled jobs end, and between two looks."""
SECONDS = 30
"""Seconds that a question to the cluster may take."""


@dataclass(frozen=True)
class Profile:
    """A folder with options for Snakemake.

    Parameters
    ----------
    folder
        Where its ``config.yaml`` is.
    executor
        Snakemake's executor that it names, empty for this host.
    snakefile
        The Snakefile that it names, relative to the cycle; empty for that of the flow.
    """

    folder: Path
    executor: str = ""
    snakefile: str = ""

    @property
    def is_remote(self) -> bool:
        """Whether jobs run elsewhere."""
        return self.executor not in LOCAL


def profile_of(name: str, shipped: Path) -> Profile:
    """The profile with a name in a folder of profiles, or the folder that a path names.

    Raises
    ------
    UserError
        If there is none, or if it cannot be read.
    """
    folder = Path(name).absolute() if "/" in name else shipped / name
    if not (folder / "config.yaml").is_file():
        names = sorted(path.name for path in shipped.iterdir()) if shipped.is_dir() else []
        hint = (
            f"in {shipped} there are: {', '.join(names) or 'none'}; a path to a folder with a config.yaml will do too"
        )
        raise UserError(f"there is no profile {name!r}", hint=hint)
    content = _content(folder / "config.yaml")
    return Profile(folder, str(content.get("executor") or ""), str(content.get("snakefile") or ""))


def _content(file: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not YAML: {' '.join(str(error).split())}", hint="correct it") from error
    if content is not None and not isinstance(content, dict):
        raise UserError(f"{file} has no options", hint="it has lines such as 'jobs: 100'")
    return content or {}


def require_engine(profile: Profile) -> None:
    """Refuse a profile whose executor Snakemake lacks, or whose cluster cannot be reached from here.

    Raises
    ------
    UserError
        It says what to install, or where to go.
    """
    if not profile.is_remote:
        return
    package = f"snakemake_executor_plugin_{profile.executor.replace('-', '_')}"
    if importlib.util.find_spec(package) is None:
        hint = "run prodenv-tools --clusters"
        raise UserError(f"Snakemake's executor {profile.executor!r} is not installed in the tools", hint=hint)
    if profile.executor == SLURM and not shutil.which("sbatch"):
        raise UserError("there is no sbatch on this host", hint="run on a host from which SLURM's jobs are submitted")


def options(profile: Profile, cycle: Path, jobs: int) -> list[str]:
    """Options for Snakemake with a profile; `jobs` at a time where it is not 0, of a cluster's jobs, or cores."""
    words = [f"--workflow-profile={profile.folder}"]
    if profile.is_remote and jobs:
        words.append(f"--jobs={jobs}")
    if profile.executor == SLURM:
        words.append(f"--slurm-jobname-prefix={job_prefix(cycle)}")
        if not _keeps_accounts():
            words.append("--slurm-status-command=squeue")
    return words


def job_prefix(cycle: Path) -> str:
    """The beginning of the names of a cycle's jobs, by which those of earlier runs are found again."""
    return f"{PREFIX}-{hashlib.sha256(str(cycle.resolve()).encode()).hexdigest()[:12]}"


def _keeps_accounts() -> bool:
    """Whether SLURM remembers jobs that have ended; ``sacct`` is there even where it does not."""
    for line in (_ask("scontrol", "show", "config") or "").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "AccountingStorageType":
            return value.strip() not in ("(null)", "", "accounting_storage/none")
    return True


@dataclass(frozen=True)
class Queued:
    """A job in the queue: number, state, the nodes that it has, else why it waits."""

    number: str
    state: str
    where: str


def queue(cycle: Path) -> list[Queued]:
    """The jobs of a cycle that SLURM has, of this run or an earlier one.

    Raises
    ------
    WorkFailed
        If SLURM does not say.
    """
    name = job_prefix(cycle)
    printed = _ask("squeue", f"--user={os.getuid()}", "--noheader", "--format=%i|%j|%T|%R")
    if printed is None:
        raise WorkFailed("SLURM does not answer", hint="squeue tells more; run again when it is back")
    rows = [line.split("|", 3) for line in printed.splitlines()]
    return [Queued(row[0], row[2], row[3].strip("()")) for row in rows if len(row) == 4 and row[1].startswith(name)]


def in_words(jobs: Sequence[Queued]) -> str:
    """A queue in words: ``2 on n1, n2; 5 waiting (Resources)``; empty where it is."""
    running = [job for job in jobs if job.state == "RUNNING"]
    waiting = [job for job in jobs if job.state == "PENDING"]
    others = Counter(job.state.lower() for job in jobs if job not in running and job not in waiting)
    nodes = sorted({job.where for job in running})
    where = ", ".join(nodes) if len(nodes) <= 4 else f"{len(nodes)} nodes"
    why = ", ".join(sorted({job.where for job in waiting} - {"None", ""}))
    parts = [f"{len(running)} on {where}"] if running else []
    parts += [f"{len(waiting)} waiting" + (f" ({why})" if why else "")] if waiting else []
    return "; ".join([*parts, *(f"{number} {state}" for state, number in sorted(others.items()))])


def cancel_leftovers(cycle: Path) -> None:
    """End the jobs that an earlier run of this cycle left in the queue, for they would write what this one writes.

    Raises
    ------
    WorkFailed
        If they do not end, or SLURM does not say which there are.
    """
    left = queue(cycle)
    if not left:
        return
    jobs = f"{len(left)} SLURM job{'s' if len(left) > 1 else ''}"
    with step(f"cancelling {jobs} that an earlier run left behind"):
        _ask("scancel", *(job.number for job in left))
        until = time.monotonic() + PATIENCE
        while left := queue(cycle):
            if time.monotonic() > until:
                numbers = ", ".join(job.number for job in left[:5])
                raise WorkFailed(f"SLURM jobs of an earlier run do not end: {numbers}", hint="see squeue and scancel")
            time.sleep(PAUSE)


def _ask(*words: str) -> str | None:
    """What a program of SLURM prints; None if it fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
