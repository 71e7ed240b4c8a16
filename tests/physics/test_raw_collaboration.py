"""The shipped example of raw settings gives LEGEND-200's own raw file, from a DAQ file of its present form."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions
import lh5
import numpy as np
import pytest

from dataflow.checks.lh5check import check_file

if TYPE_CHECKING:
    from tests.physics.conftest import SmallCycle

Maker = Callable[..., "SmallCycle"]

KEY = "l200-p14-r004-cal-20250606T010224Z"
DETECTORS = {
    "V07302A": 1105600,
    "V00048A": 1105604,
    "V03421A": 1107202,
    "B00079C": 1113600,
    "B00000D": 1115200,
    "V00050B": 1115205,
}
CHANNELS = {name: {"rawid": rawid} for name, rawid in DETECTORS.items()}
EXAMPLE = Path(__file__).parents[2] / "docs/examples/legend-raw"
WAVEFORMS = {"waveform_windowed": (1400, 16.0), "waveform_presummed": (781, 128.0)}
CODED = "encoded_data/flattened_data"


def with_example(cycle: SmallCycle) -> SmallCycle:
    folder = cycle.folder / "inputs/dataprod/config"
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    return cycle


def test_verify_finds_nothing_wrong(files: tuple[h5py.File, h5py.File]) -> None:
    for file in files:
        assert check_file(Path(file.filename), "raw").problems == []


@pytest.fixture(scope="module")
def files(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[h5py.File, h5py.File]]:
    """Our raw file and the collaboration's."""
    from tests.physics.conftest import make_cycle

    cycle = make_cycle(tmp_path_factory.mktemp("p14") / "cycle", shared_data / f"orca/{KEY}.orca", KEY, CHANNELS)
    with_example(cycle).run("tier_raw")
    theirs = shared_data / f"lh5/prod-ref-l200/generated/tier/raw/cal/p14/r004/{KEY}-tier_raw.lh5"
    with h5py.File(cycle.output("tier_raw")) as one, h5py.File(theirs) as other:
        yield one, other


def datasets(group: h5py.Group, above: str = "") -> dict[str, h5py.Dataset]:
    """All datasets below a group, by name."""
    found: dict[str, h5py.Dataset] = {}
    for name, node in group.items():
        found |= datasets(node, f"{above}{name}/") if isinstance(node, h5py.Group) else {f"{above}{name}": node}
    return found


@pytest.mark.parametrize("rawid", DETECTORS.values())
def test_all_fields_are_the_collaborations(files: tuple[h5py.File, h5py.File], rawid: int) -> None:
    ours, theirs = (file[f"ch{rawid}/raw"] for file in files)
    assert len(theirs) == 37
    assert sorted(ours) == sorted(theirs)
    mine, others = datasets(ours), datasets(theirs)
    assert sorted(mine) == sorted(others)
    assert len(others) == 35 + 2 * 5
    for name, expected in others.items():
        found = mine[name]
        assert (found.dtype, found.chunks, found._filters) == (expected.dtype, expected.chunks, expected._filters), name
        if not name.endswith(CODED):  # bytes that fill up a coded trace are of no meaning: see below
            np.testing.assert_array_equal(found[()], expected[()], err_msg=name)
    for name, expected in theirs.items():
        assert dict(ours[name].attrs) == dict(expected.attrs), name


@pytest.mark.parametrize("rawid", DETECTORS.values())
def test_all_waveforms_are_the_collaborations(files: tuple[h5py.File, h5py.File], rawid: int) -> None:
    for name, (samples, period) in WAVEFORMS.items():
        ours, theirs = (lh5.read(f"ch{rawid}/raw/{name}", file) for file in files)
        assert ours.values.nda.shape[1] == samples
        assert (ours.dt.nda == period).all()
        np.testing.assert_array_equal(ours.values.nda, theirs.values.nda, err_msg=name)
        assert ours.values.nda.any()


def test_the_sums_are_those_of_the_digitizer(shared_data: Path, cycle_of: Maker, files: Any) -> None:
    """Independent of dspeed: window and sums of the whole traces by numpy."""
    cycle = cycle_of(shared_data / f"orca/{KEY}.orca", KEY, CHANNELS)
    cycle.run("tier_raw")
    for rawid in DETECTORS.values():
        whole = lh5.read(f"ch{rawid}/raw/waveform/values", str(cycle.output("tier_raw"))).nda
        assert whole.shape[1] == 6250
        made = files[0]
        windowed = lh5.read(f"ch{rawid}/raw/waveform_windowed/values", made).nda
        np.testing.assert_array_equal(windowed, whole[:, 2625:-2225])
        sums = whole[:, : 781 * 8].astype("i8").reshape(len(whole), 781, 8).sum(axis=2)
        np.testing.assert_array_equal(lh5.read(f"ch{rawid}/raw/waveform_presummed/values", made).nda, sums)


def test_what_is_not_waveforms_is_the_collaborations(files: tuple[h5py.File, h5py.File]) -> None:
    ours, theirs = (datasets(file["extra"]) for file in files)
    assert sorted(ours) == sorted(theirs)
    assert "fcid_2/config/nsamples" in ours
    for name, expected in theirs.items():
        if name != "OrcaHeader":  # the text of the whole header
            np.testing.assert_array_equal(ours[name][()], expected[()], err_msg=name)
    assert ours["OrcaHeader"][()] == theirs["OrcaHeader"][()]


def test_the_names_of_detectors_are_hard_links(files: tuple[h5py.File, h5py.File]) -> None:
    for file in files:
        assert sorted(file["raw"]) == sorted(DETECTORS)
        assert all(file["raw"][name] == file[f"ch{rawid}/raw"] for name, rawid in DETECTORS.items())
    ours, theirs = (set(str(file.attrs["datatype"])[len("struct{") : -1].split(",")) for file in files)
    assert ours - theirs == set(DETECTORS)  # which lead to the same tables
    assert theirs <= ours
    assert all(files[0][f"{name}/raw"] == files[0][f"ch{rawid}/raw"] for name, rawid in DETECTORS.items())


def test_streams_have_a_table_each_where_nothing_is_configured(shared_data: Path, cycle_of: Maker) -> None:
    cycle = cycle_of(shared_data / f"orca/{KEY}.orca", KEY, CHANNELS)
    cycle.run("tier_raw")
    raw = str(cycle.output("tier_raw"))
    lengths = {stream: lh5.read(f"ORFCIOConfig/fcid_{stream}/config/nsamples", raw).nda.tolist() for stream in (1, 2)}
    assert lengths == {1: [6250], 2: [220]}
    assert sorted(lh5.ls(raw, "raw/")) == sorted(f"raw/{name}" for name in DETECTORS)
    assert check_file(cycle.output("tier_raw"), "raw").problems == []


def test_software_triggers_have_tables_of_their_own(shared_data: Path, tmp_path: Path) -> None:
    """Their columns are others: in one table with the streams they would be mixed."""
    from daq2lh5.orca.orca_streamer import OrcaStreamer
    from daq2lh5.raw_buffer import RawBufferLibrary

    from dataflow.steps.tier_raw.daqfile import open_daq

    data = (shared_data / f"orca/{KEY}.orca").read_bytes()
    at = data.index(b"fspEnabled")
    off = data.index(b"<false/>", at)
    source = tmp_path / "triggered.orca"
    source.write_bytes(data[:off] + b"<true/> " + data[off + len(b"<false/>") :])
    context = {
        decoder: {table: {"key_list": list(keys), "out_stream": "raw"} for table, keys in tables.items()}
        for decoder, tables in open_daq(source).context.items()
    }
    streamer = OrcaStreamer()
    streamer.open_stream(str(source), rb_lib=RawBufferLibrary(config=context), buffer_size=256)
    tables = {buffer.out_name: set(buffer.lgdo) for buffer in streamer.rb_lib["ORFCIOConfigDecoder"]}
    streamer.close_stream()
    streams, triggers = (f"ORFCIOConfig/{kind}id_1/config" for kind in ("fc", "swt"))
    assert sorted(tables) == sorted([streams, "ORFCIOConfig/fcid_2/config", triggers])
    assert "tracemap" in tables[streams]
    assert "tracemap" not in tables[triggers]
