"""Whole chains, compiled and not: the same files, and what cannot be compiled is said."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import lh5
import numpy as np
import pytest
from dspeed.processing_chain import ProcessingChain
from numpy.typing import NDArray

from dataflow.jobs.compiled import CHAINS, choose
from dataflow.physics.chains import run_chain

from .traces import TABLE, chain, digitised, germanium_traces, processed, pulse, raw_file, waveform, whole, windowed

Columns = dict[str, NDArray[Any]]
SAMPLES = 8192
CONVOLVED = ("cuspEmax", "cuspEftp", "zacEmax", "zacEftp", "dplmsEmax")
"""dspeed makes these by Fourier transforms in float32, which round otherwise; ADC counts."""
FITTED = ("bl_std", "bl_slope", "pz_std", "pz_slope", "pz_bl_std", "pz_after_std", "lq80", "QDrift", "dt_eff")
"""Sums in double precision, taken in another order: the last digit of float32 may differ."""


def on_and_off(path: Path, monkeypatch: pytest.MonkeyPatch, **others: Any) -> tuple[Columns, Columns]:
    """Columns from the compiled chain, and from dspeed's processors."""
    monkeypatch.delenv(CHAINS, raising=False)
    ours = processed(path, **others)
    monkeypatch.setenv(CHAINS, "0")
    return ours, processed(path, **others)


def germanium(count: int = 70) -> NDArray[Any]:
    """Pulses as of a germanium detector in the middle of traces: small, large, saturated, piled up; and noise alone."""
    random = np.random.default_rng(11)
    heights = 30000 * random.random(count) ** 2
    heights[5], heights[6] = 90000, 0
    traces = np.array([14000 + height * pulse(SAMPLES, 3300 + int(random.integers(0, 60)), 4e5) for height in heights])
    traces[7] += 5000 * pulse(SAMPLES, 5000, 4e5)
    traces[8] += 3000 * pulse(SAMPLES, 100, 4e5)
    return digitised(traces + random.normal(0, 5, traces.shape))


def assert_close(ours: Columns, theirs: Columns) -> None:
    """Make sure that two tables have the same values."""
    assert list(ours) == list(theirs)
    for name, column in theirs.items():
        most = {"rtol": 2e-6, "atol": 0.01} if name in CONVOLVED else {"rtol": 2.5e-7, "atol": 1e-6}
        if name in (*CONVOLVED, *FITTED):
            np.testing.assert_allclose(ours[name], column, err_msg=name, **most)
        else:
            np.testing.assert_array_equal(ours[name], column, err_msg=name)


@pytest.mark.parametrize("form", ["whole", "windowed"])
def test_a_compiled_chain_gives_the_same_values(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = whole(germanium()) if form == "whole" else windowed(germanium())
    path = raw_file(tmp_path / "raw.lh5", made)
    ours, theirs = on_and_off(path, monkeypatch, pars={"pz": {"tau1": "400*us"}}, rows=list(range(70)))
    assert np.isfinite(theirs["tp_99"]).sum() > 50
    assert_close(ours, theirs)


def test_real_traces_give_the_same_values(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rawid, traces in germanium_traces(shared_data).items():
        path = raw_file(tmp_path / f"{rawid}.lh5", whole(traces))
        ours, theirs = on_and_off(path, monkeypatch, rows=list(range(len(traces))))
        assert_close(ours, theirs)


def test_a_file_is_the_same_however_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = raw_file(tmp_path / "raw.lh5", whole(germanium(150)))
    monkeypatch.delenv(CHAINS, raising=False)
    files = [tmp_path / f"{size}.lh5" for size in (1000, 7)]
    for file, size in zip(files, (1000, 7), strict=True):
        run_chain(path, TABLE, chain("geds"), {}, target=file, buffer_len=size)
    monkeypatch.setenv(CHAINS, "0")
    run_chain(path, TABLE, chain("geds"), {}, target=tmp_path / "dspeed.lh5")
    one, other, theirs = (lh5.read("ch1/dsp", str(file)) for file in (*files, tmp_path / "dspeed.lh5"))
    assert len(one) == len(theirs) == 150
    for name, column in one.items():
        np.testing.assert_array_equal(column.nda, other[name].nda, err_msg=name)
        assert column.attrs == theirs[name].attrs
        assert column.nda.dtype == theirs[name].nda.dtype


def test_traces_have_their_sampling_in_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = raw_file(tmp_path / "raw.lh5", whole(germanium(30)))
    monkeypatch.delenv(CHAINS, raising=False)
    made = run_chain(path, TABLE, chain("geds"), {}, rows=list(range(2, 30)), outputs=["wf_pz"], buffer_len=10)["wf_pz"]
    np.testing.assert_array_equal(made.dt.nda, np.full(28, 96.0))
    np.testing.assert_array_equal(made.t0.nda, np.zeros(28))


def test_the_setting_switches_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = raw_file(tmp_path / "raw.lh5", whole(germanium(12)[:4]))
    seen: list[object] = []
    monkeypatch.setattr("dataflow.physics.compiled.passes.compile_chain", lambda made: seen.append(made) or plan())
    monkeypatch.setenv(CHAINS, "1")
    for is_wanted, count in ((False, 0), (True, 1)):
        choose(is_wanted)
        processed(path, rows=[0, 1, 2, 3])
        assert len(seen) == count


def test_other_processes_wait_for_one_block_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that two processes compile at once kills later ones; but a file's channels are to be done side by side."""
    path = raw_file(tmp_path / "raw.lh5", whole(germanium(150)))
    monkeypatch.delenv(CHAINS, raising=False)
    rows: dict[bool, list[int]] = {True: [], False: []}
    is_alone, execute = [False], ProcessingChain._execute_procs

    def counted(made: ProcessingChain, begin: int, end: int) -> None:
        rows[is_alone[-1]].append(end - begin)
        execute(made, begin, end)

    @contextmanager
    def alone() -> Iterator[None]:
        is_alone.append(True)
        yield
        is_alone.pop()

    monkeypatch.setattr(ProcessingChain, "_execute_procs", counted)
    monkeypatch.setattr("dataflow.physics.compiled.passes.alone", alone)
    run_chain(path, TABLE, chain("geds"), {}, target=tmp_path / "dsp.lh5")
    assert rows == {True: [128], False: [22]}


def plan() -> Any:
    """Nothing is compiled."""
    from dataflow.physics.compiled.planner import Plan

    return Plan((), ())


LIBRARY = {"module": "dspeed.processors"}
UNKNOWN: Mapping[str, Any] = {
    "outputs": ["wf_max", "energy"],
    "processors": {
        "wf_blsub": {"function": "bl_subtract", **LIBRARY, "args": ["waveform", "baseline", "wf_blsub"]},
        "wf_rc": {"function": "rc_cr2", **LIBRARY, "args": ["wf_blsub", "1*us", "wf_rc"]},
        "wf_trap": {"function": "trap_norm", **LIBRARY, "args": ["wf_rc", 100, 20, "wf_trap"]},
        "energy": {
            "function": "amax", "module": "numpy", "args": ["wf_trap", 1, "energy"],
            "kwargs": {"signature": "(n),()->()", "types": ["fi->f"]},
        },
        "t1, t2, wf_min, wf_max": {
            "function": "min_max", **LIBRARY, "args": ["wf_rc", "t1", "t2", "wf_min", "wf_max"],
        },
    },
}  # fmt: skip


def test_a_processor_without_compiled_form_is_named_and_called_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = raw_file(tmp_path / "raw.lh5", whole(germanium(40)))
    monkeypatch.delenv(CHAINS, raising=False)
    with caplog.at_level(logging.INFO, logger="dataflow.physics.compiled"):
        ours = run_chain(path, TABLE, UNKNOWN, {}, rows=list(range(40)))
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert said == ["not compiled: rc_cr2(wf_blsub, 1 µs, wf_rc): there is no compiled form"]
    monkeypatch.setenv(CHAINS, "0")
    theirs = run_chain(path, TABLE, UNKNOWN, {}, rows=list(range(40)))
    for name in UNKNOWN["outputs"]:
        np.testing.assert_array_equal(ours[name].nda, theirs[name].nda, err_msg=name)
    assert np.ptp(theirs["energy"].nda) > 1


def test_what_dspeed_refuses_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dspeed.errors import DSPFatal

    refused = {
        "outputs": ["crossing"],
        "processors": {
            "crossing": {"function": "time_point_thresh", **LIBRARY, "args": ["waveform", 100, 0.5, 0, "crossing"]},
        },
    }  # fmt: skip
    path = raw_file(tmp_path / "raw.lh5", {"waveform": waveform(germanium(12)[:4])})
    for value in ("1", "0"):
        monkeypatch.setenv(CHAINS, value)
        with pytest.raises(DSPFatal, match="starting index must be an integer"):
            run_chain(path, TABLE, refused, {}, rows=[0, 1, 2, 3])


def test_results_of_many_rows_are_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = raw_file(tmp_path / "raw.lh5", whole(germanium(150)))
    monkeypatch.delenv(CHAINS, raising=False)
    monkeypatch.setattr("dataflow.physics.compiled.passes.KEPT", 5000)
    run_chain(path, TABLE, chain("geds"), {}, target=tmp_path / "dsp.lh5", buffer_len=20)
    with h5py.File(tmp_path / "dsp.lh5") as file:
        np.testing.assert_array_equal(file["ch1/dsp/timestamp"][:], np.arange(150.0))
