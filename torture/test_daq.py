"""Damaged DAQ files through tier_raw: one sentence and nothing written, or a whole file with all undamaged events."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import daq2lh5  # noqa: F401 - in memory before the children are forked
import h5py
import hdf5plugin  # noqa: F401 - registers the compressions of raw files
import pytest
from torture import damage
from torture.children import OUR_FAULT, Ending, in_child
from torture.conftest import SEED, Experiment, bare_cycle, simulated, size

from dataflow.jobs.runner import main
from dataflow.steps.tier_raw import build as _raw  # noqa: F401 - as above
from gebox.files import fcio

if TYPE_CHECKING:
    from torture.conftest import Note

CASES = size("DAQ", 1000)
SECONDS = 60
"""A job of a file of a few MB takes a tenth of a second; whoever takes this long hangs."""
Row = tuple[str, str]
"""Table, and a hash of the waveform."""
EVENTS = (fcio.EVENT, fcio.SPARSE_EVENT)


class Bench:
    """A cycle with one DAQ file that is damaged again and again.

    Parameters
    ----------
    folder
        Where the cycle is.
    experiment
        Where its file comes from.
    """

    def __init__(self, folder: Path, experiment: Experiment) -> None:
        source = experiment.file()
        self.config = bare_cycle(folder, experiment, source)
        self.key = source.name.partition(".")[0]
        self.daq = folder / "generated/tier/daq" / source.relative_to(experiment.daq)
        self.generated = folder / "generated"
        self.original = source.read_bytes()

    def run(self) -> Ending:
        """tier_raw of the file as it is now, in a child."""
        words = ["tier_raw", "--config", str(self.config), "--key", self.key]
        return in_child(lambda: main(words), SECONDS)

    def clear(self) -> None:
        """Away with all that was made."""
        shutil.rmtree(self.generated / "tier/raw", ignore_errors=True)
        shutil.rmtree(self.generated / "tmp", ignore_errors=True)

    def made(self) -> list[Path]:
        """The files of the tier, whole or not; not the records beside them."""
        found = (path for path in (self.generated / "tier/raw").rglob("*") if path.is_file())
        return sorted(path for path in found if path.parent.name != ".lineage")

    def log(self) -> str:
        """What the jobs logged."""
        return "".join(path.read_text(errors="replace") for path in (self.generated / "tmp").rglob("*.log"))


def rows_of(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Each table of a raw file with the hashes of its waveforms; all columns are read."""
    with h5py.File(path) as file:
        for channel in sorted(file):
            table = file.get(f"{channel}/raw")
            if not isinstance(table, h5py.Group) or "waveform" not in table:
                continue
            lengths = {len(node) for node in _datasets(table)}
            assert len(lengths) == 1, f"{channel}: columns of different lengths {lengths}"
            yield channel, [hashed(wave.tobytes()) for wave in table["waveform/values"][:]]


def _datasets(table: h5py.Group) -> list[h5py.Dataset]:
    columns = [node for node in table.values() if isinstance(node, h5py.Dataset)]
    return [column for column in columns if column[:] is not None]


def hashed(data: bytes) -> str:
    """A short name of some bytes."""
    return hashlib.blake2b(data, digest_size=12).hexdigest()


def waveforms(record: bytes, samples: int) -> list[str]:
    """The hashes of the traces in an event record, straight from its bytes."""
    frames, place = [], 4
    while place < len(record):
        (length,) = struct.unpack_from("<i", record, place)
        frames.append(record[place + 4 : place + 4 + length])
        place += 4 + length
    width = 2 * (2 + samples)
    if -struct.unpack_from("<i", record)[0] == fcio.EVENT:
        traces = [frames[4][begin : begin + width] for begin in range(0, len(frames[4]), width)]
    else:
        traces = [frame for frame in frames if len(frame) == width]
    return [hashed(trace[4:]) for trace in traces]


def test_damaged_flashcam_files(experiment: Experiment, tmp_path: Path, figures: Note) -> None:
    bench = Bench(tmp_path / "cycle", experiment)
    assert bench.run().code == 0
    tables = dict(rows_of(bench.made()[0]))
    samples = _samples(bench.made()[0])
    known = {wave for waves in tables.values() for wave in waves}
    where = {(wave, table) for table, waves in tables.items() for wave in waves}
    originals = Counter(damage.pieces(bench.original)[1])

    def complaint(data: bytes) -> str:
        """What is wrong with a file that was made from damaged data; empty if nothing is."""
        try:
            records = damage.pieces(data)[1]
        except ValueError as error:
            return f"was taken although {error}"
        undamaged = [record for record in records if record in originals and is_event(record)]
        expected = Counter(wave for record in undamaged for wave in waveforms(record, samples) if wave in known)
        found = dict(rows_of(bench.made()[0]))
        have = Counter(wave for waves in found.values() for wave in waves)
        astray = sum((wave, table) not in where for table, waves in found.items() for wave in waves if wave in known)
        if astray:
            return f"{astray} undamaged waveforms stand in another channel's table"
        lost = expected - have
        if lost and _says_unmapped(bench.made()[0]):  # a damaged channel number: the file says which it left out
            gone = set(tables) - set(found)
            lost -= Counter(wave for table in gone for wave in tables[table])
        return f"{lost.total()} of {expected.total()} undamaged waveforms are missing" if lost else ""

    _campaign(bench, CASES - CASES // 5, damage.pieces, complaint, figures)


def test_damaged_orca_files(tmp_path: Path, figures: Note) -> None:
    """Weaker than for FlashCam: what is made is whole, and no event is invented beyond the damaged ones."""
    bench = Bench(tmp_path / "cycle", simulated(tmp_path / "experiment", "orca"))
    assert bench.run().code == 0

    def complaint(data: bytes) -> str:
        try:
            damage.orca_pieces(data)
        except (ValueError, struct.error) as error:
            return f"was taken although {error}"
        return "" if sum(len(waves) for _, waves in rows_of(bench.made()[0])) else "a file without rows"

    _campaign(bench, CASES // 5, damage.orca_pieces, complaint, figures)


def _says_unmapped(path: Path) -> bool:
    with h5py.File(path) as file:
        return "unmapped_channels" in file.attrs


def is_event(record: bytes) -> bool:
    """Whether a record holds an event."""
    return -struct.unpack_from("<i", record)[0] in EVENTS


def _samples(path: Path) -> int:
    with h5py.File(path) as file:
        return int(file[sorted(name for name in file if name.startswith("ch"))[0]]["raw/waveform/values"].shape[1])


def _campaign(bench: Bench, cases: int, cut: damage.Pieces, complaint: Callable[[bytes], str], figures: Note) -> None:
    outcomes: Counter[str] = Counter()
    wrong = []
    for case in range(cases):
        way = damage.WAYS[case % len(damage.WAYS)]
        data = way(bench.original, random.Random(f"{SEED}/{case}"), cut)
        bench.clear()
        bench.daq.write_bytes(data)
        ending = bench.run()
        verdict = _verdict(bench, ending, partial(complaint, data))
        outcomes[f"{way.__name__}: {'refused' if ending.code else 'made'}"] += 1
        if verdict:
            wrong.append(f"case {case} ({way.__name__}): {verdict}")
            _keep(data, case, bench)
    figures(cases=cases, wrong=len(wrong), outcomes=dict(sorted(outcomes.items())))
    assert wrong == [], "\n".join(wrong)


def _verdict(bench: Bench, ending: Ending, complaint: Callable[[], str]) -> str:
    made = bench.made()
    if ending.hung:
        return f"hangs for {SECONDS} s"
    if ending.code < 0:
        return f"died of signal {-ending.code}"
    if ending.code == 0:
        return complaint() if len(made) == 1 else f"exit 0 with the files {made}"
    if made:
        return f"exit {ending.code}, and yet there are {made}"
    if ending.code == OUR_FAULT or "Traceback" in ending.said or "an error in the program" in ending.said:
        return f"{ending.said} {bench.log()[-2000:]}"
    return "" if "error: " in ending.said else f"no sentence: {ending.said!r}"


def _keep(data: bytes, case: int, bench: Bench) -> None:
    if folder := os.environ.get("TORTURE_KEEP"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{case:04d}{bench.daq.suffix}").write_bytes(data)


if len(damage.WAYS) > CASES:
    pytest.skip("TORTURE_DAQ is smaller than the number of ways of damaging", allow_module_level=True)
