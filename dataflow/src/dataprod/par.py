"""Parameters of a detector as an object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class Par(Mapping[str, Any]):
    """Parameters, by name as in the file: ``par["results"]["ecal"]`` or ``par.results.ecal``.

    Parameters
    ----------
    content
        The values.
    detector
        The detector they are of.
    files
        The files that they were merged from, in order; overrides come last.
    """

    def __init__(self, content: Mapping[str, Any], detector: str = "", files: tuple[Path, ...] = ()) -> None:
        self._content = {str(name): value for name, value in content.items()}
        self.detector, self.files = detector, files

    def __getitem__(self, name: object) -> Any:
        value = self._content[str(name)]
        return Par(value, self.detector, self.files) if isinstance(value, Mapping) else value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            have = ", ".join(self._content)
            raise AttributeError(f"{self.detector or 'the entry'} has no {name!r} (it has: {have})") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in self._content if name.isidentifier())]

    def __repr__(self) -> str:
        return f"Par({self.detector}: {', '.join(self._content)})"

    @property
    def failed(self) -> str:
        """Why there are no parameters: the reason that the step gave; empty if it did not fail."""
        status = self._content.get("status")
        failed = isinstance(status, Mapping) and status.get("state") == "failed"
        return str(status.get("reason", "no reason given")) if failed and isinstance(status, Mapping) else ""

    def as_dict(self) -> dict[str, Any]:
        """Plain nested mappings."""
        return dict(self._content)
