"""Encoded traces give bit by bit what plain ones give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hdf5plugin
import lh5
import numpy as np
import pytest
from lh5.compression import RadwareSigcompress, ULEB128ZigZagDiff

from .traces import (
    TABLE,
    digitised,
    flashcam_traces,
    germanium_traces,
    processed,
    pulse,
    raw_file,
    whole,
    windowed,
)

CODECS = {"radware": RadwareSigcompress(codec_shift=-32768), "zigzag": ULEB128ZigZagDiff()}
FILTERS: dict[str, dict[str, Any]] = {
    "zstd": dict(hdf5plugin.Zstd()),
    "gzip": {"compression": "gzip", "shuffle": True},
    "bzip2": dict(hdf5plugin.BZip2()),
}


@pytest.fixture(scope="module")
def traces(shared_data: Path) -> dict[str, Any]:
    """Real traces by system."""
    lights = flashcam_traces(shared_data / "fcio/L200-comm-20211130-phy-spms.fcio")
    return {"geds": germanium_traces(shared_data)[1084804], "spms": lights[2][:20], "auxs": lights[0][:20]}


@pytest.mark.parametrize("system", ["geds", "spms", "auxs"])
def test_encoded_traces_give_what_plain_ones_give(tmp_path: Path, traces: dict[str, Any], system: str) -> None:
    plain = processed(raw_file(tmp_path / "plain.lh5", whole(traces[system])), system)
    height = {"geds": "trapEmax", "spms": "energies", "auxs": "trapTmax"}[system]
    assert np.nanmax(plain[height]) > 50
    files = {name: raw_file(tmp_path / f"{name}.lh5", whole(traces[system], codec)) for name, codec in CODECS.items()}
    files |= {
        name: raw_file(tmp_path / f"{name}.lh5", whole(traces[system]), **chosen) for name, chosen in FILTERS.items()
    }
    for name, file in files.items():
        for column, values in processed(file, system).items():
            np.testing.assert_array_equal(values, plain[column], err_msg=f"{name} {column}")


def test_encoded_windows_and_sums_give_what_plain_ones_give(tmp_path: Path, traces: dict[str, Any]) -> None:
    plain = processed(raw_file(tmp_path / "plain.lh5", windowed(traces["geds"])))
    coded = raw_file(tmp_path / "coded.lh5", windowed(traces["geds"], codecs=(CODECS["radware"], CODECS["zigzag"])))
    assert plain["trapEmax"].max() > 1000
    for column, values in processed(coded).items():
        np.testing.assert_array_equal(values, plain[column], err_msg=column)


def test_a_decay_constant_is_the_same_from_encoded_traces(tmp_path: Path) -> None:
    shape, random = pulse(4096, 1800, 400_000.0), np.random.default_rng(7)
    values = digitised(5000 + 3000 * shape + random.normal(0, 3, (30, 4096)))
    slopes = [
        processed(raw_file(tmp_path / f"{name}.lh5", whole(values, codec)), outputs=["tail_slope"])["tail_slope"]
        for name, codec in {"plain": None, **CODECS}.items()
    ]
    assert -PERIOD_NS / np.median(slopes[0]) == pytest.approx(400_000.0, rel=0.01)
    np.testing.assert_array_equal(slopes[0], slopes[1])
    np.testing.assert_array_equal(slopes[0], slopes[2])


PERIOD_NS = 16.0


def test_the_codecs_decode_into_wide_integers(tmp_path: Path) -> None:
    """When this fails, they give the type that was encoded: ``dataflow.jobs.rawtables.RawRows`` is needless."""
    values = digitised(8000 + 100 * pulse(512, 200, 50_000.0)[None, :])
    for name, codec in CODECS.items():
        file = raw_file(tmp_path / f"{name}.lh5", whole(values, codec))
        found = lh5.read(f"{TABLE}/waveform/values", str(file)).nda
        np.testing.assert_array_equal(found, values)
        assert found.dtype == "int32"
