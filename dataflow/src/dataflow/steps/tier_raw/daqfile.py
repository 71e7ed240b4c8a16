"""What a DAQ file is and which channels it has; whether it is whole is known before hours of decoding."""

from __future__ import annotations

import bz2
import gzip
import logging
import mmap
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from dataflow.base.errors import SentenceError, UserError
from dataflow.jobs.errors import BadInput, is_full_disk, of_the_machine
from dataflow.jobs.spread import reason_of
from dataflow.keys.daqforms import GROUP, form_and_stem
from dataflow.steps.tier_raw.formats.form import BrokenError, Form

from .formats import compass, flashcam, llama, orca

log = logging.getLogger(__name__)

OWN: Mapping[str, Form] = {"fcio": flashcam.FORM, "orca": orca.FORM, "compass": compass.FORM, "llama": llama.FORM}
"""By the names of :data:`dataflow.keys.daqforms.FORMS`."""
UNPACKERS: Mapping[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open}
CHUNK = 1 << 22
LET_GO = 1 << 25
"""Bytes of a file that are looked at before their pages are let go."""
_REPLACE = "copy the file again from where it came, or list its key under unprocessable in ignored_daq_cycles.yaml"
_SALVAGE = "salvage: true in the settings of tier_raw takes what is whole"


@dataclass(frozen=True)
class DaqFile:
    """A DAQ file as found.

    Attributes
    ----------
    path
        The file.
    stream
        What legend-daq2lh5 calls its form: ``FlashCam``, ``ORCA``, ``Compass``, ``LlamaDaq``.
    keys
        Channel numbers (rawids) by the name of the decoder that decodes their waveforms.
    samples
        Length of a trace, 0 if the file does not tell.
    context
        Decoders of what is not waveforms, with their tables and keys; see :class:`.formats.form.Content`.
    plain
        The file to decode: ``path``, or its whole part without packing.
    lost
        What a salvaged file lacks, empty for a whole one.
    form
        How files of its form are read.
    bits
        Depth of the digitizers, 0 if the file does not tell.
    rows
        Rows that the waveforms of one packet may fill at most, 0 for one of each channel.
    """

    path: Path
    stream: str
    keys: Mapping[str, tuple[int, ...]]
    samples: int
    context: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    plain: Path = Path()
    lost: str = ""
    form: Form = flashcam.FORM
    bits: int = 0
    rows: int = 0


@contextmanager
def opened(path: Path, work: Path, settings: Mapping[str, Any], *, salvage: bool = False) -> Iterator[DaqFile]:
    """Look at a DAQ file: that it is whole, and which channels it has.

    Parameters
    ----------
    path
        The file, packed by gzip or bzip2 or not.
    work
        Where an unpacked or salvaged copy may stand meanwhile.
    settings
        Settings of the step.
    salvage
        Take the whole records of a file that breaks off.

    Raises
    ------
    BadInput
        If it is empty, truncated or corrupted.
    """
    if not path.is_file() or path.stat().st_size == 0:
        raise BadInput(f"the DAQ file {path} is empty" if path.is_file() else f"there is no DAQ file {path}")
    form = form_of(path)
    try:
        plain, lost = _unpacked(path, work, salvage=salvage) if path.suffix in UNPACKERS else (path, "")
        end, broken = check_whole(plain, form, path, salvage=salvage)
        if broken:
            plain, lost = _cut(plain, work, end), broken
        with simply_named(plain) as simple:
            yield replace(look(path, simple, form, settings), lost=lost)
    finally:
        work.unlink(missing_ok=True)


@contextmanager
def simply_named(path: Path) -> Iterator[Path]:
    """The file under a path of ASCII characters: the library that reads FlashCam files takes no others."""
    if str(path).isascii():
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"daq{path.suffix}"
        link.symlink_to(path.resolve())
        yield link


def open_daq(path: Path, settings: Mapping[str, Any] | None = None) -> DaqFile:
    """Look at a DAQ file that shall not be decoded; see :func:`opened`."""
    with tempfile.TemporaryDirectory() as folder, opened(path, Path(folder) / path.name, settings or {}) as found:
        return found


def look(path: Path, plain: Path, form: Form, settings: Mapping[str, Any]) -> DaqFile:
    """Which channels a file has."""
    try:
        found = form.content(plain, settings)
    except Exception as error:  # noqa: BLE001 - damaged bytes make the readers fail in every way there is
        refuse_undecodable(path, "read", error)
    about = (found.keys, found.samples, found.context)
    return DaqFile(path, form.stream, *about, plain, form=form, bits=found.bits, rows=found.rows)


def form_of(path: Path) -> Form:
    """The form that a file's name stands for.

    Raises
    ------
    BadInput
        If the name has no ending of a DAQ file.
    UserError
        If another package that declares the form cannot be loaded.
    """
    found = form_and_stem(path.name)  # no other package can take one of these names
    if found is None:  # to ask all packages takes as long as the rest of looking at a file
        found = form_and_stem(path.name, tuple(entry.name for entry in metadata.entry_points(group=GROUP)))
    if found is None:
        raise BadInput(f"{path} is not a DAQ file: its name has no ending of a known form")
    name = found[0].name
    if name in OWN:
        return OWN[name]
    (entry,) = metadata.entry_points(group=GROUP, name=name)
    try:
        form = entry.load()
    except Exception as error:
        raise UserError(f"the decoder {entry.value} of {name} files cannot be loaded: {reason_of(error)}") from error
    if not isinstance(form, Form):
        hint = "it must be a dataflow.steps.tier_raw.formats.form.Form"
        raise UserError(f"the entry point {name} = {entry.value} of {GROUP} is {type(form).__name__}", hint=hint)
    return form


def refuse_undecodable(path: Path, done: str, error: Exception) -> NoReturn:
    """Blame a file for what a reader of it raised, unless it was the machine's fault.

    Raises
    ------
    BadInput
        Which names the file and the error.
    """
    if isinstance(error, SentenceError) or is_full_disk(error) or of_the_machine(error):
        raise error
    log.info("the reader failed", exc_info=error)
    raise BadInput(f"the DAQ file {path} cannot be {done}: {reason_of(error)}", hint=_REPLACE) from error


def check_whole(plain: Path, form: Form, path: Path | None = None, *, salvage: bool = False) -> tuple[int, str]:
    """Walk the records of an unpacked file.

    Returns
    -------
    end, broken
        The end of the last whole record in bytes; why nothing is taken of what comes after it, empty for a whole file.

    Raises
    ------
    BadInput
        If the file ends inside a record or its structure is broken; the byte is named. With `salvage` only if there is
        no whole record.
    """
    path, end, whole, seen = path or plain, 0, 0, 0
    if plain.stat().st_size == 0:
        raise BadInput(f"the DAQ file {path} is empty")
    with plain.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            for end in form.records(data):
                whole += 1
                seen = _let_go(data, seen, end)
        except BrokenError as error:
            where = f"{error.what} at byte {error.place} of {len(data)}, after {whole} whole records"
            if salvage and whole:
                return end, where
            raise BadInput(
                f"the DAQ file {path} is {where}", hint=f"{_REPLACE}; {_SALVAGE}" if whole else _REPLACE
            ) from error
    return end, ""


def _let_go(data: mmap.mmap, seen: int, end: int) -> int:
    """Let the pages of a file go that were looked at, or all of it stays in memory; returns the end of what is gone."""
    if end - seen < LET_GO or not hasattr(mmap, "MADV_DONTNEED"):
        return seen
    begin, until = (place - place % mmap.PAGESIZE for place in (seen, end))
    data.madvise(mmap.MADV_DONTNEED, begin, until - begin)
    return until


def _unpacked(path: Path, work: Path, *, salvage: bool) -> tuple[Path, str]:
    """Unpack a file beside the output, piece by piece; what could be unpacked of a broken one where that is asked."""
    try:
        with UNPACKERS[path.suffix](path) as packed, work.open("wb") as plain:
            while chunk := packed.read1(CHUNK):  # what comes before a damaged place is kept
                plain.write(chunk)
    except (OSError, EOFError, zlib.error) as error:
        if is_full_disk(error) or of_the_machine(error):
            raise
        where = f"cannot be unpacked to its end: {error}"
        if not (salvage and work.is_file()):
            raise BadInput(f"the DAQ file {path} {where}", hint=f"{_REPLACE}; {_SALVAGE}") from error
        return work, where
    return work, ""


def _cut(plain: Path, work: Path, end: int) -> Path:
    """The first bytes of a file, as a copy: the file itself is never written."""
    if plain == work:
        with work.open("r+b") as file:
            file.truncate(end)
        return work
    with plain.open("rb") as source, work.open("wb") as target:
        while (left := end - target.tell()) > 0:
            target.write(source.read(min(left, CHUNK)))
    return work
