"""Who works on a cycle: written down with host and process, so that a dead one's lock is not a riddle.

Snakemake locks the files of a run below ``.snakemake/locks`` and says nothing about who did it. The record beside them
does; :func:`holder_of` also finds a Snakemake that was started by hand in the cycle on this host.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from prodenv.base.errors import WorkFailed
from prodenv.base.files import write_text
from prodenv.base.notes import step

RECORD = Path(".snakemake") / "holder.json"
LOCKS = Path(".snakemake") / "locks"
BEGINNING = Path(".snakemake") / "holder.lock"
"""Locked by the system while a ``dataprod run`` lives: of two that begin at once, one is refused."""
PROC = Path("/proc")
PAUSE = 0.1
_HOST = re.compile(r"  Host: (\S+)$")


@dataclass(frozen=True)
class Holder:
    """A process that works on a cycle.

    Parameters
    ----------
    host, boot
        The machine, and which of its starts (process numbers begin again with each).
    pid, began
        The process, and when it began in clock ticks since the machine's start (numbers are used again).
    since
        When it took the cycle, UTC.
    front, front_began
        The ``dataprod run`` that started it, and when that began.
    """

    host: str
    boot: str
    pid: int
    began: int
    since: str = ""
    front: int = 0
    front_began: int = 0

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.host == socket.gethostname()

    @property
    def lives(self) -> bool:
        """Whether it still runs; a process of another machine is believed to."""
        if not self.is_here:
            return True
        return self.boot == boot_id() and 0 < _began(self.pid) == self.began

    @property
    def is_orphan(self) -> bool:
        """Whether it runs on this machine, and the ``dataprod run`` that started it does not any more."""
        return self.is_here and self.lives and self.front > 0 and _began(self.front) != self.front_began


def boot_id() -> str:
    """What names this start of the machine; empty where the system does not tell."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _began(pid: int) -> int:
    """When a process began, in clock ticks; 0 if it is gone or a zombie."""
    try:
        fields = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def record(cycle: Path, pid: int) -> None:
    """Write down that a process works on the cycle, started by this one."""
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    front = os.getpid()
    who = Holder(socket.gethostname(), boot_id(), pid, _began(pid), now, front, _began(front))
    write_text(cycle / RECORD, json.dumps(asdict(who)) + "\n")


def forget(cycle: Path, pid: int) -> None:
    """Take the record of a process back, if it is still its own."""
    who = recorded(cycle)
    if who and who.pid == pid:
        (cycle / RECORD).unlink(missing_ok=True)


def recorded(cycle: Path) -> Holder | None:
    """The process that is written down, None if there is none or the record is damaged."""
    try:
        return Holder(**json.loads((cycle / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def holder_of(cycle: Path) -> Holder | None:
    """The living process that works on a cycle, as far as can be known; that of another host is believed to live."""
    who = recorded(cycle)
    if who and who.lives:
        return who
    if not is_locked(cycle):
        return None
    host = _host_of_last_run(cycle)  # also where a record is there: it may be older than a run by hand elsewhere
    return Holder(host, "", 0, 0) if host not in ("", socket.gethostname()) else _unrecorded(cycle)


@contextlib.contextmanager
def taken(cycle: Path) -> Iterator[None]:
    """Have a cycle for oneself; what a dead holder left behind is taken away.

    Raises
    ------
    WorkFailed
        If somebody works on it.
    """
    file = cycle / BEGINNING
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            refuse_living(cycle)
            raise WorkFailed(f"another run of {cycle} has just begun", hint="wait until it is done") from None
        except OSError:  # a file system without locks: what is recorded must do
            pass
        refuse_living(cycle)
        repair(cycle)
        yield


def _wait_for(who: Holder, seconds: float = 60.0) -> None:
    """Wait until a Snakemake is gone whose ``dataprod run`` was killed: it has been interrupted and stops its jobs."""
    with step(f"waiting for process {who.pid}, left behind by a run that was killed, to stop"):
        deadline = time.monotonic() + seconds
        while who.lives and time.monotonic() < deadline:
            time.sleep(PAUSE)


def refuse_living(cycle: Path) -> None:
    """Refuse to work on a cycle that somebody works on; what a killed run left behind is waited for.

    Raises
    ------
    WorkFailed
        It names the process.
    """
    who = holder_of(cycle)
    if who and who.is_orphan:
        _wait_for(who)
        who = holder_of(cycle)
    if who is None:
        return
    name = f"process {who.pid} on {who.host}" if who.pid else f"a Snakemake on {who.host}"
    since = f" since {who.since}" if who.since else ""
    what = RECORD if who.pid else LOCKS
    where = "" if who.is_here and who.pid else f"; if that one is dead, delete {cycle / what}"
    raise WorkFailed(f"{name} works on {cycle}{since}", hint=f"wait until it is done, or stop it{where}")


def repair(cycle: Path) -> None:
    """Take away the lock that a dead holder left behind; call :func:`refuse_living` before."""
    (cycle / RECORD).unlink(missing_ok=True)
    if is_locked(cycle):
        shutil.rmtree(cycle / LOCKS)


def is_locked(cycle: Path) -> bool:
    """Whether Snakemake would refuse to run."""
    try:
        return any(path.suffix == ".lock" for path in (cycle / LOCKS).iterdir())
    except FileNotFoundError:
        return False


def _host_of_last_run(cycle: Path) -> str:
    """The machine on which Snakemake ran last, by its own log; empty if that does not tell."""
    logs = sorted((cycle / ".snakemake" / "log").glob("*.snakemake.log"))
    if not logs:
        return ""
    with logs[-1].open(encoding="utf-8", errors="replace") as stream:
        found = (_HOST.match(line) for line in itertools.islice(stream, 40))
        return next((match[1] for match in found if match), "")


def _unrecorded(cycle: Path) -> Holder | None:
    """A Snakemake of this host that was started by hand: it stands in the folder of the cycle."""
    if not PROC.is_dir() or not is_locked(cycle):
        return None
    here, owners = os.path.realpath(cycle), _owners(cycle)
    processes = [entry for entry in PROC.iterdir() if entry.name.isdigit() and int(entry.name) != os.getpid()]
    numbers = [int(entry.name) for entry in processes if _is_of(entry, owners) and _is_snakemake_in(entry, here)]
    began = sorted((_began(number), number) for number in numbers)
    for time_of, number in began:  # the first one has started those of its jobs
        if time_of:
            return Holder(socket.gethostname(), boot_id(), number, time_of)
    return Holder(socket.gethostname(), "", 0, 0) if _hides_others() and owners - {os.geteuid()} else None


def _hides_others() -> bool:
    """Whether the system shows a user no processes of others (``hidepid``): the first one belongs to root."""
    try:
        (PROC / "1" / "cmdline").read_bytes()
    except OSError:
        return True
    return False


def _owners(cycle: Path) -> frozenset[int]:
    """Who has locked the cycle."""
    found = set()
    for path in (cycle / LOCKS).glob("*.lock"):
        with contextlib.suppress(OSError):  # it is gone
            found.add(path.stat().st_uid)
    return frozenset(found)


def _is_of(process: Path, users: frozenset[int]) -> bool:
    """Whether a process is that of one of some users."""
    try:
        return process.stat().st_uid in users
    except OSError:
        return False


def _is_snakemake_in(process: Path, folder: str) -> bool:
    """Whether a process is a Snakemake in a folder; that of another user hides its folder, but not its words."""
    try:
        words = [os.fsdecode(word) for word in (process / "cmdline").read_bytes().split(b"\0")]
    except OSError:
        return False
    if not any("snakemake" in word for word in words[:4]):
        return False
    try:
        return str((process / "cwd").readlink()) == folder
    except PermissionError:
        return _may_work_in(words, folder)
    except OSError:
        return False


def _may_work_in(words: Sequence[str], folder: str) -> bool:
    """Whether the words of a Snakemake name no configuration of another folder."""
    values = [
        word.partition("=")[2] or after for word, after in pairwise([*words, ""]) if word.startswith("--configfile")
    ]
    return all(os.path.realpath(Path(value).parent) == folder for value in values if Path(value).is_absolute())
