"""Running a command in the environment of a cycle: its virtual environment alone, or inside a container.

Commands are lists from end to end, so spaces and quotes survive. Each engine is one function that says how its command
line is put together; anything else given as ``cmd`` is run in front of the command as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from dataflow.base.errors import UserError

from .config import ExecEnv, Setup

Command = tuple[list[str], dict[str, str]]

_PREPEND_PATH = 'PATH=$0${PATH:+:$PATH}; export PATH; exec "$@"'
"""Run by the image's shell, because only there the PATH of the image is known; ``$0`` is the folder to prepend."""

_SHELL_OF_IMAGE = "command -v bash >/dev/null 2>&1 && exec bash; exec sh"

_NOT_FOR_IMAGES = frozenset(
    {"PATH", "HOME", "HOSTNAME", "PWD", "OLDPWD", "SHLVL", "SHELL", "TMPDIR", "_", "VIRTUAL_ENV", "LD_LIBRARY_PATH"}
    | {"LD_PRELOAD", "PYTHONHOME", "PYTHONPATH", "NUMBA_CACHE_DIR"}
)
"""Variables that describe the host and would mislead a program in an image."""


def software_bin(setup: Setup) -> Path:
    """The folder of the cycle's own executables."""
    return setup.path("install") / "bin"


def own_python(setup: Setup) -> list[str]:
    """The interpreter of a cycle's software with this flow before any other, also where several cycles share one."""
    source = Path(os.path.abspath(__file__)).parents[2]  # noqa: PTH100 - links stay: the cycle's name is mounted
    python = setup.path("install") / "bin" / "python"
    return ["env", f"PYTHONPATH={source}", "PYTHONSAFEPATH=1", str(python)]


def wrap(
    setup: Setup,
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    interactive: bool = False,
    tty: bool = False,
) -> tuple[list[str], dict[str, str]]:
    """The command and the environment that run `argv` in the execution environment of `setup`.

    Parameters
    ----------
    argv
        The command; empty for an interactive shell.
    environ
        The environment of the caller. It is kept, but for what would lead the cycle's software astray: PYTHONHOME and
        NUMBA_CACHE_DIR (the compiled code lies in the installation), and for jobs PYTHONPATH.
    interactive
        Whether a person is waiting for it.
    tty
        Whether that person sits at a terminal.

    Raises
    ------
    UserError
        If the configuration asks for what the engine cannot do.
    """
    env = setup.execenv
    inner = dict(environ)
    for name in ("PYTHONHOME", "NUMBA_CACHE_DIR", *(() if interactive else ("PYTHONPATH",))):
        inner.pop(name, None)
    inner |= {"VIRTUAL_ENV": str(setup.path("install"))}
    if not env.cmd:
        return _bare(setup, argv, inner)
    known = ENGINES.get(engine_name(env), _other)
    inside = list(argv) or ["/bin/sh", "-c", _SHELL_OF_IMAGE]
    return known(setup, inside, inner, _terminal(interactive=interactive, tty=tty))


def engine_name(env: ExecEnv) -> str:
    """The engine by the first word of ``cmd``, without its folder; empty for bare."""
    return Path(env.cmd[0]).name if env.cmd else ""


def _bare(setup: Setup, argv: Sequence[str], inner: dict[str, str]) -> Command:
    if setup.execenv.bind or setup.execenv.arg:
        raise UserError(
            f"execenv {setup.execenv.name!r} has `arg` or `bind` but no `cmd`",
            hint="name the container engine in `cmd`",
        )
    inner |= setup.execenv.env
    inner["PATH"] = _prepended(setup, inner)
    return list(argv) or [inner.get("SHELL") or "/bin/sh"], inner


def _prepended(setup: Setup, inner: Mapping[str, str]) -> str:
    """PATH with the cycle's executables first, and there once."""
    first = str(software_bin(setup))
    rest = [part for part in inner.get("PATH", os.defpath).split(os.pathsep) if part and part != first]
    return os.pathsep.join([first, *rest])


def binds(setup: Setup, environ: Mapping[str, str]) -> list[str]:
    """What a container must see: the cycle, the production environment, the paths outside of them, and ``bind``."""
    wanted = [setup.directory, environ.get("PRODENV"), *setup.paths.values(), environ.get("XDG_RUNTIME_DIR")]
    folders = [Path(folder) for folder in wanted if folder and Path(folder).is_dir()]
    given = [Path(item.split(":")[0]) for item in setup.execenv.bind]
    kept: list[Path] = []
    for folder in folders:
        if set(str(folder)) & set(":,"):
            raise UserError(f"the folder {str(folder)!r} has a colon or comma in its name, which no engine can mount")
        if not any(folder == other or other in folder.parents for other in [*kept, *given]):
            kept.append(folder)
    return [*map(str, kept), *setup.execenv.bind]


def _source_and_target(bind: str) -> tuple[str, str, str]:
    """``a`` → (a, a, ""), ``a:b`` → (a, b, ""), ``a:b:ro`` → (a, b, ro)."""
    parts = bind.split(":")
    if len(parts) > 3 or not parts[0]:
        raise UserError(f"execenv bind {bind!r} is not path, path:target or path:target:options")
    return parts[0], parts[1] if len(parts) > 1 else parts[0], parts[2] if len(parts) > 2 else ""


def _apptainer(setup: Setup, argv: list[str], inner: dict[str, str], terminal: list[str]) -> Command:
    """Apptainer and Singularity: the environment passes; what the image must not override goes by their own names."""
    env = setup.execenv
    prefix = "SINGULARITYENV_" if engine_name(env) == "singularity" else "APPTAINERENV_"
    plain = {k: v for k, v in env.env.items() if not set(v) & set(",\"'")}
    # --env splits its value at commas and eats quotes; the variables with a prefix arrive as they are
    awkward = {prefix + k: v for k, v in env.env.items() if k not in plain}
    options = [f"--env={k}={v}" for k, v in sorted(plain.items())]
    for bind in binds(setup, inner):
        options.append(f"--bind={bind}")
    outer = inner | awkward | {f"{prefix}PREPEND_PATH": str(software_bin(setup))}
    return [*env.cmd, *options, *env.arg, *argv], outer


def _docker(setup: Setup, argv: list[str], inner: dict[str, str], terminal: list[str]) -> Command:
    """Docker, Podman and podman-hpc: nothing passes by itself; variables go by name, their values do not show."""
    env = setup.execenv
    outer = inner | dict(env.env)
    options = [f"--env={name}" for name in _names_for_image(inner, env)]
    options += [f"--volume={':'.join(filter(None, _source_and_target(bind)))}" for bind in binds(setup, inner)]
    visible = [_source_and_target(bind)[1] for bind in binds(setup, inner)]
    here = Path.cwd()
    workdir = here if any(here.is_relative_to(target) for target in visible) else setup.directory
    options += [f"--workdir={workdir}", *terminal]
    return [*env.cmd, *options, *env.arg, *_with_path(setup, argv)], outer


def _names_for_image(inner: Mapping[str, str], env: ExecEnv) -> list[str]:
    users = {name for name in inner if name not in _NOT_FOR_IMAGES and name.isidentifier()}
    return sorted(users | set(env.env) | {"VIRTUAL_ENV"})


def _terminal(*, interactive: bool, tty: bool) -> list[str]:
    """What engines that shut the terminal out are told."""
    return ["--interactive", *(["--tty"] if tty else [])] if interactive else []


def _shifter(setup: Setup, argv: list[str], inner: dict[str, str], terminal: list[str]) -> Command:
    """Shifter: the site mounts its file systems and passes the environment; only what the file says is added."""
    env = setup.execenv
    options = [f"--env={k}={v}" for k, v in sorted(env.env.items())]
    options += [f"--volume={':'.join(filter(None, _source_and_target(bind)))}" for bind in env.bind]
    return [*env.cmd, *options, *env.arg, *_with_path(setup, argv)], inner


def _bubblewrap(setup: Setup, argv: list[str], inner: dict[str, str], terminal: list[str]) -> Command:
    """Bubblewrap: the environment passes; folders are mounted after the root file system that ``arg`` describes."""
    env = setup.execenv
    options = [word for bind in binds(setup, inner) for word in _bwrap_mount(bind)]
    outer = inner | dict(env.env)
    outer["PATH"] = _prepended(setup, outer)
    return [*env.cmd, *env.arg, *options, *argv], outer


def _bwrap_mount(bind: str) -> Iterable[str]:
    source, target, options = _source_and_target(bind)
    return ("--ro-bind" if "ro" in options.split(",") else "--bind", source, target)


def _charliecloud(setup: Setup, argv: list[str], inner: dict[str, str], terminal: list[str]) -> Command:
    """Charliecloud's ch-run: the environment passes, PATH is set by the image."""
    env = setup.execenv
    options = [f"--set-env={k}={v}" for k, v in sorted(env.env.items())]
    options += [f"--bind={':'.join(_source_and_target(bind)[:2])}" for bind in binds(setup, inner)]
    return [*env.cmd, *options, *env.arg, "--", *_with_path(setup, argv)], inner


def _other(setup: Setup, argv: list[str], inner: dict[str, str], terminal: list[str]) -> Command:
    """Any other command in front, such as ``nice`` or a site's own wrapper."""
    env = setup.execenv
    if env.bind:
        known = ", ".join(sorted(ENGINES))
        raise UserError(f"execenv bind is not known for {engine_name(env)!r} (only for {known})", hint="use `arg`")
    outer = inner | dict(env.env)
    outer["PATH"] = _prepended(setup, outer)
    return [*env.cmd, *env.arg, *argv], outer


def _with_path(setup: Setup, argv: Sequence[str]) -> list[str]:
    return ["/bin/sh", "-c", _PREPEND_PATH, str(software_bin(setup)), *argv]


ENGINES: Mapping[str, Callable[[Setup, list[str], dict[str, str], list[str]], Command]] = {
    "apptainer": _apptainer,
    "singularity": _apptainer,
    "docker": _docker,
    "podman": _docker,
    "podman-hpc": _docker,
    "shifter": _shifter,
    "bwrap": _bubblewrap,
    "ch-run": _charliecloud,
}
"""Engines by the name of their executable."""
