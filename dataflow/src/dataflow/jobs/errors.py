"""How work fails.

SentenceError            (dataflow.plan.errors)
├── UserError            (dataflow.plan.errors) a slip of the person: exit code 2
└── WorkFailed           the data or the machine does not allow it: exit code 1
    ├── BadInput         an input cannot be read, or does not hold what it must
    └── NoSpace          the disk is full
"""

from __future__ import annotations

import errno
import os

from dataflow.plan.errors import SentenceError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class WorkFailed(SentenceError):
    """The job cannot be done; one sentence says why."""


class BadInput(WorkFailed):
    """An input file cannot be read, or does not hold what it must."""


class NoSpace(WorkFailed):
    """The disk is full."""


def is_full_disk(error: BaseException) -> bool:
    """Whether an error says that the disk, a quota or the allowed file size is full; HDF5 says so only in words."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    text = str(error).lower()
    return any(os.strerror(number).lower() in text or f"errno = {number}," in text for number in FULL)
