"""Packages made on the spot, so that installations need no network."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

BACKEND = """
import base64, hashlib, pathlib, zipfile

def _wheel(folder, editable):
    name, here = "{name}-{version}", pathlib.Path(__file__).parent
    files = {{
        f"{{name}}.dist-info/METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n",
        f"{{name}}.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "{name}_here.pth": str(here) + "\\n",
    }}
    file = pathlib.Path(folder) / f"{{name}}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{{name}}.dist-info/RECORD", "".join(f"{{path}},,\\n" for path in files))
    return file.name

def build_wheel(folder, config_settings=None, metadata_directory=None):
    return _wheel(folder, False)

def build_editable(folder, config_settings=None, metadata_directory=None):
    return _wheel(folder, True)
"""


def make_wheel(folder: Path, name: str, version: str, requires: Sequence[str] = ()) -> str:
    """Write a wheel whose module says its version; returns a line for a requirements file, with its hash."""
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {need}\n" for need in requires)
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    file = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path, (2024, 1, 1, 0, 0, 0)), text)
        rows = [f"{path},{_digest(text)},{len(text)}" for path, text in files.items()]
        archive.writestr(
            zipfile.ZipInfo(f"{info}/RECORD", (2024, 1, 1, 0, 0, 0)), "\n".join([*rows, f"{info}/RECORD,,"])
        )
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"


def _digest(text: str) -> str:
    raw = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def checkout_files(name: str, version: str, text: str) -> dict[str, str]:
    """The files of a checkout that builds itself without any other package."""
    return {
        "pyproject.toml": (
            f'[project]\nname = "{name}"\nversion = "{version}"\n\n'
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        ),
        "backend.py": BACKEND.format(name=name, version=version),
        f"{name}.py": text,
    }
