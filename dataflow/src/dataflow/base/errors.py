"""What can go wrong through no fault of ours.

Exception
└── SentenceError        one sentence, and what to do next
    ├── UserError        a mistake of the user: exit code 2
    │   └── Unavailable  what a job needs is not there, and nothing that is there makes it
    └── WorkFailed       (dataflow.jobs.errors) the data or the machine does not allow it: exit code 1
"""

from __future__ import annotations

from collections.abc import Iterable


class SentenceError(Exception):
    """Something that a person shall read, without a traceback.

    Parameters
    ----------
    message
        One sentence that holds the offending value and the choices.
    hint
        The next thing to do, or an empty string.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self), self.message, self.hint)

    def render(self) -> str:
        """The lines for the terminal: ``error: …`` and, where there is one, ``hint: …``."""
        return f"error: {self.message}" + (f"\nhint: {self.hint}" if self.hint else "")


class UserError(SentenceError):
    """Something that the user can put right: a wrong value, a missing file, an unknown name.

    Attributes
    ----------
    others
        What else is wrong, for those who list everything.
    """

    others: tuple[UserError, ...] = ()

    def all(self) -> tuple[UserError, ...]:
        """This one and the others."""
        return (self, *self.others)


def raise_first(errors: Iterable[UserError]) -> None:
    """Raise the first of some errors, which knows the others; nothing happens if there are none.

    Raises
    ------
    UserError
        The first.
    """
    found = [each for error in errors for each in error.all()]
    if found:
        found[0].others = tuple(found[1:])
        raise found[0]


class Unavailable(UserError):
    """An input of a job is not there, and no job makes it: parameters before any calibration, a file of another cycle.

    It concerns that job and those after it alone; everything else can be planned.
    """


def _again(kind: type[SentenceError], message: str, hint: str) -> SentenceError:
    return kind(message, hint=hint)
