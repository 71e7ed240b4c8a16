"""``dataprod-install-sw``: the software of a cycle in an environment of its own.

The new environment is built beside the old one and takes its place when everything went well.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from prodenv.base.errors import UserError, WorkFailed
from prodenv.base.files import aside, locked, swap_in, write_text
from prodenv.base.notes import step
from prodenv.base.places import ROOT, tools_python
from prodenv.base.processes import call
from prodenv.base.sources import provenance
from prodenv.cycles.find import CycleFolder, cycle_at
from prodenv.cycles.setups import Setup, read_setup, wrap

from . import numba_cache
from .checkouts import Checkout, find_checkouts, flow_package
from .lock import SoftwareLock, read_lock
from .outside import possible_steps
from .requirements import Pin, merged, name_of, normalise, parse_pins, requirement
from .tools import PYTHON_FACTS, Place, environment

LOCK_NAME = "software-lock.json"
LOCKED = Path("locks") / "software.txt"
"""The pinned software of a flow of ours."""
WARMING = Path("src/dataflow/jobs/warm.py")
"""What a flow of ours has to compile everything at installation."""
OTHERS = Path(__file__).with_name("precompile.py")
"""The same for a flow of others, run by its own interpreter."""
MARKER = ".made-by-dataprod-install-sw"
_QUOTED = re.compile(r"`([^`]+)`")
_HINT_NETWORK = "can the package index be reached? See UV_INDEX_URL, UV_OFFLINE and HTTPS_PROXY"


@dataclass(frozen=True)
class Installation:
    """One environment in the making."""

    setup: Setup
    place: Place
    new: Path

    @property
    def target(self) -> Path:
        return self.setup.path("install")

    @property
    def python(self) -> Path:
        return self.new / "bin" / "python"

    @property
    def site(self) -> Path:
        return next((self.new / "lib").glob("python3.*")) / "site-packages"

    def call(self, *argv: str | Path, what: str, hint: str = "") -> str:
        """Run a program in the execution environment of the cycle, as its jobs are run."""
        words, environ = wrap(self.setup, [str(word) for word in argv], environment(self.place))
        return call(words, what=what, hint=hint, environ=environ, cwd=self.setup.directory)

    def uv(self, *arguments: str | Path, what: str, hint: str = "") -> str:
        return self.call(self.place.env / "bin" / "uv", *arguments, what=what, hint=hint or _HINT_NETWORK)

    def uv_from_cache(self, *arguments: str | Path, what: str) -> str:
        """The same without the package index, else with it: what was downloaded before is taken from there.

        The arguments must say what is wanted by version and hash: then it does not matter where it comes from.
        """
        try:
            return self.uv(*arguments, "--offline", what=what)
        except WorkFailed:
            return self.uv(*arguments, what=what)

    def uv_or_cache(self, *arguments: str | Path, what: str, hint: str = "") -> str:
        """The same with the package index, else without it: what it said before, and what was downloaded, may do."""
        try:
            return self.uv(*arguments, what=what, hint=hint)
        except WorkFailed:
            with contextlib.suppress(WorkFailed):
                return self.uv(*arguments, "--offline", what=what)
            raise


def run(options: argparse.Namespace) -> int:
    """Install the software of the cycle whose configuration is given."""
    setup = read_setup(options.config_file, options.setup)
    lock_file = Path(options.lock) if options.lock else lock_of(setup)
    if options.lock and not options.locked:
        raise UserError("--lock needs --locked", hint="add --locked")
    target = setup.path("install")
    cycle = CycleFolder(setup.directory, setup.file)
    if os.path.lexists(target) or not options.locked or options.lock:  # else the lock of the cycle says all
        cycle.refuse_frozen("installation; where nothing is installed, --locked puts back what belongs to it")
    refuse_of_another(setup)
    wanted = read_lock(lock_file) if options.locked else None
    with _alone(target.parent, cycle.frozen):
        refuse_foreign(target)
        if options.if_changed and is_installed(setup):
            print(f"up to date: {target}")
            return 0
        if options.remove:
            remove(target)
        _install(setup, wanted)
    print(f"installed in {target}; list of packages: {lock_of(setup)}")
    for line in possible_steps(setup):
        print(f"  {line}")
    return 0


@contextlib.contextmanager
def _alone(folder: Path, frozen: bool) -> Iterator[None]:
    """Let no other installation work in a folder; one of a frozen cycle can be written in for as long as it takes."""
    if not frozen:
        with locked(folder / ".install.lock", "dataprod-install-sw"):
            yield
        return
    mode = stat.S_IMODE(folder.stat().st_mode)
    folder.chmod(mode | stat.S_IWUSR)
    try:
        yield
    finally:
        folder.chmod(mode)


def _request(setup: Setup) -> str:
    """All that decides what is installed, as a hash."""
    flow = setup.path("dataflow")
    files = ["locks/software.in", str(LOCKED), str(WARMING)]
    texts = {name: (flow / name).read_text(encoding="utf-8") for name in files if (flow / name).is_file()}
    checkouts = [checkout.record(setup.directory) for checkout in checkouts_of(setup)]
    env = setup.execenv
    engine = [env.cmd, env.arg, sorted(env.env.items()), env.bind, setup.python or str(tools_python().resolve())]
    return numba_cache.key_of({"t": texts, "c": checkouts, "e": engine, "v": dict(setup.pkg_versions)})


def checkouts_of(setup: Setup) -> list[Checkout]:
    """What takes the place of released packages; a workflow that is not ours and is a package is one of them."""
    found, flow = find_checkouts(setup.path("src")), setup.path("dataflow")
    is_package = not setup.ours and (flow / "pyproject.toml").is_file() and not (flow / LOCKED).is_file()
    return [*found, flow_package(flow)] if is_package else found


def is_installed(setup: Setup) -> bool:
    """Whether the environment is there, works at its place, and was made from the same request."""
    marker = setup.path("install") / MARKER
    same = marker.is_file() and marker.read_text(encoding="utf-8").strip() == _request(setup)
    return same and lock_of(setup).is_file() and os.access(setup.path("install") / "bin" / "python", os.X_OK)


def lock_of(setup: Setup) -> Path:
    """Where the lock of a cycle is."""
    return setup.directory / "software" / "python" / LOCK_NAME


def owner_of(setup: Setup) -> CycleFolder | None:
    """The other cycle whose software a cycle uses, by its ``paths.install``; None if it has its own."""
    for folder in Path(os.path.abspath(setup.path("install"))).parents:  # noqa: PTH100 - links stay
        if folder == setup.directory:
            return None
        if found := cycle_at(folder):
            return found
    return None


def refuse_of_another(setup: Setup) -> None:
    """Refuse to replace or remove the software of another cycle, which only uses it.

    Raises
    ------
    UserError
        It says where that software is installed.
    """
    if owner := owner_of(setup):
        hint = f"dataprod-install-sw {shlex.quote(str(owner.config))}, or set paths.install to a folder of this cycle"
        raise UserError(f"{setup.path('install')} is the software of {owner.name}, which this cycle uses", hint=hint)


def refuse_foreign(target: Path) -> None:
    """Refuse to replace or remove a folder that no installation of ours made."""
    if not target.exists() or (target / MARKER).is_file():
        return
    if not target.is_dir() or any(target.iterdir()):
        hint = "set paths.install to a folder of its own, or move that one away"
        raise UserError(f"{target} was not made by dataprod-install-sw, so it is not touched", hint=hint)


def remove(target: Path) -> None:
    """Remove an installation, which is ours."""
    if target.exists():
        with step(f"removing {target}"):
            shutil.rmtree(target)


def _install(setup: Setup, wanted: SoftwareLock | None) -> None:
    checkouts = checkouts_of(setup)
    if wanted:
        wanted.check_checkouts(checkouts, setup.directory)
    with aside(setup.path("install")) as folder:
        work = Installation(setup, Place(ROOT), folder)
        facts = _make_environment(work)
        if wanted:
            wanted.check_python(facts)
        pins = list(wanted.packages) if wanted else _resolve(work, checkouts)
        _install_pins(work, pins)
        _install_checkouts(work, checkouts)
        _check(work)
        _add_dataflow(work)
        lock = _lock(work, facts, pins, checkouts)
        if wanted and wanted.packages and _names(lock.packages) != _names(wanted.packages):
            raise WorkFailed("what was installed is not what the lock says", hint="report this")
        brings_warming = (setup.path("dataflow") / WARMING).is_file()
        if brings_warming:
            _warm(work, facts)
        write_text(folder / LOCK_NAME, lock.text())
        write_text(folder / MARKER, _request(setup) + "\n")
        swap_in(folder, work.target)
    if not CycleFolder(setup.directory, setup.file).frozen:
        lock.write(lock_of(setup))
    if not brings_warming:
        _warm_others(replace(work, new=work.target), facts)


def _names(pins: Iterable[Pin]) -> set[tuple[str, str]]:
    return {(pin.name, pin.version) for pin in pins}


def _make_environment(work: Installation) -> dict[str, str]:
    """An empty virtual environment; returns the facts of its interpreter."""
    inside, wanted = bool(work.setup.execenv.cmd), work.setup.python
    interpreter = wanted or ("python3" if inside else str(tools_python().resolve()))
    with step("virtual environment" + (f" of Python {wanted}" if wanted else "")):
        form = ["--relocatable", "--no-project", "--allow-existing", "--python", interpreter]
        hint = f"is there such a Python on this machine? See `python` in {work.setup.file}" if wanted else ""
        work.uv("venv", *form, work.new, what="making the virtual environment", hint=hint)
        answer = work.call(work.python, "-c", PYTHON_FACTS, what="asking Python for its version")
        facts: dict[str, str] = json.loads(answer)
    if tuple(map(int, facts["version"].split(".")[:2])) < (3, 11):
        found = f"{wanted or 'python3 of the container'} is Python {facts['version']}; 3.11 or newer is needed"
        raise UserError(found, hint=f"set `python` in {work.setup.file} to a newer one")
    return facts


def _resolve(work: Installation, checkouts: list[Checkout]) -> list[Pin]:
    """The packages to install: those of the dataflow's lock, resolved again where the cycle wants others."""
    flow = work.setup.path("dataflow")
    file, locks = flow / LOCKED, (flow / LOCKED).parent
    if not file.is_file() and flow not in (checkout.folder for checkout in checkouts):
        hint = (
            "is paths.dataflow right? The dataflow has its pinned software there, or says in pyproject.toml what it is"
        )
        raise UserError(f"there is no {file}", hint=hint)
    wishes = work.setup.pkg_versions
    if not wishes and not checkouts:
        return parse_pins(file.read_text(encoding="utf-8"))
    with step("resolving versions"), _scratch(work) as scratch:
        return _compile(work, locks, checkouts, scratch)


@contextlib.contextmanager
def _scratch(work: Installation) -> Iterator[Path]:
    folder = work.new / ".scratch"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _compile(work: Installation, locks: Path, checkouts: list[Checkout], scratch: Path) -> list[Pin]:
    """Resolve with the pinned versions as preferences, so that nothing changes that need not."""
    known = (locks / "software.txt").is_file()
    declared = (locks / "software.in").read_text(encoding="utf-8").splitlines() if known else []
    lines = merged(declared, work.setup.pkg_versions, [checkout.name for checkout in checkouts])
    wanted, result = scratch / "wanted.in", scratch / "resolved.txt"
    wanted.write_text("".join(f"{line}\n" for line in [*lines, *(c.requirement for c in checkouts)]))
    if known:
        shutil.copyfile(locks / "software.txt", result)
    form: list[str | Path] = ["--generate-hashes", "--no-header", "--no-annotate", "--quiet", "--python", work.python]
    form += _overrides(work, scratch)
    hint = f"other versions can be asked for in pkg_versions, another Python in python of {work.setup.file}"
    work.uv_or_cache(
        "pip", "compile", *form, wanted, "-o", result, what="resolving versions", hint=f"{hint}; {_HINT_NETWORK}"
    )
    replaced = {checkout.name for checkout in checkouts}
    return [pin for pin in parse_pins(result.read_text(encoding="utf-8")) if pin.name not in replaced]


def _overrides(work: Installation, scratch: Path) -> list[str | Path]:
    """What the cycle asks for beats even the exact versions that a flow of others declares."""
    if work.setup.ours or not work.setup.pkg_versions:
        return []
    file = scratch / "overrides.txt"
    wishes = sorted(work.setup.pkg_versions.items())
    file.write_text("".join(f"{requirement(name, wish)}\n" for name, wish in wishes))
    return ["--overrides", file]


def _install_pins(work: Installation, pins: list[Pin]) -> None:
    """Install released packages by hash, and those of an address by commit."""
    with step(f"{len(pins)} packages, compiled to byte code"), _scratch(work) as scratch:
        hashed, named = scratch / "hashed.txt", scratch / "named.txt"
        hashed.write_text("".join(f"{pin.line()}\n" for pin in pins if not pin.address))
        common: list[str | Path] = ["pip", "install", "--no-deps", "--compile-bytecode", "--python", work.python]
        work.uv_from_cache(*common, "--require-hashes", "-r", hashed, what="installing packages")
        lines = [f"{pin.line()}\n" for pin in pins if pin.address]
        if lines:
            named.write_text("".join(lines))
            work.uv_or_cache(*common, "-r", named, what="installing packages from their addresses")


def _install_checkouts(work: Installation, checkouts: list[Checkout]) -> None:
    """Install checkouts editable: what is changed in them acts at once."""
    for checkout in checkouts:
        with step(f"{checkout.name} from {checkout.folder}, editable"):
            source: list[str | Path] = ["--no-deps", "--python", work.python, "-e", checkout.folder]
            work.uv_or_cache("pip", "install", *source, what=f"installing the checkout of {checkout.name}")


def _check(work: Installation) -> None:
    """Refuse packages that do not fit together, unless the cycle asks for such a version."""
    with step("checking that the packages fit together"):
        try:
            work.uv("pip", "check", "--python", work.python, what="the packages do not fit together: the check")
        except WorkFailed as error:
            found = [line.strip() for line in error.message.splitlines() if line.strip().startswith("The package")]
            if not found or not all(_asked_for(line, work.setup) for line in found):
                raise
            sys.stderr.write("".join(f"  note: {line}, as pkg_versions asks for\n" for line in found))


def _asked_for(line: str, setup: Setup) -> bool:
    """Whether a line of the check is about the version of a package that the cycle asks for."""
    names = {normalise(name_of(name)) for name in _QUOTED.findall(line)[1:2]}
    return not setup.ours and bool(names & {normalise(name) for name in setup.pkg_versions})


def _add_dataflow(work: Installation) -> None:
    """Make the cycle's dataflow importable by a relative path where both move together; another flow is a package."""
    source = work.setup.path("dataflow") / "src"
    if not (source / "dataflow").is_dir():
        return
    final = work.target / work.site.relative_to(work.new)
    inside = work.target.is_relative_to(work.setup.directory) and source.is_relative_to(work.setup.directory)
    write_text(work.site / "dataflow.pth", (os.path.relpath(source, final) if inside else str(source)) + "\n")


def _lock(work: Installation, facts: Mapping[str, str], pins: list[Pin], checkouts: list[Checkout]) -> SoftwareLock:
    """What is installed now: the pins that this system took, and the checkouts."""
    listing = json.loads(work.uv("pip", "list", "--format", "json", "--python", work.python, what="listing packages"))
    installed = {normalise(entry["name"]): entry["version"] for entry in listing}
    taken = [pin for pin in pins if pin.name in installed and pin.version in ("", installed[pin.name])]
    env = work.setup.execenv
    return SoftwareLock(
        python=facts,
        execenv={"name": env.name, "cmd": list(env.cmd), "arg": list(env.arg)},
        packages=[Pin(pin.name, installed[pin.name], pin.hashes, pin.address) for pin in taken],
        checkouts=[checkout.record(work.setup.directory) for checkout in checkouts],
        dataflow=provenance(work.setup.path("dataflow")),
    )


def _warm(work: Installation, facts: Mapping[str, str]) -> None:
    """Compile what jobs would otherwise compile, or take it from an earlier installation of the same."""
    container = [*work.setup.execenv.cmd, *work.setup.execenv.arg]
    found = numba_cache.facts_of(work.site, {**facts, "container": container})
    module = ("-P", "-m", "dataflow.jobs.warm")

    def compile_all() -> None:
        work.call(work.python, *module, what="compiling the signal processors")

    numba_cache.warm(work.site, work.place.compiled, found, compile_all, work.setup.path("dataflow") / "src")


def _warm_others(work: Installation, facts: Mapping[str, str]) -> None:
    """Compile for a flow that is not ours, where it is installed; what goes wrong costs its jobs time, no more.

    It is done with the variables of its jobs: some of them decide what code is made, and where it is kept.
    """
    if not (work.site / "dspeed").is_dir():
        return
    env = work.setup.execenv
    found = numba_cache.facts_of(
        work.site, {**facts, "container": [*env.cmd, *env.arg], "variables": dict(sorted(env.env.items()))}
    )

    def compile_all() -> None:
        work.call(work.python, "-P", OTHERS, what="compiling the signal processors")

    try:
        numba_cache.warm(work.site, work.place.compiled, found, compile_all)
    except WorkFailed as error:
        sys.stderr.write(f"  warning: {error.message}\n  everything else is installed; jobs compile what they need\n")
