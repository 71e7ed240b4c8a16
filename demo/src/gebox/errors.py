"""What can go wrong through no fault of ours.

Exception
└── UserError          a mistake of the user: printed as a sentence, exit code 2
"""

from __future__ import annotations


class UserError(Exception):
    """Something that the user can put right: a wrong value, a missing file, an unknown name.

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

    def render(self) -> str:
        """The lines for the terminal: ``error: …`` and, where there is one, ``hint: …``."""
        return f"error: {self.message}" + (f"\nhint: {self.hint}" if self.hint else "")
