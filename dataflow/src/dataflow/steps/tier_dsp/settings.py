"""Settings of dsp: a processing chain in the form of :func:`dspeed.build_dsp`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from dataflow.metadata.settings import StepOptions, StepSettings


class Processor(StepSettings):
    """One processor of a chain.

    Attributes
    ----------
    function
        Name of the function, or an expression.
    module
        Where the function is.
    args
        Names of variables, numbers, and ``db.NAME`` for the detector's parameters.
    kwargs
        Keyword arguments.
    init_args
        Arguments of a function that is made first.
    unit
        Unit of each output.
    defaults
        Values of ``db.NAME`` where the detector has none.
    prereqs
        Variables that it needs and that its arguments do not show.
    signature, types
        Signature and types of a function that does not tell them.
    coord_grid
        The grid that outputs are coordinates of.
    lh5_attrs
        Attributes of the outputs.
    description
        What it computes.
    """

    function: str
    module: str | None = None
    args: tuple[Any, ...] | None = None
    kwargs: dict[str, Any] | None = None
    init_args: tuple[Any, ...] | None = None
    unit: str | tuple[str | None, ...] | None = None
    defaults: dict[str, Any] | None = None
    prereqs: tuple[str, ...] | None = None
    signature: str | None = None
    types: tuple[str, ...] | None = None
    coord_grid: Any = None
    lh5_attrs: dict[str, Any] | None = None
    description: str | None = None


class ProcessingChain(StepSettings):
    """What is computed from the waveforms of a channel.

    Attributes
    ----------
    outputs
        Columns of the result: outputs of processors, or columns of the input that are handed on.
    processors
        By the names of their outputs, several separated by commas; a text is an expression.
    inputs
        Further tables to read from.
    windowed
        What is different where the raw table holds windowed and presummed waveforms: further processors, and others in
        the place of those of the same name.
    """

    outputs: tuple[str, ...]
    processors: dict[str, Processor | str]
    inputs: tuple[dict[str, Any], ...] | None = None
    windowed: dict[str, Any] | None = None


class DspSettings(StepSettings):
    """Sizes, which change nothing about the values, and names.

    Attributes
    ----------
    buffer_len
        Rows in memory.
    block_width
        Rows that dspeed's own driver processes at a time; compiled chains have blocks of a fixed size.
    aliases
        Add the names of detectors as hard links, ``dsp/V07302A`` and ``V07302A/dsp``.
    """

    buffer_len: int = Field(4000, ge=1)
    block_width: int = Field(16, ge=1)
    aliases: bool = True


class DspOptions(StepOptions):
    """Options of the rule.

    Attributes
    ----------
    settings
        Sizes of buffer and block.
    """

    settings: DspSettings | None = None
