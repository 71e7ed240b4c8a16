"""Cached machine code is forgotten when a source changes that it does not know of."""

from __future__ import annotations

from pathlib import Path

from gebox.compiled import forget_stale


def test_a_changed_source_forgets_all_machine_code(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    (inner / "__pycache__").mkdir(parents=True)
    (inner / "called.py").write_text("x = 1\n")
    cached = inner / "__pycache__" / "caller.nbi"
    assert forget_stale(tmp_path)
    cached.write_text("machine code")
    assert not forget_stale(tmp_path)
    assert cached.exists()
    (inner / "called.py").write_text("x = 2\n")
    assert forget_stale(tmp_path)
    assert not cached.exists()
