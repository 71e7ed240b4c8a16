"""Settings of raw: the options of :func:`daq2lh5.build_raw`, and what is decoded into which table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from dataflow.metadata.settings import StepOptions, StepSettings


class RawSettings(StepSettings):
    """How a DAQ file is decoded.

    Attributes
    ----------
    buffer_size
        Rows that are decoded at a time; without it, as many as the memory allows.
    n_max
        Rows after which decoding ends.
    hdf5_settings
        Compression and filters of the datasets.
    compass_config_file
        Settings file of a CoMPASS data acquisition.
    db_dict
        Values for ``db.NAME`` in the processing of a table, by table.
    salvage
        Take what is whole of a DAQ file that breaks off; the raw file is marked.
    event_decoder
        What reads the events of FlashCam, in ORCA files too, instead of compiled code, which gives the same and is
        slower: ``fcio`` the package of this name, event by event (in ORCA files as the next one); ``daq2lh5`` the
        decoder of legend-daq2lh5, trace by trace.
    aliases
        Add the names of detectors as hard links, ``raw/V07302A`` and ``V07302A/raw``: yes if not said.
    """

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {"overwrite": "outputs are always new"}

    buffer_size: int | None = Field(None, ge=1)
    n_max: float | None = Field(None, ge=1)
    hdf5_settings: dict[str, Any] | None = None
    compass_config_file: str | None = None
    db_dict: dict[str, Any] | None = None
    salvage: bool | None = None
    event_decoder: Literal["daq2lh5", "fcio"] | None = None
    aliases: bool | None = None


class RawOptions(StepOptions):
    """Options of the rule.

    Attributes
    ----------
    settings
        Laid over the input ``settings``.
    """

    settings: RawSettings | None = None


class ProcSpec(StepSettings):
    """Processing of a table before it is written, in this order.

    Attributes
    ----------
    window
        ``[column, first, last, new column]``, or a list of those.
    dsp_config
        A processing chain with ``outputs`` and ``processors``, or a file with one.
    drop
        Columns that are not written.
    dtype_conv
        Types of columns: ``presum_rate: uint16``.
    compression
        Codecs of columns: ``waveform/values: RadwareSigcompress(codec_shift=-32768)``.
    hdf5_settings
        Filters of columns.
    """

    window: tuple[Any, ...] | None = None
    dsp_config: dict[str, Any] | str | None = None
    drop: tuple[str, ...] | None = None
    dtype_conv: dict[str, str] | None = None
    compression: dict[str, Any] | None = None
    hdf5_settings: dict[str, Any] | None = None


class RawGroup(StepSettings):
    """One table of a decoder.

    Attributes
    ----------
    key_list
        Channels or other keys of the decoder; ``*`` for all, ``[first, last]`` for a range.
    out_stream
        The file to write, as a rule left out.
    out_name
        Name of the table; without it, that of the entry.
    proc_spec
        Processing before the table is written.
    """

    key_list: tuple[Any, ...] = ()
    out_stream: str | None = None
    out_name: str | None = None
    proc_spec: ProcSpec | None = None


class OutSpec(StepSettings):
    """Tables by decoder and name, in the form of :class:`daq2lh5.raw_buffer.RawBufferLibrary`."""

    model_config = ConfigDict(extra="allow")

    EXTRA: ClassVar[Any] = dict[str, RawGroup]

    __pydantic_extra__: dict[str, dict[str, RawGroup]] = Field(init=False)
