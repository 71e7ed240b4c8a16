"""How work fails.

Exception
├── UserError          (dataflow.plan.errors) a slip of the person: exit code 2
└── WorkFailed         the data or the machine does not allow it: exit code 1
    ├── BadInput       an input cannot be read, or does not hold what it must
    └── NoSpace        the disk is full
"""

from __future__ import annotations

import errno
import os

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class WorkFailed(Exception):
    """The job cannot be done; one sentence says why.

    Parameters
    ----------
    message
        One sentence with the file or value concerned.
    hint
        The next thing to do, or an empty string.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self), self.message, self.hint)

    def render(self) -> str:
        """The lines for the terminal: ``error: …`` and, where there is one, ``hint: …``."""
        return f"error: {self.message}" + (f"\nhint: {self.hint}" if self.hint else "")


class BadInput(WorkFailed):
    """An input file cannot be read, or does not hold what it must."""


class NoSpace(WorkFailed):
    """The disk is full."""


def _again(kind: type[WorkFailed], message: str, hint: str) -> WorkFailed:
    return kind(message, hint=hint)


def is_full_disk(error: BaseException) -> bool:
    """Whether an error says that the disk, a quota or the allowed file size is full; HDF5 says so only in words."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    text = str(error).lower()
    return any(os.strerror(number).lower() in text or f"errno = {number}," in text for number in FULL)
