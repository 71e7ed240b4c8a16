"""Every key that a published release ships is accepted: the configurations of all tags, where the flows are here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dataflow.setup.config import read_config

from ..control.conftest import git

NAMES = ("dataflow-config.yaml", "templates/config.json", "workflow/templates/config.json")


@pytest.mark.parametrize("variable", ["PUBLISHED_DATAFLOW", "PUBLISHED_HADES"])
def test_the_configurations_of_all_releases_are_accepted(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = os.environ.get(variable)
    if not source:
        pytest.skip(f"{variable} names no local git repository of the published flow")
    monkeypatch.setenv("PRODENV", str(tmp_path))
    read = 0
    for revision in ("HEAD", *git(Path(source), "tag").split()):
        there = git(Path(source), "ls-tree", "-r", "--name-only", revision).splitlines()
        for name in (each for each in NAMES if each in there):
            file = tmp_path / revision / Path(name).name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(git(Path(source), "show", f"{revision}:{name}"))
            assert read_config(file).paths, (revision, name)
            read += 1
    assert read > 0
