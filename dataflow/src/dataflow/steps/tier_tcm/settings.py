"""Settings of tcm: the options of :func:`pygama.evt.build_tcm`."""

from __future__ import annotations

from pydantic import Field

from dataflow.metadata.settings import StepSettings


class TcmSettings(StepSettings):
    """What belongs to one event.

    Attributes
    ----------
    coin_cols
        Columns of times that are compared.
    coin_windows
        How far after the last hit the next one may come, in the units of the columns (s).
    window_refs
        What a window is counted from: last.
    hash_func
        Expression that finds the channel's number in the name of its table; null where tables have no number.
    out_fields
        Further columns to take over.
    buffer_len
        Rows in memory.
    """

    coin_cols: str | tuple[str, ...] = "timestamp"
    coin_windows: float | tuple[float, ...] = 1e-5
    window_refs: str | tuple[str, ...] = "last"
    hash_func: str | None = r"\d+"
    out_fields: str | tuple[str, ...] | None = None
    buffer_len: int | None = Field(None, ge=1)
