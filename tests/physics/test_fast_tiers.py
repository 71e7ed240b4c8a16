"""With and without ``fast_tiers``: the same files, whatever is in them; only how columns are stored differs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import lh5
import numpy as np
import pytest
from lgdo import Array, ArrayOfEqualSizedArrays, Table, VectorOfVectors, WaveformTable

from dataflow.base.errors import UserError
from dataflow.jobs.errors import BadInput
from dataflow.jobs.fast import FAST
from dataflow.jobs.lh5tables import write_table
from dataflow.metadata.expressions import parsed
from dataflow.physics import rawtables
from dataflow.physics.chains import run_chain
from dataflow.steps.tier_hit.build import calibrate
from dataflow.steps.tier_tcm import columns
from dataflow.steps.tier_tcm.build import DEFAULTS, backward_steps, by_columns, by_pygama, is_simple

from .test_compiled_chains import germanium
from .traces import TABLE, chain, raw_file, whole

MAP = "hardware_tcm_1"


def content(path: Path) -> dict[str, Any]:
    """All that is in a file, but how it is stored: members, attributes with their types, values."""
    found = {}

    def add(name: str, node: Any) -> None:
        attributes = []
        for number in range(h5py.h5a.get_num_attrs(node.id)):
            each = h5py.h5a.open(node.id, index=number)
            text = each.get_name().decode()
            kind = each.get_type()
            cset = kind.get_cset() if kind.get_class() == h5py.h5t.STRING else None
            attributes.append((text, each.dtype, each.shape, cset, node.attrs[text]))
        if isinstance(node, h5py.Dataset):
            found[name] = (attributes, node.shape, node.maxshape, node.dtype, node[()].tobytes())
        else:
            found[name] = (attributes, list(node))

    with h5py.File(path) as file:
        add("/", file)
        file.visititems(add)
    return found


def table(rows: int, seed: int = 1) -> Table:
    """Columns of all kinds."""
    random = np.random.default_rng(seed)
    counts = random.integers(0, 4, rows)
    ends = np.cumsum(counts)
    flat = random.normal(size=int(counts.sum())).astype("f4")
    inner = VectorOfVectors(
        flattened_data=np.arange(2.0 * len(flat)), cumulative_length=2 * np.arange(1, len(flat) + 1)
    )
    waves = random.integers(0, 60000, (rows, 50)).astype("u2")
    return Table(
        {
            "energy": Array(random.normal(size=rows), attrs={"units": "keV", "description": "größer"}),
            "small": Array(random.normal(size=rows).astype("f4"), attrs={"width": 3, "scale": 0.5}),
            "number": Array(np.arange(rows, dtype="i2")),
            "flag": Array(random.random(rows) > 0.5),
            "name": Array(np.array([b"V01001A"] * rows, dtype="S7")),
            "pair": ArrayOfEqualSizedArrays(nda=random.normal(size=(rows, 2))),
            "waveform": WaveformTable(t0=np.zeros(rows), t0_units="ns", dt=np.full(rows, 16.0), values=waves),
            "pulses": VectorOfVectors(flattened_data=Array(flat, attrs={"units": "pe"}), cumulative_length=ends),
            "pairs": VectorOfVectors(flattened_data=inner, cumulative_length=ends),
            "inner": Table({"deep": Array(np.arange(rows))}),
        },
        attrs={"origin": "a test"},
    )


@pytest.mark.parametrize("name", ["evt", "ch1104000/hit", "a/b/c"])
@pytest.mark.parametrize("rows", [0, 1, 3000])
def test_a_table_is_written_as_lh5_writes_it(name: str, rows: int, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.lh5", tmp_path / "theirs.lh5"
    ours.write_text("what was there before")
    write_table(table(rows), name, ours, new=True)
    lh5.write(table(rows), name, str(theirs), wo_mode="of")
    assert content(ours) == content(theirs)
    for seed in (2, 3):
        write_table(table(70, seed), name, ours)
        lh5.write(table(70, seed), name, str(theirs), wo_mode="append")
    assert content(ours) == content(theirs)
    assert len(lh5.read(name, str(ours))) == rows + 140


def test_columns_are_stored_as_traces_of_raw_are_unless_they_ask_for_something_else(tmp_path: Path) -> None:
    plain, asking = table(3000), table(3000)
    asking["energy"].attrs["compression"] = "gzip"
    asking["waveform"].values.attrs["hdf5_settings"] = {"chunks": (7, 50)}
    for number, each in enumerate((plain, asking)):
        write_table(each, "t", tmp_path / f"{number}.lh5", new=True)
    with h5py.File(tmp_path / "0.lh5") as first, h5py.File(tmp_path / "1.lh5") as second:
        assert list(first["t/energy"]._filters) == ["32008"]
        assert second["t/energy"].compression == "gzip"
        assert second["t/waveform/values"].chunks == (7, 50)


def test_files_for_analysts_need_no_plugin(tmp_path: Path) -> None:
    write_table(table(3000), "evt", tmp_path / "evt.lh5", new=True, everywhere=True)
    write_table(table(70, 2), "evt", tmp_path / "evt.lh5", everywhere=True)
    lh5.write(table(3000), "evt", str(tmp_path / "theirs.lh5"), wo_mode="of")
    lh5.write(table(70, 2), "evt", str(tmp_path / "theirs.lh5"), wo_mode="append")
    assert content(tmp_path / "evt.lh5") == content(tmp_path / "theirs.lh5")
    compressed: list[str] = []
    with h5py.File(tmp_path / "evt.lh5") as file:
        file.visititems(lambda _, node: compressed.append(node.compression) if hasattr(node, "compression") else None)
    assert set(compressed) == {"gzip"}


def raw(path: Path, times: Mapping[int, Any]) -> list[str]:
    """A raw file with times by channel, and its tables."""
    for channel, own in times.items():
        lh5.write(Table({"timestamp": Array(own)}), "raw", str(path), group=f"ch{channel}", wo_mode="append")
    return [f"ch{channel}/raw" for channel in times]


def both_maps(path: Path, tables: list[str], folder: Path, chosen: Mapping[str, Any]) -> tuple[Any, Any]:
    """What our function and pygama's make of a raw file."""
    found = []
    steps = []
    for number, make in enumerate((by_columns, by_pygama)):
        (target := folder / f"{number}.lh5").unlink(missing_ok=True)
        steps.append(make(path, tables, dict(chosen), (target, MAP)))
        found.append(content(target))
    assert steps[0] == steps[1] == backward_steps(path, tables, "timestamp")[0]
    return found[0], found[1]


@pytest.mark.parametrize("most", [1, 20, 333, 10**6])
def test_coincidences_are_those_of_pygama_however_much_is_in_memory(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(5)
    start = np.cumsum(random.exponential(1e-5, 1500)) + 1.7e9
    shares = {1104001: 0.9, 1104000: 0.3, 1027200: 0.02, 7: 0.5}
    times = {
        channel: np.sort(start[random.random(1500) < share] + random.integers(0, 3) * 1e-6)
        for channel, share in shares.items()
    }
    times[8] = np.full(90, start[700])  # a channel whose clock stands still
    tables = raw(tmp_path / "raw.lh5", times)
    monkeypatch.setattr(columns, "MOST_ROWS", most)
    for changes in ({}, {"coin_windows": 3e-6}, {"hash_func": None}):
        ours, theirs = both_maps(tmp_path / "raw.lh5", tables, tmp_path, {**DEFAULTS, **changes})
        assert ours == theirs
        assert ours[f"{MAP}/table_key/flattened_data"][1] == (sum(map(len, times.values())),)


@pytest.mark.parametrize("most", [10, 10_000])
def test_times_that_go_backwards_are_sorted_at_once_by_both(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(6)
    times = {channel: random.permutation(np.arange(200) * 1e-4) for channel in (1, 2, 3)}
    tables = raw(tmp_path / "raw.lh5", times)
    monkeypatch.setattr(columns, "MOST_ROWS", most)
    ours, theirs = both_maps(tmp_path / "raw.lh5", tables, tmp_path, DEFAULTS)
    assert ours == theirs
    assert ours[f"{MAP}/table_key/cumulative_length"][1] == (200,)


def test_what_has_no_rows_gives_a_map_without_events(tmp_path: Path) -> None:
    """pygama writes nothing at all then."""
    tables = raw(tmp_path / "raw.lh5", {1: np.empty(0), 2: np.empty(0)})
    by_columns(tmp_path / "raw.lh5", tables, dict(DEFAULTS), (tmp_path / "tcm.lh5", MAP))
    assert len(lh5.read(MAP, str(tmp_path / "tcm.lh5"))) == 0


@pytest.mark.parametrize(
    "changes",
    [{"coin_cols": ["timestamp"]}, {"out_fields": ["baseline"]}, {"coin_windows": [1.0]}, {"window_refs": "x"}],
)
def test_maps_of_several_columns_are_made_by_pygama(changes: dict[str, Any]) -> None:
    assert is_simple(DEFAULTS)
    assert not is_simple({**DEFAULTS, **changes})


def operation(expression: str, **more: Any) -> dict[str, Any]:
    """As the job hands it on."""
    return {"expression": parsed(expression).rewritten, "parameters": {}} | more


HIT: dict[str, Any] = {
    "outputs": ["number", "flag", "pulses", "pair", "ratio", "is_high", "energy", "in_pe", "charge", "bits", "more"],
    "operations": {
        "is_high": operation("(ratio > a) & not_low & flag", parameters={"a": 0.1}),
        "ratio": operation("energy / (small + number)", lgdo_attrs={"units": "1"}, description="of two"),
        "energy": operation("energy * number + 1", parameters={"number": 2.0}, lgdo_attrs={"units": "MeV"}),
        "not_low": operation("where(small < -1, 0, 1) == 1"),
        "in_pe": operation("pulses * a", parameters={"a": 3.0}),
        "charge": operation("ak.nansum(in_pe, axis=1)"),
        **{f"above_{number}": operation(f"number > {10 * number}") for number in range(9)},
    },
    "aggregations": {
        "bits": {"bit0": "flag", "bit1": "is_high"},
        "more": {f"bit{number}": f"above_{number}" for number in range(9)},
    },
}


@pytest.mark.parametrize("buffer", [13, 1000])
def test_columns_of_hit_are_those_of_pygama(buffer: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lh5.write(table(100), "dsp", str(tmp_path / "dsp.lh5"), group="ch7", wo_mode="of")
    monkeypatch.setattr("dataflow.steps.tier_hit.build.BUFFER", buffer)
    files = []
    for wanted in ("1", "0"):
        monkeypatch.setenv(FAST, wanted)
        files.append(tmp_path / f"{wanted}.lh5")
        calibrate(tmp_path / "dsp.lh5", "ch7/dsp", HIT, files[-1], "ch7/hit")
    ours, theirs = map(content, files)
    assert ours.keys() == theirs.keys() >= {f"ch7/hit/{name}" for name in HIT["outputs"]}
    assert {name for name in ours if ours[name] != theirs[name]} == set()
    with h5py.File(files[0]) as file:
        np.testing.assert_array_equal(file["ch7/hit/energy"][:], table(100)["energy"].nda * 2 + 1)
        assert file["ch7/hit/more"].attrs["bit_names"].count(",") == 8


def test_a_column_that_hit_lacks_is_named(tmp_path: Path) -> None:
    lh5.write(table(10), "dsp", str(tmp_path / "dsp.lh5"), group="ch7", wo_mode="of")
    for config, error, words in (
        ({"outputs": ["enrgy"]}, BadInput, "enrgy"),
        ({"outputs": ["a"], "operations": {"a": operation("flat + 1")}}, BadInput, "flat"),
        ({"outputs": ["a"], "operations": {"a": operation("2 * 3")}}, UserError, "a value for each row"),
        (
            {"outputs": ["a"], "operations": {"a": operation("b + 1"), "b": operation("a + 1")}},
            UserError,
            "needs itself",
        ),
    ):
        with pytest.raises(error, match=words):
            calibrate(tmp_path / "dsp.lh5", "ch7/dsp", config, tmp_path / "hit.lh5", "ch7/hit")


@pytest.mark.parametrize("rows", [None, list(range(3, 280)), [1, 5, 9, 200]])
def test_traces_read_in_small_parts_give_the_same_values(
    rows: list[int] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = raw_file(tmp_path / "raw.lh5", whole(germanium(300)))
    monkeypatch.setattr(rawtables, "PART", 1)
    files = [tmp_path / f"{wanted}.lh5" for wanted in "10"]
    for wanted, file in zip("10", files, strict=True):
        monkeypatch.setenv(FAST, wanted)
        run_chain(path, TABLE, chain("geds"), {"pz": {"tau1": "400*us"}}, target=file, rows=rows)
    ours, theirs = map(content, files)
    assert ours == theirs
    assert ours["ch1/dsp/timestamp"][1] == (300 if rows is None else len(rows),)
