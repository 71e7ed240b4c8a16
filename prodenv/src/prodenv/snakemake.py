"""``tools/bin/snakemake``: Snakemake that knows the cycle one stands in.

Without ``--snakefile`` and ``--configfile`` they are those of the cycle; targets that are paths inside the cycle,
however they are written, become paths relative to it, as its Snakefile has them. Everything else passes as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

CONFIG_NAMES = ("config.json", "config.yaml")
_SNAKEFILE = ("--snakefile", "-s")
_CONFIGFILE = ("--configfile", "--configfiles")
_TAKE_A_PATH = frozenset(
    {
        *_SNAKEFILE,
        *_CONFIGFILE,
        "--directory",
        "-d",
        "--profile",
        "--workflow-profile",
        "--report",
        "--report-stylesheet",
    }
    | {"--shadow-prefix", "--conda-prefix", "--apptainer-prefix", "--singularity-prefix", "--runtime-source-cache-path"}
    | {
        "--logger-settings",
        "--generate-unit-tests",
        "--archive",
        "--containerize",
        "--envvars",
        "--default-storage-prefix",
    }
    | {
        "--local-storage-prefix",
        "--remote-job-local-storage-prefix",
        "--jobscript",
        "--js",
        "--cluster-config",
        "--stats",
    }
)
"""Options whose value is a path that is no target."""


def main(argv: Sequence[str]) -> None:
    """Replace this process by Snakemake."""
    real = str(Path(sys.executable).with_name("snakemake"))
    os.execv(real, [real, *arguments(argv, Path.cwd())])  # noqa: S606 - a list, no shell


def arguments(argv: Sequence[str], here: Path) -> list[str]:
    """The arguments for Snakemake when `argv` is given in the folder `here`."""
    words = list(argv)
    config, snakefile = _value(words, _CONFIGFILE), _value(words, _SNAKEFILE)
    cycle = _cycle(here, config, snakefile)
    if cycle is None:
        return words
    added = []
    if snakefile is None and (cycle / "dataflow" / "Snakefile").is_file():
        added.append(f"--snakefile={cycle / 'dataflow' / 'Snakefile'}")
    found = config_file(cycle)
    if config is None and found:
        added.append(f"--configfile={found}")
    return [*added, *_inside(words, cycle, here)]


def config_file(folder: Path) -> Path | None:
    """The configuration file of a cycle in `folder`, if there is one."""
    return next((folder / name for name in CONFIG_NAMES if (folder / name).is_file()), None)


def _value(words: Sequence[str], names: Sequence[str]) -> str | None:
    """The value of the first option of `names`, as ``--name value`` or ``--name=value``."""
    for index, word in enumerate(words):
        if word in names and index + 1 < len(words):
            return words[index + 1]
        for name in names:
            if name.startswith("--") and word.startswith(name + "="):
                return word[len(name) + 1 :]
    return None


def _cycle(here: Path, config: str | None, snakefile: str | None) -> Path | None:
    """The folder of the configuration file; else the cycle of the Snakefile; else the nearest cycle above `here`."""
    if config is not None:
        return Path(os.path.abspath(here / config)).parent  # noqa: PTH100 - links stay as the user wrote them
    if snakefile is not None:
        folder = Path(os.path.abspath(here / snakefile)).parent.parent  # noqa: PTH100
        return folder if config_file(folder) else None
    return next((folder for folder in (here, *here.parents) if _is_cycle(folder)), None)


def _is_cycle(folder: Path) -> bool:
    return config_file(folder) is not None and (folder / "dataflow").is_dir()


def _inside(words: Sequence[str], cycle: Path, here: Path) -> Iterator[str]:
    before = ""
    for word in words:
        target = not word.startswith("-") and "/" in word and before not in _TAKE_A_PATH
        yield (_relative(word, cycle, here) or word) if target else word
        before = word


def _relative(word: str, cycle: Path, here: Path) -> str | None:
    """`word` relative to the cycle if it lies inside it, by name or after resolving links."""
    full = Path(os.path.abspath(here / word))  # noqa: PTH100
    for inner, outer in ((full, cycle), (full.resolve(), cycle.resolve())):
        if inner != outer and inner.is_relative_to(outer):
            return str(inner.relative_to(outer))
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
