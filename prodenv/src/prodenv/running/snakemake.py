"""``tools/bin/snakemake``: Snakemake that knows the cycle one stands in.

Without ``--snakefile`` and ``--configfile`` they are those of the cycle; targets that are paths inside the cycle,
however they are written, become paths relative to it, as its Snakefile has them. Everything else passes as it is, but
a frozen cycle is only looked at. A flow that is not ours runs with the Snakemake that it installed, if it did.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from prodenv.base.caches import with_cache
from prodenv.base.errors import UserError
from prodenv.base.places import ROOT
from prodenv.base.sources import trusting
from prodenv.cycles.find import CycleFolder, config_file, cycle_at
from prodenv.cycles.flow import flow_folder, source_of
from prodenv.cycles.published import is_published
from prodenv.cycles.setups import repositories, setup_of, snakefile_in

_SNAKEFILE = ("--snakefile", "-s")
_DIRECTORY = ("--directory", "-d")
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
"""Options whose value is a path that is not a target."""


_LOOKING = frozenset(
    {
        *("--dry-run", "--dryrun", "-n", "--help", "-h", "--version", "-v", "--lint"),
        *("--list-rules", "--list", "-l", "--list-target-rules", "--lt", "--summary", "-S", "--detailed-summary", "-D"),
        *("--list-changes", "--lc", "--list-input-changes", "--li", "--list-params-changes", "--lp"),
        *("--list-untracked", "--lu", "--dag", "--rulegraph", "--filegraph", "--d3dag", "--print-compilation"),
    }
)
"""With these Snakemake makes nothing."""
_NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")
"""Variables from which Python takes the name of the user before it asks the system."""
_SWITCHES = "afhklnptvDFS"
"""Short options without a value, which can stand together: ``-np``."""


def main(argv: Sequence[str]) -> None:
    """Replace this process by Snakemake; ends with exit code 2 where it would write into a frozen cycle."""
    try:
        refuse_frozen(argv, Path.cwd())
        refuse_unwritable(argv, Path.cwd())
        found = _cycle(Path.cwd(), _value(argv, _CONFIGFILE), _value(argv, _SNAKEFILE))
        cycle = cycle_at(found) if found else None
        words = [*(engine(cycle) if cycle else TOOLS), *arguments(argv, Path.cwd())]
        environ = environment(os.environ, cycle)
    except UserError as error:
        sys.stderr.write(error.render() + "\n")
        sys.exit(error.exit_code)
    os.execve(words[0], words, environ)  # noqa: S606 - a list, no shell


TOOLS = (sys.executable, "-I", "-m", "prodenv.running.lean")
"""Snakemake of the tools."""


def engine(cycle: CycleFolder) -> list[str]:
    """Snakemake: that of the tools; a flow that is not ours may have installed its own, whose modules it imports."""
    if source_of(cycle) is None and flow_folder(cycle) is not None:
        own = setup_of(cycle).path("install") / "bin"
        if os.access(own / "snakemake", os.X_OK) and os.access(own / "python", os.X_OK):
            return [str(own / "python"), "-P", "-m", "snakemake"]
    return list(TOOLS)


def environment(environ: Mapping[str, str], cycle: CycleFolder | None = None) -> dict[str, str]:
    """The environment for Snakemake: nothing leads its Python elsewhere, its caches can be written, users have a name.

    Snakemake keeps files below the user's cache folder, and ends with a traceback where it cannot be made, or where
    neither a variable nor the system knows the name of the user (in containers, for example). The flows of the
    collaboration ask for ``PRODENV``; git in them refuses a colleague's checkout and metadata, if not told otherwise.
    """
    kept = {name: value for name, value in environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    kept.setdefault("PRODENV", str(ROOT))
    kept = with_cache(kept)
    if not any(kept.get(name) for name in _NAMES) and not _has_name(os.getuid()):
        kept["LOGNAME"] = str(os.getuid())
    return trusting(kept, repositories(setup_of(cycle))) if cycle and source_of(cycle) is None else kept


def _has_name(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return False


def arguments(argv: Sequence[str], here: Path) -> list[str]:
    """The arguments for Snakemake when `argv` is given in the folder `here`."""
    words = list(argv)
    config, snakefile = _value(words, _CONFIGFILE), _value(words, _SNAKEFILE)
    cycle = _cycle(here, config, snakefile)
    if cycle is None:
        return words
    added = []
    found = config_file(cycle) if config is None else Path(os.path.abspath(here / config))  # noqa: PTH100
    flow = flow_folder(CycleFolder(cycle, found)) if found else None
    if snakefile is None and flow and snakefile_in(flow).is_file():
        added.append(f"--snakefile={snakefile_in(flow)}")
    if found and here != cycle and _value(words, _DIRECTORY) is None and is_published(flow or cycle):
        added.append(f"--directory={cycle}")  # ours goes there by itself
    if config is None and found:
        added.append(f"--configfile={found}")
    return [*added, *_inside(words, cycle, here, absolute=is_published(flow or cycle))]


def refuse_frozen(argv: Sequence[str], here: Path) -> None:
    """Refuse to do more than look at a frozen cycle.

    Raises
    ------
    UserError
        If the cycle is frozen and `argv` is not that of a dry run or a listing.
    """
    cycle = _cycle(here, _value(argv, _CONFIGFILE), _value(argv, _SNAKEFILE))
    if cycle is not None and not _looks_only(argv):
        CycleFolder(cycle, config_file(cycle) or cycle).refuse_frozen("jobs; -n shows what they would be")


def refuse_unwritable(argv: Sequence[str], here: Path) -> None:
    """Refuse a cycle that this user may only read: Snakemake keeps notes in it even where it only looks.

    Raises
    ------
    UserError
        It says what can be done instead.
    """
    cycle = _cycle(here, _value(argv, _CONFIGFILE), _value(argv, _SNAKEFILE))
    if cycle is not None and cycle.is_dir():
        require_notes(cycle)


def require_notes(cycle: Path) -> None:
    """Refuse a cycle in which Snakemake cannot keep its notes.

    Raises
    ------
    UserError
        It says what can be done instead.
    """
    notes = cycle / ".snakemake"
    place = notes if notes.is_dir() else cycle
    if not os.access(place, os.W_OK):
        raise UserError(
            f"you may not write in {place}, and Snakemake keeps its notes there, also for a dry run",
            hint="dataprod plan shows what would be made, dataprod status what is there; to make something, "
            "derive a cycle of your own: dataprod new --from",
        )


def _looks_only(argv: Sequence[str]) -> bool:
    for word in argv:
        if word == "--":
            return False
        if word.partition("=")[0] in _LOOKING:
            return True
        if word.startswith("-") and not word.startswith("--"):
            for letter in word[1:]:
                if letter not in _SWITCHES:
                    break
                if f"-{letter}" in _LOOKING:
                    return True
    return False


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
        above = Path(os.path.abspath(here / snakefile)).parents  # noqa: PTH100
        return next((folder for folder in above[1:3] if config_file(folder)), None)
    return next((folder for folder in (here, *here.parents) if _is_cycle(folder)), None)


def _is_cycle(folder: Path) -> bool:
    found = cycle_at(folder)
    return found is not None and flow_folder(found) is not None


def _inside(words: Sequence[str], cycle: Path, here: Path, *, absolute: bool = False) -> Iterator[str]:
    before = ""
    for word in words:
        target = not word.startswith("-") and "/" in word and before not in _TAKE_A_PATH
        inner = _relative(word, cycle, here) if target else None
        yield (str(cycle / inner) if absolute else inner) if inner else word
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
