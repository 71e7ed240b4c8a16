"""How the text of a source is understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodenv.errors import UserError
from prodenv.sources import Source, parse_source


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
