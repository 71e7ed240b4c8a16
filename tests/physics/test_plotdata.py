"""What figures show, as LH5: each kind of value as it was given, and readable by the collaboration's library."""

from __future__ import annotations

from pathlib import Path

import h5py
import lh5
import numpy as np

from dataflow.jobs.figures import plotdata

LARGE = np.random.default_rng(1).normal(size=(300, 7))
GIVEN = {
    "V01": {
        "2614.511": np.arange(1000.0)[::2],
        "columns": np.asfortranarray(LARGE),
        "texts": ["µ", "bc"],
        "title": "χ²/ndf",
        "events": 3,
        "is_kept": np.array([True, False]),
        "nothing": np.zeros(0),
        "left_out": None,
        "inner": {"b": 1.5, "a": np.int32(4)},
    }
}


def test_values_are_read_as_they_were_given(tmp_path: Path) -> None:
    path = tmp_path / "data.lh5"
    plotdata.write(path, GIVEN)
    with h5py.File(path) as file:
        found = file["V01"]
        np.testing.assert_array_equal(found["2614p511"], GIVEN["V01"]["2614.511"])
        np.testing.assert_array_equal(found["columns"], LARGE)
        assert found["columns"].compression == "gzip" and found["is_kept"].compression is None
        assert list(found["texts"].asstr()) == ["µ", "bc"] and found["title"].asstr()[()] == "χ²/ndf"
        assert found["events"][()] == 3 and found["inner/a"][()] == 4 and found["inner/a"].dtype == np.int32
        assert found["is_kept"][:].tolist() == [True, False] and found["nothing"].shape == (0,)
        assert "left_out" not in found
        said = {name: found[name].attrs["datatype"] for name in ("columns", "texts", "title", "is_kept", "inner")}
        members = ",".join(sorted(found))
        assert found.attrs["datatype"] == f"struct{{{members}}}"
    assert said == {
        "columns": "array<2>{real}", "texts": "array<1>{string}", "title": "string", "is_kept": "array<1>{bool}",
        "inner": "struct{a,b}",
    }  # fmt: skip
    read = lh5.read("V01", path)
    np.testing.assert_array_equal(read["columns"].nda, LARGE)
    assert read["inner"]["b"].value == 1.5


def test_the_same_content_makes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        plotdata.write(tmp_path / name, GIVEN)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_no_chunk_is_larger_than_its_bound(tmp_path: Path) -> None:
    values = np.zeros((3, plotdata.CHUNK))
    plotdata.write(tmp_path / "wide", {"values": values})
    plotdata.write(tmp_path / "long", {"values": values.T})
    for name, chunk in (("wide", (1, plotdata.CHUNK)), ("long", (plotdata.CHUNK // 3, 3))):
        with h5py.File(tmp_path / name) as file:
            assert file["values"].chunks == chunk
