"""A real SLURM on this machine: one controller, several nodes that are daemons of their own, all on 127.0.0.1.

Its state is in one folder, and what was started is ended by its process id. The programs come from Debian's packages,
which are installed where this is root; only ``/etc/slurm/slurm.conf``, where Snakemake's executor looks for it, is
outside of the folder, as a link that goes away at the end.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

PACKAGES = ("slurm-wlm", "munge")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue")
CONF = Path("/etc/slurm/slurm.conf")
FOLDER = "slurm-"
"""How the names of folders begin that have a SLURM of a test."""
NODES = ("n1", "n2")
PARTITION = "prod"
INSTALLING, STARTING = 400, 60
"""Seconds that an installation and a start may take."""

_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=12
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
MpiDefault=none
ReturnToService=2
SlurmdTimeout=6
KillWait=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=1
{nodes}
PartitionName={partition} Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def reason_without() -> str:
    """Why there can be no SLURM here, empty if there can."""
    if os.geteuid() != 0:
        return "a SLURM of one's own needs root"
    if (CONF.exists() or CONF.is_symlink()) and not _is_leftover():
        return f"{CONF} is there: this machine has a SLURM already"
    return "" if _has_programs() else _install()


def _has_programs() -> bool:
    return all(map(shutil.which, PROGRAMS))


def _is_leftover() -> bool:
    """Whether the configuration is a link of a test that was killed."""
    if not CONF.is_symlink() or not CONF.readlink().parent.name.startswith(FOLDER):
        return False
    try:
        os.kill(int((CONF.readlink().parent / "slurmctld.pid").read_text()), 0)
    except (OSError, ValueError):
        return True
    return False


def _install() -> str:
    """Install the packages; why that was not possible, empty if it was."""
    if not shutil.which("apt-get"):
        return f"there is no {', '.join(PROGRAMS)}, and no apt-get to install {' '.join(PACKAGES)} with"
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    short = ["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=20"]  # without a network it is soon known
    for words in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        try:
            subprocess.run(
                ["apt-get", "-q", *short, *words], env=environ, capture_output=True, check=True, timeout=INSTALLING
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            return f"{' '.join(PACKAGES)} cannot be installed: {error}"
    return "" if _has_programs() else f"{' '.join(PACKAGES)} are installed without {', '.join(PROGRAMS)}"


class Slurm:
    """A running SLURM.

    Parameters
    ----------
    folder
        Where its state is; sockets lie in it, so its name must be short.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start all daemons, and wait for the nodes."""
        self._write()
        munge = [f"--key-file={self.folder}/munge.key", f"--socket={self.folder}/munge.socket"]
        files = [f"--pid-file={self.folder}/munged.pid", f"--log-file={self.folder}/munged.log"]
        self._spawn("munged", "munged", "--foreground", "--force", *munge, *files, f"--seed-file={self.folder}/seed")
        _wait(lambda: (self.folder / "munge.socket").exists(), "munged")
        self._spawn("slurmctld", "slurmctld", "-D")
        for node in NODES:
            self.start_node(node)
        _wait(lambda: self._states().count("idle") == len(NODES), "the nodes")

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        (self.folder / f"spool-{node}").mkdir(exist_ok=True)
        self._spawn(node, "slurmd", "-D", "-N", node)

    def kill_node(self, node: str) -> None:
        """End the daemon of a node and all that runs on it, as when its power fails."""
        daemon = self._children.pop(node)
        steps = _descendants(daemon.pid) | self._steps(node)
        for pid in (daemon.pid, *steps):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        daemon.wait()
        _output(
            "scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=killed"
        )  # SLURM's own look takes a while

    def _steps(self, node: str) -> set[int]:
        """The processes of jobs on a node: their daemons are children of nobody."""
        found = set()
        for file in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if f"SLURMD_NODENAME={node}".encode() in file.read_bytes().split(b"\0"):
                    found.add(int(file.parent.name))
        return found | {parent for pid in found if (parent := _stepd_of(pid))}

    def jobs(self, form: str = "%i %T") -> list[str]:
        """What the queue says of all jobs, also of those that have ended."""
        return _output("squeue", "--noheader", "--states=all", f"--format={form}").splitlines()

    def stop(self) -> None:
        """End all daemons."""
        with contextlib.suppress(subprocess.SubprocessError):
            _output("scancel", "--user=root")
        for child in reversed(self._children.values()):
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if CONF.is_symlink() and CONF.readlink() == self.folder / CONF.name:
            CONF.unlink()

    def _write(self) -> None:
        (self.folder / "state").mkdir(parents=True)
        key = self.folder / "munge.key"
        key.touch(0o400)
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        ports = _free_ports(1 + len(NODES))
        host = socket.gethostname().partition(".")[0]
        each = "CPUs=8 RealMemory=8000"
        at = f"NodeHostname={host} NodeAddr=127.0.0.1"
        nodes = [f"NodeName={node} {at} Port={port} {each}" for node, port in zip(NODES, ports[1:], strict=True)]
        facts = {"host": host, "controller": ports[0], "folder": self.folder, "partition": PARTITION}
        filled = _CONF.format(nodes="\n".join(nodes), **facts)
        (self.folder / CONF.name).write_text(filled)
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        CONF.parent.mkdir(parents=True, exist_ok=True)
        CONF.unlink(missing_ok=True)
        CONF.symlink_to(self.folder / CONF.name)

    def _spawn(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as output:
            self._children[name] = subprocess.Popen(words, stdout=output, stderr=output, stdin=subprocess.DEVNULL)

    def _states(self) -> list[str]:
        return _output("sinfo", "--noheader", "--Node", "--format=%T").split()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Slurm]:
    """A SLURM that lasts as long as the block."""
    slurm = Slurm(folder)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()


def _output(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout if done.returncode == 0 else ""


def _wait(is_there: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + STARTING
    while not is_there():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not there after {STARTING} s")
        time.sleep(0.1)


def _free_ports(number: int) -> Sequence[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, file.read_text().split()):
                found |= {child} | _descendants(child)
    return found


def _stepd_of(pid: int) -> int:
    """The ``slurmstepd`` above a process, 0 if there is none."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        while pid > 1:
            text = Path(f"/proc/{pid}/stat").read_text()
            if "(slurmstepd" in text:
                return pid
            pid = int(text.rpartition(")")[2].split()[1])
    return 0
