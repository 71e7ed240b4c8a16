"""What of a user's settings reaches uv: where the packages are and the way there, not what is installed where.

A ``uv.toml`` of the user, or a ``[tool.uv]`` of the project in whose folder a command is typed, could send packages to
another folder or choose other versions than the lock. So uv reads none of them (UV_NO_CONFIG); the settings of index
and network are handed on as variables.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prodenv.base.errors import UserError

NEVER = frozenset(
    {
        *("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME"),
        *("UV_PYTHON", "UV_PROJECT", "UV_PROJECT_ENVIRONMENT", "UV_CONFIG_FILE", "UV_SYSTEM_PYTHON"),
        *("UV_BREAK_SYSTEM_PACKAGES", "UV_CONSTRAINT", "UV_OVERRIDE", "UV_BUILD_CONSTRAINT", "UV_EXCLUDE"),
        *("UV_EXCLUDE_NEWER", "UV_PRERELEASE", "UV_RESOLUTION", "UV_NO_BINARY", "UV_NO_BINARY_PACKAGE", "UV_NO_BUILD"),
        *("UV_REQUIRE_HASHES", "UV_NO_DEPS", "UV_WORKING_DIRECTORY", "UV_FORK_STRATEGY"),
    }
)
"""Variables of the caller that decide what is installed or where."""

VARIABLES: Mapping[str, str] = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "index-strategy": "UV_INDEX_STRATEGY",
    "keyring-provider": "UV_KEYRING_PROVIDER",
    "allow-insecure-host": "UV_INSECURE_HOST",
    "native-tls": "UV_NATIVE_TLS",
    "system-certs": "UV_SYSTEM_CERTS",
    "offline": "UV_OFFLINE",
    "http-proxy": "HTTP_PROXY",
    "https-proxy": "HTTPS_PROXY",
    "no-proxy": "NO_PROXY",
}
"""Settings of index and network, with the variable that says the same."""

SAME: Mapping[str, tuple[str, ...]] = {
    "UV_DEFAULT_INDEX": ("UV_INDEX_URL",),
    "UV_INDEX": ("UV_EXTRA_INDEX_URL",),
    "HTTP_PROXY": ("http_proxy", "ALL_PROXY", "all_proxy"),
    "HTTPS_PROXY": ("https_proxy", "ALL_PROXY", "all_proxy"),
    "NO_PROXY": ("no_proxy",),
}
"""Other names of variables; where one is set, the file does not count."""


def own(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv.

    Raises
    ------
    UserError
        If a ``uv.toml`` of the user or the system cannot be read.
    """
    kept = {name: value for name, value in environ.items() if name not in NEVER}
    if environ.get("UV_NO_CONFIG") in (None, "", "0", "false"):
        for file in _files(environ):  # the user's own first: it counts more than the system's
            for name, value in _settings(file):
                if not any(known in kept for known in (name, *SAME.get(name, ()))):
                    kept[name] = value
    return kept | {"UV_NO_CONFIG": "1"}


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    given = environ.get("UV_CONFIG_FILE")
    if given:
        yield Path(given)
        return
    home = environ.get("XDG_CONFIG_HOME") or (f"{environ['HOME']}/.config" if environ.get("HOME") else "")
    system = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    folders = [*([home] if home else []), *filter(None, system)]
    yield from (Path(folder) / "uv" / "uv.toml" for folder in folders)
    yield Path("/etc/uv/uv.toml")


def _settings(file: Path) -> Iterator[tuple[str, str]]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {error}", hint="correct it; uv could not read it either") from None
    pip = content.get("pip")
    for section in (content, pip if isinstance(pip, dict) else {}):
        yield from _indexes(section.get("index"))
        for name, variable in VARIABLES.items():
            if name in section:
                yield variable, _text(section[name])


def _indexes(entries: Any) -> Iterator[tuple[str, str]]:
    """``[[index]]`` tables: the one that is the default, and the others."""
    tables = [entry for entry in entries if isinstance(entry, dict) and "url" in entry] if entries else []
    default = [_named(entry) for entry in tables if entry.get("default")]
    others = [_named(entry) for entry in tables if not entry.get("default")]
    if default:
        yield "UV_DEFAULT_INDEX", default[0]
    if others:
        yield "UV_INDEX", " ".join(others)


def _named(entry: Mapping[str, Any]) -> str:
    return f"{entry['name']}={entry['url']}" if entry.get("name") else str(entry["url"])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
