"""Writes that HDF5 could not do are noticed.

HDF5 keeps data in memory until a file is closed. Where the last reference closes it, h5py can only print that the
disk was full ("Exception ignored in …"), and the job goes on with a broken file. Here such a message is an error.
"""

from __future__ import annotations

import errno
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import is_full_disk


@contextmanager
def no_lost_writes() -> Iterator[None]:
    """Raise at the end of the block if anything inside could not be written when it was closed.

    Raises
    ------
    OSError
        With ``ENOSPC``: the disk is full.
    """
    lost: list[str] = []
    before = sys.unraisablehook
    # The collection below looks at what the block made, not at all libraries, which takes half a second. Nothing is
    # unfrozen: a job does not live long.
    gc.freeze()

    def watch(event: sys.UnraisableHookArgs) -> None:
        if event.exc_value is not None and _is_lost_write(event.exc_value):
            lost.append(str(event.exc_value))
        else:
            before(event)

    sys.unraisablehook = watch
    cause: Exception | None = None
    try:
        yield
    except Exception as error:  # noqa: BLE001 - raised again below, unless it is but a consequence
        cause = error
    finally:
        gc.collect()
        sys.unraisablehook = before
    if lost:
        raise OSError(errno.ENOSPC, f"No space left on device: {lost[0]}") from cause
    if cause is not None:
        raise cause


def _is_lost_write(error: BaseException) -> bool:
    return is_full_disk(error) or "write failed" in str(error) or "decrement id ref count" in str(error)
