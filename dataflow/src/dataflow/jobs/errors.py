"""How work fails.

SentenceError            (dataflow.base.errors)
├── UserError            (dataflow.base.errors) a mistake of the user: exit code 2
└── WorkFailed           the data or the machine does not allow it: exit code 1
    ├── BadInput         an input cannot be read, or does not hold what it must
    └── NoSpace          the disk is full
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from dataflow.base.errors import SentenceError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class WorkFailed(SentenceError):
    """The job cannot be done; one sentence says why."""


class BadInput(WorkFailed):
    """An input file cannot be read, or does not hold what it must."""


class NoSpace(WorkFailed):
    """The disk is full."""


NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_MEMORY = ("cannot allocate memory", "failed to map segment", "unable to allocate")


def is_full_disk(error: BaseException) -> bool:
    """Whether an error, or what led to it, says that the disk, a quota or the allowed file size is full."""
    return any(_is_full(each) for each in chain(error))


def of_the_machine(error: BaseException) -> WorkFailed | None:
    """The sentence for an error that is not a mistake of a program: no right to write, no memory. None for others."""
    for each in chain(error):
        if isinstance(each, MemoryError) or _is_no_memory(each):
            hint = "give the job more memory, or fewer threads, and run again"
            return WorkFailed("there is not enough memory", hint=hint)
        if isinstance(each, OSError) and each.errno in NOT_ALLOWED:
            reason = " ".join(str(each).split())
            return WorkFailed(reason, hint="see who owns the file or folder, and whether its disk can be written to")
    return None


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__


def _is_full(error: BaseException) -> bool:
    """HDF5 says so only in words."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    text = str(error).lower()
    return any(os.strerror(number).lower() in text or f"errno = {number}," in text for number in FULL)


def _is_no_memory(error: BaseException) -> bool:
    """Libraries that cannot be loaded say so only in words."""
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, (ImportError, OSError, RuntimeError)) and any(
        words in str(error).lower() for words in NO_MEMORY
    )
