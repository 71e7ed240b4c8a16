"""Traces for tests: real ones, synthetic pulses, and raw files made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lh5
import numpy as np
import yaml
from lgdo import Array, ArrayOfEqualSizedArrays, Table, WaveformTable
from numpy.typing import NDArray
from scipy.signal import lfilter

from dataflow.metadata.stepconfig import shipped_folder
from dataflow.physics.chains import run_chain

Traces = NDArray[Any]

PERIOD = 16.0
TABLE = "ch1/raw"
WINDOW = (2625, 1400)
"""LEGEND-200's: first sample and length."""
SUMMED = 8


def chain(system: str) -> dict[str, Any]:
    """The shipped chain of a system."""
    return dict(yaml.safe_load((shipped_folder("tier_dsp") / f"processing_chain-{system}.yaml").read_text()))


def pulse(samples: int, start: int, tau: float, rise: float = 500.0) -> Traces:
    """A pulse of height 1 that rises linearly within `rise` ns and decays with `tau` ns, by a recursion of its own."""
    charge = np.clip((np.arange(samples) - start) * PERIOD / rise, 0.0, 1.0)
    return np.asarray(lfilter([1.0], [1.0, -np.exp(-PERIOD / tau)], np.diff(charge, prepend=0.0)))


def digitised(traces: Traces, highest: int = 65535) -> Traces:
    """As a digitizer would store them."""
    return np.clip(np.rint(traces), 0, highest).astype("uint16")


def waveform(values: Traces, period: float = PERIOD, first: float = 0.0, codec: Any = None) -> WaveformTable:
    """A column of traces."""
    array = ArrayOfEqualSizedArrays(nda=np.ascontiguousarray(values))
    if codec is not None:
        array.attrs["compression"] = codec
    return WaveformTable(values=array, dt=period, dt_units="ns", t0=first, t0_units="ns")


def whole(values: Traces, codec: Any = None) -> dict[str, WaveformTable]:
    """The usual raw form."""
    return {"waveform": waveform(values, codec=codec)}


def windowed(values: Traces, norm: float = 1.0, codecs: tuple[Any, Any] = (None, None)) -> dict[str, WaveformTable]:
    """LEGEND-200's raw form of the same traces; `norm` divides the sums."""
    first, length = WINDOW
    whole_sums = values.shape[1] // SUMMED
    sums = values[:, : whole_sums * SUMMED].reshape(len(values), whole_sums, SUMMED).sum(axis=2, dtype="uint32")
    summed = sums if norm == 1.0 else (sums / norm).astype("float32")
    return {
        "waveform_windowed": waveform(values[:, first : first + length], first=first * PERIOD, codec=codecs[0]),
        "waveform_presummed": waveform(summed, PERIOD * SUMMED, codec=codecs[1]),
    }


def raw_file(path: Path, traces: dict[str, WaveformTable], **filters: Any) -> Path:
    """A raw file with one table."""
    rows = len(next(iter(traces.values())))
    columns = {
        "timestamp": Array(np.arange(rows, dtype="float64"), attrs={"units": "s"}),
        "baseline": Array(np.zeros(rows, dtype="uint16")),
        "daqenergy": Array(np.zeros(rows, dtype="uint16")),
    }
    path.unlink(missing_ok=True)
    lh5.write(Table(col_dict=columns | traces), TABLE, str(path), **filters)
    return path


def processed(path: Path, system: str = "geds", pars: dict[str, Any] | None = None, **others: Any) -> dict[str, Any]:
    """The columns that the shipped chain makes of a raw file."""
    result = run_chain(path, TABLE, chain(system), pars or {}, **others)
    return {name: np.asarray(node.nda) for name, node in result.items()}


def germanium_traces(shared_data: Path, datatype: str = "cal") -> dict[int, Traces]:
    """Real LEGEND-200 traces of 8192 samples, by raw id: 20 a detector."""
    folder = shared_data / f"lh5/prod-ref-l200/generated/tier/raw/{datatype}/p03/r001"
    files = sorted(folder.glob("*.lh5"))
    return {
        rawid: np.concatenate([lh5.read(f"ch{rawid}/raw/waveform/values", str(file)).nda for file in files])
        for rawid in (1084803, 1084804, 1121600)
    }


def flashcam_traces(path: Path) -> dict[int, Traces]:
    """The traces of a FlashCam file, by the place of the channel."""
    from fcio import fcio_open

    found: dict[int, list[Traces]] = {}
    with fcio_open(str(path)) as stream:
        while stream.get_record():
            if stream.tag in (3, 6):
                for place, row in zip(stream.event.trace_list, stream.event.trace, strict=True):
                    found.setdefault(int(place), []).append(row.copy())
    return {place: np.array(rows) for place, rows in found.items()}
