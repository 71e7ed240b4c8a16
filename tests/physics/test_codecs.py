"""Encoded traces give bit by bit what plain ones give; processors that write other types than their loop's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import hdf5plugin
import lh5
import numpy as np
import pytest
from lgdo import Table
from lh5.compression import RadwareSigcompress, ULEB128ZigZagDiff

from dataflow.physics import dspeed_outputs

from .traces import (
    TABLE,
    digitised,
    flashcam_traces,
    germanium_traces,
    processed,
    pulse,
    raw_file,
    waveform,
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
    files = {name: raw_file(tmp_path / "coded.lh5", whole(traces[system], codec)) for name, codec in CODECS.items()}
    for name, codec in CODECS.items():
        files[name] = raw_file(tmp_path / f"{name}.lh5", whole(traces[system], codec))
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


PRESUM = {
    "outputs": ["total", "rate"],
    "processors": {
        "rate, total": {
            "function": "presum",
            "module": "dspeed.processors",
            "args": ["waveform", 0, "rate(dtype='H')", "total(shape=len(waveform)//8, dtype='KIND')"],
            "unit": ["ADC", "ADC"],
        }
    },
}


def presummed(values: Any, kind: str) -> tuple[Any, Any]:
    from dspeed import build_dsp

    config = dict(PRESUM)
    entry = dict(PRESUM["processors"]["rate, total"])  # type: ignore[call-overload]
    entry["args"] = [str(one).replace("KIND", kind) if isinstance(one, str) else one for one in entry["args"]]
    config["processors"] = {"rate, total": entry}
    table = Table(col_dict={"waveform": waveform(values)})
    made = build_dsp(table, None, dsp_config=config, lh5_tables=[""])
    return made["total"].nda, made["rate"].nda


@pytest.mark.parametrize("kind", ["H", "I", "f", "d"])
@pytest.mark.parametrize("stored", ["uint16", "int32", "uint32", "float32", "float64"])
def test_a_sum_has_the_right_value_whatever_the_types(stored: str, kind: str) -> None:
    dspeed_outputs.install()
    values = np.random.default_rng(4).integers(100, 8000, (40, 400)).astype(stored)
    total, rate = presummed(values, kind)
    np.testing.assert_array_equal(total, values.reshape(40, 50, 8).sum(axis=2))
    assert (rate == 8).all()


def test_what_was_only_read_stays_as_it_was() -> None:
    read, written = np.arange(6, dtype="int32"), np.zeros(2, dtype="uint32")

    def sums(source: Any, target: Any) -> None:
        target[:] = source.reshape(2, 3).sum(axis=1)

    kind = np.dtype("float64")
    others = dspeed_outputs.converted_arguments("(n),(m)", [read, written], [kind, kind])
    dspeed_outputs.writing_back(sums, others)(read, written)
    assert written.tolist() == [3, 12]
    assert read.tolist() == [0, 1, 2, 3, 4, 5]
    assert dspeed_outputs.converted_arguments("(n)->(m)", [read, written], [kind, kind]) == {}


ALONE = """
import numpy as np
from dspeed import build_dsp
from lgdo import ArrayOfEqualSizedArrays, Table, WaveformTable
values = ArrayOfEqualSizedArrays(nda=np.full((3, 16), 7, dtype="int32"))
table = Table(col_dict={"waveform": WaveformTable(values=values, dt=16.0, dt_units="ns", t0=0.0, t0_units="ns")})
chain = {"outputs": ["total"], "processors": {"rate, total": {"function": "presum", "module": "dspeed.processors",
    "args": ["waveform", 0, "rate", "total(shape=len(waveform)//8, dtype='f')"], "unit": ["ADC", "ADC"]}}}
print(int(build_dsp(table, None, dsp_config=chain, lh5_tables=[""])["total"].nda.sum()))
"""


def test_dspeed_alone_loses_sums_of_other_types() -> None:
    """When this fails, dspeed gives 336 by itself: delete ``dataflow.physics.dspeed_outputs``."""
    printed = subprocess.run([sys.executable, "-c", ALONE], check=True, capture_output=True, text=True).stdout
    assert int(printed) != 3 * 16 * 7


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
    """When this fails, they give the type that was encoded: ``dataflow.physics.rawtables.RawRows`` is needless."""
    values = digitised(8000 + 100 * pulse(512, 200, 50_000.0)[None, :])
    for name, codec in CODECS.items():
        file = raw_file(tmp_path / f"{name}.lh5", whole(values, codec))
        found = lh5.read(f"{TABLE}/waveform/values", str(file)).nda
        np.testing.assert_array_equal(found, values)
        assert found.dtype == "int32"
