"""One thing that does nothing, as a sentence; the same thing of many detectors is one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from dataflow.base.messages import few
from dataflow.base.textfile import TextFile


@dataclass(frozen=True)
class Finding:
    """A sentence and what to do.

    Attributes
    ----------
    message
        With file and line.
    hint
        The next thing to do, or an empty string.
    """

    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


def at(text: TextFile, names: Iterable[str | int], message: str, hint: str = "") -> Finding:
    """A finding about an entry of a file."""
    return Finding(f"{text.path}:{text.line(*names)}: {message}", hint)


def of_many(
    text: TextFile, places: Mapping[str, tuple[str | int, ...]], message: str, hint: Callable[[str], str]
) -> Iterator[Finding]:
    """One finding about several names of a file: ``{names}`` in the message stands for them, ``{is}`` for the verb."""
    if places:
        first = min(places, key=lambda name: text.line(*places[name]))
        said = message.format(names=few(places), **{"is": "is" if len(places) == 1 else "are"})
        yield at(text, places[first], said, hint(first) if len(places) == 1 else "")
