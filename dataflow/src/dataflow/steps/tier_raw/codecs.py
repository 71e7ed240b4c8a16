"""Packing of waveforms by the collaboration's codecs, without the loss of those that do not get smaller.

lh5 gives radware's encoder two bytes a sample. A trace that it cannot make smaller (noise over the full range) needs
more: the encoder writes past the end, into the next trace, and what is read back is neither. The last bytes of a trace,
which fill it up to a whole number of words, are whatever the memory held. Here it has room, which is zero before.
``tests/physics/test_raw_settings.py`` has both cases.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from dataflow.base.errors import UserError

CODEC = "compression"
ROOM = 4
"""Bytes for each sample; noise of 16 bits takes less than 2.2."""
LEAST, MOST = -(1 << 15), (1 << 15) - 1


def packed(table: Any, rows: int, name: str) -> Any:
    """A table whose waveforms with a radware codec are encoded; the table itself if it has none.

    Parameters
    ----------
    table
        As decoded.
    rows
        How many of its rows are to be written.
    name
        Its name, for messages.

    Raises
    ------
    UserError
        If the codec cannot hold the samples without loss.
    """
    from lgdo import Table, WaveformTable

    if not isinstance(table, Table):
        return table
    waves = {column: node for column, node in table.items() if isinstance(node, WaveformTable) and _is_radware(node)}
    return _with(table, {column: _encoded(node, rows, f"{name}/{column}") for column, node in waves.items()})


def _is_radware(node: Any) -> bool:
    if CODEC not in node.values.attrs:
        return False
    from lh5.compression import RadwareSigcompress

    return isinstance(node.values.attrs.get(CODEC), RadwareSigcompress)


def _encoded(waves: Any, rows: int, name: str) -> Any:
    from lgdo import ArrayOfEncodedEqualSizedArrays, ArrayOfEqualSizedArrays
    from lh5.compression import radware

    codec, samples = waves.values.attrs[CODEC], waves.values.nda[:rows]
    shift = int(codec.codec_shift)
    if samples.size and not LEAST <= int(samples.min()) + shift <= int(samples.max()) + shift <= MOST:
        said = f"the samples of {name} reach from {samples.min()} to {samples.max()}"
        hint = "use ULEB128ZigZagDiff(), or another codec_shift"
        raise UserError(f"{said}, which RadwareSigcompress(codec_shift={shift}) cannot hold", hint=hint)
    room = np.zeros((len(samples), ROOM * samples.shape[1]), dtype="u1")
    content, lengths = radware.encode(np.ascontiguousarray(samples), room, shift=shift)
    vectors = ArrayOfEqualSizedArrays(nda=content).to_vov(cumulative_length=np.cumsum(lengths, dtype="u4"))
    encoded = ArrayOfEncodedEqualSizedArrays(vectors, decoded_size=samples.shape[1])
    encoded.attrs |= codec.asdict()
    return _with(waves, {"values": encoded})


def _with(struct: Any, columns: dict[str, Any]) -> Any:
    """A struct with other columns; the original, whose memory is used again, is not changed."""
    if not columns:
        return struct
    made = copy.copy(struct)
    made.obj_dict = dict(struct.obj_dict) | columns
    return made
