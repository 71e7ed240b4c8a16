"""What ends a command.

Exception
├── UserError          a mistake of the user: a sentence and a hint, exit code 2
└── WorkFailed         something that was to be done could not be done: a sentence, exit code 1
"""

from __future__ import annotations


class UserError(Exception):
    """Something that the user can put right: a wrong value, a missing file, an unknown name."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def render(self) -> str:
        """The lines for the terminal."""
        return f"error: {self.message}" + (f"\nhint: {self.hint}" if self.hint else "")


class WorkFailed(UserError):
    """A step of the work ended badly: a clone, an installation, a compilation."""

    exit_code = 1
