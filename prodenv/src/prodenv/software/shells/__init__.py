"""The shell of a cycle: its software stays first on PATH whatever the user's own files do, and the prompt names it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FILES = Path(__file__).parent
CYCLE, SOFTWARE, ZDOTDIR = "DATAPROD_CYCLE", "DATAPROD_SOFTWARE", "ZDOTDIR"


def opened(shell: str, environ: Mapping[str, str], cycle: str, software: Path) -> tuple[list[str], dict[str, str], str]:
    """The command and the environment of an interactive shell, and what there is to be said of it.

    Parameters
    ----------
    shell
        The program.
    environ
        Its environment.
    cycle
        Name of the cycle.
    software
        The folder that shall be first on PATH.
    """
    name, inner = Path(shell).name, dict(environ) | {CYCLE: cycle, SOFTWARE: str(software)}
    if name == "bash":
        return [shell, "--rcfile", str(FILES / "bashrc")], inner, ""
    if name == "zsh":
        before = {"DATAPROD_ZDOTDIR": environ[ZDOTDIR]} if ZDOTDIR in environ else {}
        return [shell], inner | before | {ZDOTDIR: str(FILES / "zsh")}, ""
    said = (
        f"{name} does not show the cycle in its prompt, and its own files may put another python first: `which python`"
    )
    return [shell], inner, "" if name in ("sh", "dash") else said
