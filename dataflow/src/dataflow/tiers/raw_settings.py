"""Settings of raw: the options of :func:`daq2lh5.build_raw`, and what is decoded into which table."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from dataflow.plan.settings import StepOptions, StepSettings


class RawSettings(StepSettings):
    """How a DAQ file is decoded.

    Attributes
    ----------
    buffer_size
        Rows that are decoded in one go; without it, as many as the memory allows.
    n_max
        Rows after which decoding ends.
    hdf5_settings
        Compression and filters of the datasets.
    compass_config_file
        Settings file of a CoMPASS data acquisition.
    db_dict
        Names of keys in out_spec.
    """

    buffer_size: int | None = Field(None, ge=1)
    n_max: float | None = Field(None, ge=1)
    hdf5_settings: dict[str, Any] | None = None
    compass_config_file: str | None = None
    db_dict: dict[str, Any] | None = None


class RawOptions(StepOptions):
    """Options of the rule.

    Attributes
    ----------
    settings
        Laid over the input ``settings``.
    """

    settings: RawSettings | None = None


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
        Processing before the table is written: window, dsp_config, drop, dtype_conv, compression, hdf5_settings.
    """

    key_list: tuple[Any, ...] = ()
    out_stream: str | None = None
    out_name: str | None = None
    proc_spec: dict[str, Any] | None = None


class OutSpec(StepSettings):
    """Tables by decoder and name, in the form of :class:`daq2lh5.raw_buffer.RawBufferLibrary`."""

    model_config = ConfigDict(extra="allow")

    EXTRA: ClassVar[Any] = dict[str, RawGroup]

    __pydantic_extra__: dict[str, dict[str, RawGroup]] = Field(init=False)
