"""A production that two users of one group share: really two users, where the tests run as root."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from prodenv.cycles.lock import LOCKS

from ..plan.conftest import KEYS, Tree
from .conftest import Production, two_periods

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="needs root and setpriv to be two users",
)
ANNE, BERND, GROUP = 20001, 20002, 20000
TARGET = "all-l200-p03-r001-*-hit.gen"
HIT = f"generated/tier/hit/phy/p03/r001/{KEYS[5]}-tier_hit.lh5"


@dataclass(frozen=True)
class Shared:
    """A cycle of Anne's in a folder of the group's."""

    production: Production
    homes: Path

    @property
    def root(self) -> Path:
        return self.production.root

    def words(self, user: int, *words: str | Path, umask: str = "002") -> list[str]:
        identity = [f"--reuid={user}", f"--regid={user}", f"--groups={GROUP}"]
        return ["setpriv", *identity, "sh", "-c", f'umask {umask}; exec "$@"', "sh", *map(str, words)]

    def environ(self, user: int, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("USER", "LOGNAME", "XDG_CACHE_HOME")}
        return kept | {"HOME": str(self.homes / str(user)), "PYTHONDONTWRITEBYTECODE": "1"} | more

    def dataprod(self, user: int, verb: str, *words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        command = self.words(user, sys.executable, "-m", "prodenv", verb, self.root, *words)
        return subprocess.run(
            command, env=self.environ(user, **more), cwd=self.homes / str(user), capture_output=True, text=True
        )

    def closed_to_the_group(self) -> list[str]:
        """Files and folders of the cycle that not everybody of the group may write, but for its software."""
        found = []
        for path in [self.root, *sorted(self.root.rglob("*"))]:
            seen = path.lstat()
            if not path.is_symlink() and (seen.st_gid != GROUP or not seen.st_mode & stat.S_IWGRP):
                found.append(str(path.relative_to(self.root)))
        return found


@pytest.fixture
def shared(repository: Path) -> Iterator[Shared]:
    """Not in the folder of the tests, which other runs of them close to all but their user."""
    pytest.importorskip("snakemake")
    with tempfile.TemporaryDirectory(prefix="shared-") as folder:
        top = Path(folder)
        top.chmod(0o755)
        production = two_periods(Tree(top / "group" / "the cycle"), repository)
        for user in (ANNE, BERND):
            (top / str(user)).mkdir(mode=0o700)
            os.chown(top / str(user), user, user)
        _give(production.root.parent)
        found = Shared(production, top)
        if subprocess.run(found.words(ANNE, sys.executable, "-c", "import prodenv, snakemake"), check=False).returncode:
            pytest.skip("other users may not read the software of the tests")
        yield found


def _give(top: Path) -> None:
    """Make all that is below a folder Anne's and the group's; what is new there belongs to the group too."""
    for path in [top, *top.rglob("*")]:
        os.chown(path, ANNE, GROUP, follow_symlinks=False)
        if not path.is_symlink():
            mode = path.stat().st_mode | stat.S_IWGRP
            path.chmod(mode | stat.S_ISGID if path.is_dir() else mode)


def test_two_users_of_a_group_work_on_one_production_in_turn(shared: Shared) -> None:
    first = shared.dataprod(ANNE, "run", TARGET, "-j2")
    assert first.returncode == 0, first.stderr
    assert (shared.root / HIT).stat().st_uid == ANNE
    assert shared.closed_to_the_group() == []
    again = shared.dataprod(BERND, "run", TARGET, "-j2")
    assert (again.returncode, "nothing to be done" in again.stderr) == (0, True), again.stderr
    overrides = shared.root / "inputs/dataprod/overrides/dsp"
    entry = '[{"valid_from": "20230317T000000Z", "apply": ["a.yaml"]}]'
    edit = f"mkdir -p '{overrides}'; cd '{overrides}'; echo 'V02160A: {{pz: {{tau1: 7}}}}' > a.yaml; "
    edit += f"echo '{entry}' > validity.yaml; sed -i '1s/$/ /' '{shared.root}/config.json'"
    subprocess.run(shared.words(BERND, "sh", "-c", edit), check=True)
    other = shared.dataprod(BERND, "run", TARGET, "-j2")
    assert (other.returncode, "tier hit: 2 of 2" in other.stderr) == (0, True), other.stderr
    assert shared.closed_to_the_group() == []
    subprocess.run(shared.words(ANNE, "rm", overrides / "a.yaml", overrides / "validity.yaml"), check=True)
    back = shared.dataprod(ANNE, "run", TARGET, "-j2")
    assert (back.returncode, "tier hit: 2 of 2" in back.stderr) == (0, True), back.stderr
    assert shared.closed_to_the_group() == []


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_lock_of_a_colleagues_living_snakemake_is_not_taken(shared: Shared, *, elsewhere: bool) -> None:
    """Started by hand, in the cycle or from another folder; nothing says who did it but the process itself."""
    words: list[str | Path] = [sys.executable, "-m", "prodenv.running.snakemake", "-j1"]
    if elsewhere:
        words += ["--snakefile", shared.root / "dataflow/Snakefile", f"--configfile={shared.root / 'config.json'}"]
    place = shared.homes / str(ANNE) if elsewhere else shared.root
    by_hand = subprocess.Popen(
        shared.words(ANNE, *words, TARGET), cwd=place, env=shared.environ(ANNE, SLOW="1"), stderr=subprocess.PIPE
    )
    try:
        _until(lambda: any((shared.root / LOCKS).glob("*.lock")))
        refused = shared.dataprod(BERND, "run", TARGET, "-j1")
        assert by_hand.poll() is None, "it still runs"
        named = (f"process {by_hand.pid} on ", "a Snakemake on ")  # the latter where /proc hides processes of others
        assert refused.returncode == 1 and any(name in refused.stderr for name in named), refused.stderr
        assert any((shared.root / LOCKS).glob("*.lock"))
    finally:
        by_hand.terminate()
        by_hand.communicate(timeout=60)
    assert not any((shared.root / LOCKS).glob("*.lock"))
    done = shared.dataprod(BERND, "run", TARGET, "-j2")
    assert done.returncode == 0, done.stderr


def _until(condition: object, seconds: float = 60.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
