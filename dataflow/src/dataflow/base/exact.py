"""Whether nested values are the same in every type, fast: what ``==`` takes for the same may be read otherwise."""

from __future__ import annotations

import marshal
from typing import Any

PLAIN = 2
"""The last form of marshal that writes what stands in two places twice, so that equal values give equal bytes."""


def exact(value: Any) -> bytes | None:  # noqa: ANN401 - any tree of values
    """Bytes that are the same for two values only if they are equal, of equal types, and in the same order.

    Parameters
    ----------
    value
        Mappings, lists and plain values, as they are read from YAML and JSON.

    Returns
    -------
    bytes or None
        None for what else YAML may give, such as a date.
    """
    try:
        return marshal.dumps(value, PLAIN)
    except ValueError:
        return None
