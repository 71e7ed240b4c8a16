"""``dataprod archive`` and ``dataprod restore``: what comes out is what went in, and a hostile archive does no harm."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prodenv.base.errors import UserError, WorkFailed
from prodenv.cycles import manifest
from prodenv.cycles.archive.read import extract
from prodenv.cycles.archive.write import listing_digest

from ..control.conftest import git
from .conftest import KEYS, Box, Snapshot, place

CAL = KEYS[0]
CONFIG = b'{"experiment": "l200"}'


def archived(box: Box, *words: str) -> Path:
    """A cycle and its archive."""
    tree = box.cycle()
    (tree.root / "dataflow").unlink()
    without = shutil.ignore_patterns("__pycache__")  # archives have no byte code
    shutil.copytree(box.env.root / "dataflow", tree.root / "dataflow", ignore=without)
    box.ok("archive", "cycles/v01", box.env.root / "v01.tar", *words)
    return tree.root


def test_what_comes_out_is_what_went_in(box: Box, snapshot: Snapshot) -> None:
    root = archived(box)
    (root / "inputs").rename(box.env.root / "gone")  # the copy must not need the original
    (box.env.root / "gone").rename(root / "inputs")
    box.ok("restore", box.env.root / "v01.tar", "cycles/v02")
    before, after = snapshot(root), snapshot(box.env.root / "cycles/v02")
    without_software = {name: seen for name, seen in before.items() if not name.startswith("software/python/install")}
    assert after == without_software
    times = [
        {p.name: p.stat().st_mtime_ns for p in (r / "generated").rglob("*.lh5")} for r in (root, root.parent / "v02")
    ]
    assert times[0] == times[1]


def test_a_restored_cycle_verifies_against_the_manifest_of_the_frozen_one(box: Box) -> None:
    root = box.cycle().root
    box.ok("freeze", "cycles/v01")
    box.ok("archive", "cycles/v01", box.env.root / "v01.tar", "--follow")
    assert "frozen" not in {path.name for path in restored(box, "cycles/v02").iterdir()}  # dataflow was a link
    box.ok("freeze", "cycles/v01", "--thaw")
    (root / "dataflow").unlink()
    shutil.copytree(box.env.root / "dataflow", root / "dataflow")
    box.ok("freeze", "cycles/v01")
    (box.env.root / "v01.tar").unlink()
    box.ok("archive", "cycles/v01", box.env.root / "v01.tar")
    again = restored(box, "cycles/v03")
    shutil.copytree(root / "software/python/install", again / "software/python/install")
    assert {check["what"] for check in box.json("verify", "cycles/v03")["checks"]} >= {"manifest"}


def restored(box: Box, name: str) -> Path:
    box.ok("restore", box.env.root / "v01.tar", name)
    return box.env.root / name


def test_links_inside_stay_and_links_out_are_refused_or_followed(box: Box, tmp_path: Path) -> None:
    tree = box.cycle()
    hit, dsp = place(tree, "tier", "hit", CAL), place(tree, "tier", "dsp", CAL)
    hit.unlink()
    hit.symlink_to(os.path.relpath(dsp, hit.parent))
    (tmp_path / "outside.yaml").write_text("mine: 1")
    (tree.root / "inputs/link.yaml").symlink_to(tmp_path / "outside.yaml")
    done = box.dataprod("archive", "cycles/v01", box.env.root / "v01.tar")
    assert done.returncode == 2
    assert "is a link out of the cycle" in done.stderr
    assert "--follow" in done.stderr
    box.ok("archive", "cycles/v01", box.env.root / "v01.tar", "--follow")
    again = restored(box, "cycles/v02")
    assert (again / hit.relative_to(tree.root)).is_symlink()
    assert (again / hit.relative_to(tree.root)).read_bytes() == dsp.read_bytes()
    assert not (again / "inputs/link.yaml").is_symlink()
    assert (again / "inputs/link.yaml").read_text() == "mine: 1"
    assert (again / "dataflow/Snakefile").is_file()


def test_the_history_of_checkouts_comes_along_without_what_makes_git_run_programs(box: Box) -> None:
    tree = box.cycle()
    inputs = tree.root / "inputs"
    git(inputs, "init", "--quiet", "--initial-branch=main")
    git(inputs, "remote", "add", "origin", "https://example.org/metadata.git")
    git(inputs, "add", "--all")
    git(inputs, "-c", "user.name=T", "-c", "user.email=t@t", "commit", "--quiet", "-m", "one")
    git(inputs, "config", "core.fsmonitor", "touch pwned")
    (inputs / ".git/hooks/pre-commit").write_text("#!/bin/sh\n")
    box.ok("archive", "cycles/v01", box.env.root / "v01.tar", "--follow")
    again = restored(box, "cycles/v02") / "inputs"
    assert git(again, "rev-parse", "HEAD") == git(inputs, "rev-parse", "HEAD")
    assert git(again, "config", "remote.origin.url") == "https://example.org/metadata.git"
    assert git(again, "status", "--porcelain") == ""
    assert "fsmonitor" not in (again / ".git/config").read_text()
    assert not (again / ".git/hooks").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("archive", "cycles/v01", "{}/v01.tar"), "exists already"),
        (("archive", "cycles/v01", "{}/cycles/v01/x.tar"), "lies in the cycle itself"),
        (("archive", "cycles/v01", "{}/nowhere/x.tar"), "there is no folder"),
        (("restore", "{}/v01.tar", "cycles/v01"), "exists already"),
        (("restore", "{}/v01.tar", "../out"), "is not inside the production environment"),
        (("restore", "{}/nothing.tar", "cycles/v02"), "there is no file"),
        (("restore", "{}/setup.sh", "cycles/v02"), "is not an archive"),
    ],
)
def test_slips_are_answered_with_a_sentence(box: Box, words: tuple[str, ...], sentence: str) -> None:
    archived(box)
    done = box.dataprod(*(word.format(box.env.root) for word in words))
    assert done.returncode == 2
    assert sentence in done.stderr
    assert sorted(path.name for path in (box.env.root / "cycles").iterdir()) == ["v01"]


def test_dry_runs_change_nothing(box: Box, snapshot: Snapshot) -> None:
    archived(box)
    before = snapshot(box.env.root / "cycles")
    assert "would write" in box.ok("archive", "cycles/v01", box.env.root / "v02.tar", "--dry-run")
    assert "would restore cycles/v01" in box.ok("restore", box.env.root / "v01.tar", "cycles/v02", "--dry-run")
    assert snapshot(box.env.root / "cycles") == before
    assert not (box.env.root / "v02.tar").exists()


@pytest.mark.parametrize("where", [0.02, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", ["flipped", "cut"])
def test_a_damaged_archive_leaves_nothing(box: Box, snapshot: Snapshot, where: float, kind: str) -> None:
    root = archived(box)
    path = box.env.root / "v01.tar"
    content = bytearray(path.read_bytes())
    position = int(len(content) * where)
    content[position : position + 512] = bytes(255 - byte for byte in content[position : position + 512])
    path.write_bytes(content if kind == "flipped" else content[:position])
    done = box.dataprod("restore", path, "cycles/v02")
    if done.returncode == 0:  # only what fills the tar file up to its blocks was hit
        shutil.rmtree(root / "software/python/install")
        assert snapshot(box.env.root / "cycles/v02") == snapshot(root)
        return
    assert done.stderr.rstrip().splitlines()[-2].startswith("error: ")
    assert [entry.name for entry in (box.env.root / "cycles").iterdir()] == ["v01"]


@pytest.mark.parametrize("change", [b" mtime=1", b" mtime=2"])
def test_changed_times_are_noticed(tmp_path: Path, change: bytes) -> None:
    root = tmp_path / "cycle"
    root.mkdir()
    path = forged(tmp_path / "x.tar", ("cycle/a", b"x", lambda info: info.pax_headers.update(mtime="1.5")))
    path.write_bytes(path.read_bytes().replace(b" mtime=1", change))
    if change == b" mtime=1":
        extract(path, root)
        assert (root / "a").stat().st_mtime == 1.5
    else:
        with pytest.raises(WorkFailed, match="listing is not what the manifest says"):
            extract(path, root)


Change = Callable[[tarfile.TarInfo], object]
Item = tuple[str, bytes | str | None, Change | None]


def member(name: str, content: bytes | str | None, change: Change | None = None) -> tuple[tarfile.TarInfo, bytes]:
    """A file (bytes), a link (text) or a folder (None)."""
    info = tarfile.TarInfo(name)
    if content is None:
        info.type = tarfile.DIRTYPE
    elif isinstance(content, str):
        info.type, info.linkname = tarfile.SYMTYPE, content
    else:
        info.size = len(content)
    if change:
        change(info)
    return info, content if isinstance(content, bytes) else b""


def forged(path: Path, *items: Item, after: tuple[Item, ...] = (), **header: Any) -> Path:
    """An archive with a right header and manifest around whatever is in it."""
    links = {name.removeprefix("cycle/"): content for name, content, _ in items if isinstance(content, str)}
    about = json.dumps({"form": 1, "bytes": 0, "files": 1, "links": links} | header).encode()
    before: list[Item] = [
        ("dataprod-archive.json", about, None),
        ("cycle", None, None),
        ("cycle/config.json", CONFIG, None),
    ]
    everything: list[Item] = [*before, ("cycle/generated", None, None), *items]
    hashes = {
        name: hashlib.sha256(content).hexdigest() for name, content, _ in everything if isinstance(content, bytes)
    }
    hashes["listing"] = listing_digest(listed(everything))
    end = ("manifest.sha256", manifest.text_of(hashes).encode(), None)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for item in (*everything, end, *after):
            info, content = member(*item)
            tar.addfile(info, io.BytesIO(content))
    return path


def of_type(kind: bytes, link: str = "") -> Change:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = kind, link

    return change


def listed(items: list[Item]) -> dict[str, tuple[int, int]]:
    """Permissions and times of files and folders."""
    infos = [member(*item)[0] for item in items]
    return {
        info.name.removeprefix("cycle/"): (
            info.mode & 0o777,
            int(float(info.pax_headers.get("mtime", info.mtime)) * 10**9),
        )
        for info in infos
        if info.name.startswith("cycle/") and not info.issym()
    }


HOSTILE: dict[str, tuple[Item, ...]] = {
    "absolute": (("/tmp/pwned", b"x", None),),  # noqa: S108
    "parent": (("cycle/../../pwned", b"x", None),),
    "inner parent": (("cycle/generated/../../../pwned", b"x", None),),
    "beside": (("pwned", b"x", None),),
    "dot": (("cycle/./pwned", b"x", None),),
    "empty part": (("cycle//pwned", b"x", None),),
    "absolute link": (("cycle/l", "/etc", None),),
    "link up": (("cycle/l", "..", None),),
    "deep link up": (("cycle/generated/l", "../../pwned", None),),
    "link up and down": (("cycle/l", "generated/../../pwned", None),),
    "through a link": (("cycle/l", "generated", None), ("cycle/l/pwned", b"x", None)),
    "link over a file": (("cycle/a", b"x", None), ("cycle/a", "generated", None)),
    "file over a link": (("cycle/a", "generated/b", None), ("cycle/a", b"x", None)),
    "link over a folder": (("cycle/d", None, None), ("cycle/d", "..", None), ("cycle/d/pwned", b"x", None)),
    "link by a link": (
        ("cycle/generated/a", None, None), ("cycle/generated/a/root", "../..", None),
        ("cycle/generated/a/out", "root/../pwned", None),
    ),
    "folder that is not there": (("cycle/nowhere/pwned", b"x", None),),
    "hard link": (("cycle/h", b"", of_type(tarfile.LNKTYPE, "/etc/passwd")),),
    "device": (("cycle/dev", b"", of_type(tarfile.CHRTYPE)),),
    "block device": (("cycle/dev", b"", of_type(tarfile.BLKTYPE)),),
    "pipe": (("cycle/pipe", b"", of_type(tarfile.FIFOTYPE)),),
    "unknown": (("cycle/x", b"", of_type(b"Z")),),
    "git configuration": (("cycle/.git", None, None), ("cycle/.git/config", b"[core]\nfsmonitor=touch pwned", None)),
    "git hook": (("cycle/.git", None, None), ("cycle/.git/hooks", None, None)),
    "git elsewhere": (("cycle/.git", b"gitdir: /tmp/evil", None),),
    "git attributes": (
        ("cycle/.git", None, None), ("cycle/.git/info", None, None), ("cycle/.git/info/attributes", b"* filter=x", None)
    ),
    "bare repository": (
        ("cycle/HEAD", b"ref: refs/heads/main", None), ("cycle/objects", None, None), ("cycle/refs", None, None),
        ("cycle/config", b"[core]\nfsmonitor=touch pwned", None),
    ),
}  # fmt: skip


def everything_but(root: Path) -> set[str]:
    return {str(path) for path in root.parent.rglob("*") if not path.is_relative_to(root)}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_members_are_refused_and_do_nothing_outside(tmp_path: Path, name: str) -> None:
    path, root = forged(tmp_path / "evil.tar", *HOSTILE[name]), tmp_path / "in" / "cycle"
    root.mkdir(parents=True)
    before = everything_but(root)
    with pytest.raises(UserError):
        extract(path, root)
    assert everything_but(root) == before
    assert not Path("/tmp/pwned").exists()  # noqa: S108


def test_a_hostile_archive_leaves_nothing_in_the_environment(box: Box) -> None:
    path = forged(box.env.root / "evil.tar", ("cycle/l", "..", None))
    done = box.dataprod("restore", path, "cycles/v02")
    assert done.returncode == 2
    assert "is a link out of the cycle" in done.stderr
    assert not (box.env.root / "cycles").exists()


@pytest.mark.parametrize(
    ("header", "after", "sentence"),
    [
        ({"bytes": 10**18}, (), "more than is free on the disk of"),
        ({"form": 99}, (), "not an archive of form 1"),
        ({"links": {"config.json": "x"}}, (), "links are not those of the header"),
        ({"bytes": "many"}, (), "is not complete"),
        ({}, (("cycle/late", b"x", None),), "comes after the manifest"),
    ],
)
def test_forged_books_are_refused(tmp_path: Path, header: Any, after: tuple[Item, ...], sentence: str) -> None:
    root = tmp_path / "cycle"
    root.mkdir()
    with pytest.raises(UserError, match=sentence):
        extract(forged(tmp_path / "x.tar", after=after, **header), root)


def test_permissions_of_others_and_set_user_ids_do_not_come_along(tmp_path: Path) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.mode, info.uid, info.mtime = 0o6755, 4242, 5

    root = tmp_path / "cycle"
    root.mkdir()
    extract(forged(tmp_path / "x.tar", ("cycle/run", b"x", change), ("cycle/generated/l", "../run", None)), root)
    found = (root / "run").stat()
    assert (found.st_mode & 0o7777, found.st_uid, found.st_mtime) == (0o755, os.getuid(), 5)
    assert (root / "generated/l").read_bytes() == b"x"


def test_an_archive_without_a_cycle_is_refused(box: Box) -> None:
    path = box.env.root / "x.tar"
    with tarfile.open(path, "w") as tar:
        for item in (("dataprod-archive.json", b'{"form": 1, "bytes": 0, "links": {}}', None), ("cycle", None, None)):
            info, content = member(*item)
            tar.addfile(info, io.BytesIO(content))
    done = box.dataprod("restore", path, "cycles/v02")
    assert (done.returncode, "ends before its manifest" in done.stderr) == (1, True)
