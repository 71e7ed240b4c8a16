"""Tables that are written piece by piece are those that lh5 writes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import lh5
import numpy as np
import pytest
from lgdo import Array, Table, VectorOfVectors, WaveformTable

from dataflow.steps.tier_raw import storing
from dataflow.steps.tier_raw.storing import ROWS, TRACES, Tables, by_bits, plain_columns

SETTINGS = {"compression": hdf5plugin.Zstd(), "shuffle": True}
NAMES = ("ch1/raw", "ch2/raw", "ch3/raw")


def table(first: int, rows: int, *, is_ragged: bool = False, samples: int = 12) -> Table:
    number = np.arange(first, first + rows)
    waves = np.outer(number + 1, np.arange(samples)).astype("u2")
    columns: dict[str, Any] = {
        "number": Array(number, attrs={"units": "s", "description": "of the row"}),
        "is_even": Array(number % 2 == 0),
        "waveform": WaveformTable(t0=0, t0_units="ns", dt=16, dt_units="ns", values=waves),
    }
    if is_ragged:
        columns["list"] = VectorOfVectors([[int(each)] * (each % 3) for each in number])
    return Table(columns)


def written(path: Path, pieces: tuple[int, ...], *, by_itself: bool, is_ragged: bool = False) -> Path:
    """Pieces of some rows by :class:`Tables`, with more rows behind them that are not written."""
    with h5py.File(path, "w") as file:
        tables, first = Tables(file, SETTINGS, by_itself=by_itself), 0
        for rows in pieces:
            for number, name in enumerate(NAMES):
                tables.append(table(first, rows + 3, is_ragged=is_ragged, samples=12 + number % 2), name, rows)
            first += rows
        tables.finish()
    return path


def expected(path: Path, pieces: tuple[int, ...], *, by_itself: bool, is_ragged: bool = False) -> Path:
    """The same by lh5 alone."""
    with h5py.File(path, "w") as file:
        first = 0
        for rows in pieces:
            for number, name in enumerate(NAMES):
                one = table(first, rows + 3, is_ragged=is_ragged, samples=12 + number % 2)
                if by_itself:
                    by_bits(one)
                lh5.write(one, name, file, n_rows=rows, wo_mode="append", **SETTINGS)
            first += rows
    return path


def content(path: Path) -> Mapping[str, Any]:
    """All that a file holds: attributes; types, shapes, filters, chunks, and values."""
    found: dict[str, Any] = {}

    def look(name: str, node: h5py.Group | h5py.Dataset) -> None:
        found[name] = [dict(node.attrs)]
        if isinstance(node, h5py.Dataset):
            creation = node.id.get_create_plist()
            filters = [creation.get_filter(number)[:3] for number in range(creation.get_nfilters())]
            found[name] += [node.dtype, node.maxshape, node.chunks, filters, node[:].tolist()]

    with h5py.File(path) as file:
        file.visititems(look)
    return found


@pytest.mark.parametrize("waiting", [0, 20_000, 1 << 24])
@pytest.mark.parametrize("by_itself", [False, True])
@pytest.mark.parametrize("pieces", [(5,), (64, 64, 3), (ROWS - 1, 1, 1), (1500, 700), (7, ROWS, 2 * ROWS, 3)])
def test_pieces_are_written_as_by_lh5(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pieces: tuple[int, ...], *, by_itself: bool, waiting: int
) -> None:
    monkeypatch.setattr(storing, "WAITING", waiting)
    ours = content(written(tmp_path / "a.lh5", pieces, by_itself=by_itself))
    theirs = content(expected(tmp_path / "b.lh5", pieces, by_itself=by_itself))
    assert ours == theirs
    assert ours["ch2/raw/number"][-1] == list(range(sum(pieces)))
    assert ours["ch1/raw"][0]["datatype"] == "table{is_even,number,waveform}"
    assert ours["ch1"][0]["datatype"] == "struct{raw}"


@pytest.mark.parametrize("waiting", [0, 20_000])
def test_no_more_waits_than_shall_beside_chunks_that_are_not_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, waiting: int
) -> None:
    monkeypatch.setattr(storing, "WAITING", waiting)
    with h5py.File(tmp_path / "a.lh5", "w") as file:
        tables = Tables(file, SETTINGS, by_itself=True)
        for first in range(0, 5000, 500):
            for name in NAMES:
                tables.append(table(first, 500), name, 500)
            row = sum(values.dtype.itemsize for values in columns(table(0, 1)).values() if values.ndim == 1)
            waits = {name: first + 500 - len(file[name]["number"]) for name in NAMES}
            assert sum(waits.values()) * row <= waiting + len(NAMES) * (ROWS - 1) * row
            assert all(len(file[name]["number"]) % ROWS == 0 for name in NAMES)
        tables.finish()


def columns(made: Table) -> Mapping[str, Any]:
    found = plain_columns(made)
    assert found is not None
    return found


def test_tables_with_lists_are_written_by_lh5(tmp_path: Path) -> None:
    ours = content(written(tmp_path / "a.lh5", (4, 5), by_itself=True, is_ragged=True))
    theirs = content(expected(tmp_path / "b.lh5", (4, 5), by_itself=True, is_ragged=True))
    assert ours == theirs
    assert ours["ch1/raw/list/flattened_data"][-1] == [1, 2, 2, 4, 5, 5, 7, 8, 8]


def test_a_table_with_lists_may_come_after_plain_ones(tmp_path: Path) -> None:
    """Such as what is told now and then of the state of the digitizers."""
    with h5py.File(tmp_path / "a.lh5", "w") as file:
        tables = Tables(file, SETTINGS, by_itself=True)
        for first in (0, 5):
            tables.append(table(first, 5), "ch1/raw", 5)
            tables.append(table(first, 5, is_ragged=True), "status/1", 5)
        tables.finish()
    assert lh5.read("ch1/raw/number", tmp_path / "a.lh5").nda.tolist() == list(range(10))
    assert lh5.read("status/1/list", tmp_path / "a.lh5")[8].tolist() == [8, 8]


def test_small_columns_are_stored_in_chunks_of_many_rows(tmp_path: Path) -> None:
    with h5py.File(written(tmp_path / "a.lh5", (2, 2), by_itself=True)) as file:
        assert file["ch1/raw/number"].chunks == (ROWS,)
        assert file["ch1/raw/waveform/dt"].chunks == (ROWS,)
        assert file["ch1/raw/waveform/values"].chunks == (TRACES, 12)
        assert {*file["ch1/raw/number"]._filters} == {*file["ch1/raw/waveform/values"]._filters} == {"32008"}


FULL_DISK = """
import resource, signal, sys
import h5py, numpy as np
from lgdo import Array, Table
from dataflow.steps.tier_raw import storing
from dataflow.steps.tier_raw.storing import Tables
storing.WAITING = 0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
noise = np.random.default_rng(1).random(1024)
try:
    with h5py.File(sys.argv[1], "w") as file:
        tables = Tables(file, {"compression": None, "shuffle": False}, by_itself=True)
        for number in range(200):
            for name in ("a/raw", "b/raw"):
                tables.append(Table({"noise": Array(noise)}), name, len(noise))
            print(number, flush=True)
        tables.finish()
except (OSError, RuntimeError) as error:  # of the write, or of the file that is closed after it
    print("failed", "File too large" in str(error))
"""


def test_what_cannot_be_written_is_an_error_at_once(tmp_path: Path) -> None:
    """Some pieces are in the file then; HDF5 crashes where it notices only when something is closed."""
    words = [sys.executable, "-c", FULL_DISK, str(tmp_path / "a.lh5")]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(words, capture_output=True, text=True, env=environ)
    lines = done.stdout.split("\n")
    assert done.returncode >= 0, done.stderr
    assert lines[-2] == "failed True", done.stderr
    assert 50 < len(lines) < 100
