"""The configuration of a cycle, as its own flow reads it, and commands with the software of a cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prodenv.base.caches import with_cache
from prodenv.base.origins import has_version
from prodenv.base.places import ROOT
from prodenv.base.sources import is_repository, trusting

from .find import CycleFolder
from .flow import ask_environment, ask_source, flow_folder, source_of
from .published import VERSIONED


@dataclass(frozen=True)
class ExecEnv:
    """How the commands of a cycle are run: an engine with its arguments, or nothing (bare)."""

    name: str
    cmd: tuple[str, ...]
    arg: tuple[str, ...]
    env: Mapping[str, str]
    bind: tuple[str, ...]


@dataclass(frozen=True)
class Setup:
    """One setup of a configuration file, with every default filled in.

    Parameters
    ----------
    experiment
        Name of the setup, the first component of keys.
    file, directory
        The configuration file and its folder, absolute.
    paths
        Every known path, absolute.
    execenv
        The execution environment in use.
    pkg_versions
        Requirements by package name that differ from the locked ones.
    python
        The interpreter that its software is installed for: a path or a version; empty for that of the tools.
    scheme
        Name of the scheme of keys; empty where the flow is not ours.
    source
        The sources of the flow that has read it; None where that is not the cycle's, because it is not ours.
    values
        All of it as plain values.
    """

    experiment: str
    file: Path
    directory: Path
    paths: Mapping[str, Path]
    execenv: ExecEnv
    pkg_versions: Mapping[str, str]
    python: str
    scheme: str
    source: Path | None
    values: Mapping[str, Any]

    @property
    def cycle(self) -> CycleFolder:
        """The cycle that it belongs to."""
        return CycleFolder(self.directory, self.file)

    @property
    def ours(self) -> bool:
        """Whether the cycle's flow is one of ours."""
        return self.source is not None

    def path(self, name: str) -> Path:
        """The absolute path called `name`, for example ``tier_raw``."""
        return self.paths[name]


def snakefile_in(flow: Path) -> Path:
    """The Snakefile of a flow: ours lies at the top, that of others in ``workflow``."""
    inner = flow / "workflow" / "Snakefile"
    return inner if inner.is_file() and not (flow / "Snakefile").is_file() else flow / "Snakefile"


def setup_of(cycle: CycleFolder, experiment: str | None = None) -> Setup:
    """The configuration of a cycle; of one whose flow is not ours, as far as the environment understands it.

    Raises
    ------
    UserError
        If it is wrong.
    """
    source, flow = source_of(cycle), flow_folder(cycle)
    config = str(cycle.config)
    if source is None:
        lenient = not _is_older(cycle)
        found = ask_environment("setup", config=config, experiment=experiment, lenient=lenient)
    else:
        found = ask_source(source, "setup", {"config": config, "experiment": experiment})
    # the published configuration has paths.workflow, which leads nowhere in a cycle of ours
    return _setup(found | {"paths": found["paths"] | ({"dataflow": str(flow)} if flow else {})}, source)


def _is_older(cycle: CycleFolder) -> bool:
    """Whether a flow without a door is an older one of ours: its configuration is of our form all the same."""
    folder = flow_folder(cycle)
    return folder is not None and (folder / "locks" / "software.txt").is_file()


def read_setup(config: str | Path, experiment: str | None = None) -> Setup:
    """The configuration in a file; its folder is the cycle."""
    file = Path(config).absolute()
    return setup_of(CycleFolder(file.parent, file), experiment)


def _setup(found: Mapping[str, Any], source: Path | None) -> Setup:
    env = found["execenv"]
    return Setup(
        experiment=found["experiment"],
        file=Path(found["file"]),
        directory=Path(found["directory"]),
        paths={name: Path(path) for name, path in found["paths"].items()},
        execenv=ExecEnv(env["name"], tuple(env["cmd"]), tuple(env["arg"]), env["env"], tuple(env["bind"])),
        pkg_versions=found["pkg_versions"],
        python=found.get("options", {}).get("python", ""),  # older flows do not know it
        scheme=found["scheme"],
        source=source,
        values=found,
    )


def inputs_of(setup: Setup) -> Path:
    """The folder of the metadata of a cycle."""
    return setup.paths.get("metadata", setup.paths.get("inputs", setup.directory / "inputs"))


def repositories(setup: Setup) -> list[str]:
    """The git repositories of a cycle: its dataflow, its metadata and their submodules."""
    flow, top = flow_folder(setup.cycle), inputs_of(setup)
    found = [] if flow is None else [flow]
    found += [folder.parent for depth in (".git", "*/.git", "*/*/.git") for folder in sorted(top.glob(depth))]
    return [str(folder.resolve()) for folder in found]


def _without_version(setup: Setup) -> dict[str, str]:
    """What lets pylegendmeta read metadata that have no version for it: no repository, or one without a tag."""
    inputs = inputs_of(setup)
    return {} if is_repository(inputs) and has_version(inputs, VERSIONED) else {"METADATA_NO_GIT_REPO": "1"}


def wrap(
    setup: Setup, argv: Sequence[str], environ: Mapping[str, str], *, interactive: bool = False, tty: bool = False
) -> tuple[list[str], dict[str, str]]:
    """The command and the environment that run `argv` in the execution environment of `setup`.

    Raises
    ------
    UserError
        If the configuration asks for what the engine cannot do.
    """
    environ = {"PRODENV": str(ROOT)} | with_cache(environ)
    if interactive:  # readers of metadata ask git for their version, which refuses those of a colleague
        environ = {**_without_version(setup), **trusting(environ, repositories(setup))}
    basic = {name: str(getattr(setup, name)) for name in ("experiment", "file", "directory")}
    paths = {name: str(path) for name, path in setup.paths.items()}
    values: dict[str, Any] = {"setup": basic | {"paths": paths, "execenv": asdict(setup.execenv)}, "argv": list(argv)}
    values |= {"environ": dict(environ), "interactive": interactive, "tty": tty}
    answer = ask_source(setup.source, "wrap", values) if setup.source else ask_environment("wrap", **values)
    return answer["argv"], answer["environ"]
