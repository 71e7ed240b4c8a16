"""What large YAML files say, kept as JSON: jobs by the thousand read the parameters of one calibration.

Those of a hundred detectors have some megabytes, which take seconds to parse. Under the hash of the file's content lies
what it says, so that nothing kept can be out of date; what cannot be kept is parsed again.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .parts import write_whole
from .textfile import Reader, TextFile, read

LEAST = 8 * 1024
"""Bytes from which on a file is kept."""
ENDING = ".values"
PAIRS = "\0"
"""The name of the pairs of a mapping."""


def read_kept(path: Path, folder: Path) -> TextFile:
    """Like :func:`~.textfile.read`, from what is kept in a folder if it is; else it is kept there.

    Raises
    ------
    UserError
        As :func:`~.textfile.read`.
    """
    content = _content(path)
    if len(content) < LEAST or b"$" in content:  # by which the folder of the file could be meant
        return read(path)
    kept = folder / (hashlib.sha256(content).hexdigest()[:32] + ENDING)
    data = _recalled(kept)
    if data is not None:
        return TextFile(path, data)
    found = read(path, content)
    if not found.has_twice:
        _keep(kept, found.data)
    return found


def _content(path: Path) -> bytes:
    """The bytes of a YAML file; none of what is no such, or cannot be read."""
    with suppress(OSError):
        return path.read_bytes() if path.suffix in (".yaml", ".yml") and path.is_file() else b""
    return b""


def _recalled(kept: Path) -> Any:  # noqa: ANN401 - any tree of values
    try:
        return _values(zlib.decompress(kept.read_bytes()).decode("ascii"))
    except (OSError, ValueError, zlib.error):
        return None


def _keep(kept: Path, data: object) -> None:
    """Write down what comes back as it is, NaN included; times do not."""
    try:
        text = json.dumps(_in_pairs(data))
    except (TypeError, ValueError):
        return
    if repr(_values(text)) != repr(data):  # of equal numbers, 1 and 1.0 are not the same
        return
    with suppress(OSError):  # without it, the file is parsed again
        write_whole(kept, zlib.compress(text.encode("ascii"), 1))


def _in_pairs(value: object) -> object:
    """Values with pairs in the place of mappings whose keys are no texts, which JSON does not have."""
    if isinstance(value, dict):
        inner = {name: _in_pairs(item) for name, item in value.items()}
        return inner if all(isinstance(name, str) and name != PAIRS for name in inner) else {PAIRS: list(inner.items())}
    return [_in_pairs(item) for item in value] if isinstance(value, list) else value


def _values(text: str) -> Any:  # noqa: ANN401 - any tree of values
    return json.loads(text, object_hook=lambda found: dict(found[PAIRS]) if PAIRS in found else found)


class GivenReader(Reader):
    """A reader that knows some files already, and keeps what large ones say.

    Parameters
    ----------
    contents
        By path, what :attr:`~.textfile.TextFile.data` of the file is.
    folder
        Where it is kept.
    """

    def __init__(self, contents: Mapping[Path, Any], folder: Path) -> None:
        super().__init__()
        self._files |= {path: TextFile(path, data) for path, data in contents.items()}
        self._folder = folder

    def _read(self, path: Path) -> TextFile:
        return read_kept(path, self._folder)
