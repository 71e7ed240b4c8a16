"""Raw files are the same whatever decodes and writes them: compiled code, the libraries, and in blocks of any size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from daq2lh5.build_raw import build_raw

from dataflow.steps.tier_raw import daqfile, decode, storing
from dataflow.steps.tier_raw.formats import flashcam
from gebox.files import fcio

SAMPLES, CHANNELS, EVENTS = 40, 3, 90
SETTINGS = {storing.HDF5: {"compression": "zstd", "shuffle": True}, decode.WAVEFORMS: True}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng, path = np.random.default_rng(3), tmp_path / "a.fcio"
    config = fcio.Config(CHANNELS, SAMPLES, tracemap=tuple(1 << 16 | number for number in range(CHANNELS)), streamid=1)
    with path.open("wb") as file:
        writer = fcio.Writer(file, config)
        for number in range(EVENTS):
            event = fcio.Event((number, number, 9, fcio.CLOCK_HZ - 1, *[0] * 6), (1_700_000_000, *[0] * 9))
            traces = rng.integers(0, 65_536, (CHANNELS, 2 + SAMPLES)).astype("u2")
            writer.event(event, traces)
    return path


def spec_of(daq: daqfile.DaqFile, stream: str) -> dict[str, Any]:
    return {
        name: {f"ch{key}/raw": {"key_list": [key], "out_stream": stream} for key in keys}
        for name, keys in daq.keys.items()
    }


def made(source: Path, target: Path, rows: int) -> Path:
    with daqfile.opened(source, target.with_suffix(".daq"), SETTINGS) as daq:
        decode.decode(daq, spec_of(daq, "raw"), target, {"buffer_size": rows, **SETTINGS}, 0.0)
    return target


def content(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Mapping[str, Any]]]:
    """Values of datasets, attributes of everything."""
    with h5py.File(path) as file:
        names: list[str] = []
        file.visit(names.append)
        values = {name: file[name][:] for name in names if isinstance(file[name], h5py.Dataset)}
        return values, {name: dict(file[name].attrs) for name in names}


def assert_same(one: Path, other: Path) -> None:
    (ours, our_attributes), (theirs, their_attributes) = content(one), content(other)
    assert our_attributes == their_attributes
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        assert ours[name].dtype == values.dtype, name
        np.testing.assert_array_equal(ours[name], values, err_msg=name)


@pytest.mark.parametrize("rows", [4, 31, 200])
@pytest.mark.parametrize("least", [0, flashcam.LEAST])
def test_files_are_those_of_the_librarys_driver(
    monkeypatch: pytest.MonkeyPatch, source: Path, tmp_path: Path, *, rows: int, least: int
) -> None:
    monkeypatch.setattr(flashcam, "LEAST", least)
    with daqfile.opened(source, tmp_path / "work", SETTINGS) as daq:
        spec = spec_of(daq, str(tmp_path / "theirs.lh5"))
    build_raw(str(source), in_stream_type="FlashCam", out_spec=spec, overwrite=True)
    ours = made(source, tmp_path / "ours.lh5", rows)
    assert_same(ours, tmp_path / "theirs.lh5")
    assert all(len(values) == EVENTS for values in content(ours)[0].values())
