"""How the text of a source is understood."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from prodenv.base.errors import UserError
from prodenv.base.sources import Source, content_digest, parse_source, provenance, provenance_text, state

from .conftest import GitRepository, git


@pytest.mark.parametrize(
    ("text", "address", "revision"),
    [
        ("https://host/org/repo.git", "https://host/org/repo.git", ""),
        ("https://host/org/repo.git@v1.2", "https://host/org/repo.git", "v1.2"),
        ("https://host/org/repo@feature/x", "https://host/org/repo", "feature/x"),
        ("https://me@host/org/repo", "https://me@host/org/repo", ""),
        ("https://me:pw@host/org/repo@main", "https://me:pw@host/org/repo", "main"),
        ("ssh://git@host:22/org/repo.git@0a1b2c", "ssh://git@host:22/org/repo.git", "0a1b2c"),
        ("git@host:org/repo.git", "git@host:org/repo.git", ""),
        ("git@host:org/repo.git@v1", "git@host:org/repo.git", "v1"),
        ("file:///a b/repo@v1", "file:///a b/repo", "v1"),
    ],
)
def test_git_addresses(text: str, address: str, revision: str) -> None:
    assert parse_source(text) == Source("git", address, revision)


def test_local_paths(tmp_path: Path) -> None:
    strange = tmp_path / "a@b"
    strange.mkdir()
    assert parse_source(str(strange)) == Source("path", str(strange.resolve()))
    assert parse_source(f"{strange}@v1") == Source("git", str(strange.resolve()), "v1")
    with pytest.raises(UserError, match="there is no folder"):
        parse_source(str(tmp_path / "nothing"))


def test_a_folder_in_a_repository_is_none_of_its_own(git_repository: GitRepository, tmp_path: Path) -> None:
    repository = git_repository("outer", {"cycle/inputs/a.yaml": "1"})
    inputs = repository / "cycle/inputs"
    assert state(inputs) == {}
    assert state(inputs, surrounding=True)["revision"] == git(repository, "rev-parse", "HEAD")
    assert provenance_text(provenance(inputs)) == f"not under version control, content sha256:{content_digest(inputs)}"
    link = tmp_path / "link"
    link.symlink_to(repository)
    assert provenance_text(provenance(link)) == git(repository, "rev-parse", "HEAD")


def test_without_git_a_repository_is_not_called_none(
    git_repository: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = git_repository("metadata", {"a.yaml": "1"})
    monkeypatch.setenv("PATH", "")
    said = provenance_text(provenance(repository))
    expected = f"no git is here to tell the revision, content sha256:{content_digest(repository)}"
    assert said == f"under version control, but {expected}"


def test_changes_of_a_repository_are_told_apart(git_repository: GitRepository) -> None:
    repository = git_repository("metadata", {"a.yaml": "1"})
    revision = git(repository, "rev-parse", "HEAD")
    texts = [provenance_text(provenance(repository), 12)]
    for name, content in (("a.yaml", "2"), ("a.yaml", "3"), ("new.yaml", "1")):
        (repository / name).write_text(content)
        texts.append(provenance_text(provenance(repository), 12))
    assert texts[0] == revision[:12]
    assert len({*texts}) == 4
    assert all(text.startswith(f"{revision[:12]} with changes, content sha256:") for text in texts[1:])


def test_the_content_is_what_sha256sum_says_of_the_files(tmp_path: Path) -> None:
    for name in ("b.yaml", "a/c.yaml", ".git/HEAD", "a/__pycache__/x.pyc", "x.egg-info/PKG-INFO"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    done = subprocess.run(["sha256sum", "a/c.yaml", "b.yaml"], cwd=tmp_path, capture_output=True, check=True)
    before = content_digest(tmp_path)
    assert before == hashlib.sha256(done.stdout).hexdigest()
    os.utime(tmp_path / "b.yaml", (0, 0))
    (tmp_path / ".git/HEAD").write_text("other")
    assert content_digest(tmp_path) == before
    (tmp_path / "link").symlink_to("nowhere")
    linked = content_digest(tmp_path)
    assert linked != before
    (tmp_path / "link").unlink()
    (tmp_path / "b.yaml").rename(tmp_path / "c.yaml")
    assert content_digest(tmp_path) not in (before, linked)
