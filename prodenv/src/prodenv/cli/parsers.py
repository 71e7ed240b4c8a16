"""The commands and their options, declared once: the launcher, the help and the documentation derive from this.

Nothing but the standard library, and no syntax newer than Python 3.7, so that ``--help`` works before anything is
installed and an old Python gets a sentence instead of a SyntaxError.
"""

from __future__ import annotations

import argparse
import sys
from typing import Callable, Dict, List, NamedTuple, NoReturn  # noqa: UP035 - evaluated below, also by old Pythons

from . import run_options, verb_options

SOURCE_HELP = "builtin, a git address with optional @revision, or a local path"
FLOW_HELP = (
    "the workflow: builtin, a name of the site configuration, a git address or a folder, with optional @revision"
)


class Parser(argparse.ArgumentParser):
    """A parser whose errors look like all others: a sentence, a hint, exit code 2."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"error: {message}\nhint: {self.prog} --help\n")
        sys.exit(2)


NAMES: Dict[str, str] = {"tools": "prodenv-tools", "init-simulation": "simprod-init-cycle"}  # noqa: UP006
"""Executables that are not called ``dataprod-`` with their verb."""


class Command(NamedTuple):
    """One command: what it is called, where its work is done, and what it takes."""

    verb: str
    module: str
    summary: str
    declare: Callable[[argparse.ArgumentParser], None]
    bare: bool = False
    """Whether it runs on any Python, before the tools are installed."""
    open_ended: bool = False
    """Whether everything after the first positional argument belongs to a command of the user."""

    @property
    def name(self) -> str:
        return NAMES.get(self.verb, f"dataprod-{self.verb}")

    def parser(self, prog: str = "") -> argparse.ArgumentParser:
        """The parser, for the documentation and for use."""
        parser = Parser(prog=prog or self.name, description=self.summary, allow_abbrev=False)
        self.declare(parser)
        return parser

    def parse(self, argv: List[str], prog: str = "") -> argparse.Namespace:  # noqa: UP006
        """Parse `argv`; prints and exits for ``--help`` and for mistakes."""
        parser = self.parser(prog)
        if not self.open_ended:
            return parser.parse_args(argv)
        cut = _first_positional(parser, argv) + 1
        options = parser.parse_args(argv[:cut])
        options.command = argv[cut:][1:] if argv[cut : cut + 1] == ["--"] else argv[cut:]
        return options


def _first_positional(parser: argparse.ArgumentParser, argv: List[str]) -> int:  # noqa: UP006
    """Index of the first word of `argv` that is neither an option nor the value of one."""
    with_value = {name for action in parser._actions if action.nargs != 0 for name in action.option_strings}
    index = 0
    while index < len(argv) and argv[index].startswith("-"):
        index += 2 if argv[index] in with_value else 1
    return index


def _tools(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--upgrade", action="store_true", help="the newest allowed versions instead of the pinned ones")
    group.add_argument("--pinned", action="store_true", help="the pinned versions again, after an upgrade")
    parser.add_argument(
        "--clusters", action="store_true", help="with Snakemake's executors for clusters; later calls keep them"
    )
    parser.add_argument("--dev", action="store_true", help="also tools/dev, the environment of the tests")
    parser.add_argument(
        "--no-compile", action="store_true", help="leave it to the next call to compile the signal processors of --dev"
    )
    parser.add_argument("--python", metavar="PATH", default="", help="the interpreter to build on (default: this one)")


def _init_cycle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rpath", help="directory of the new cycle, relative to $PRODENV")
    parser.add_argument("-c", dest="clone", action="store_true", help="clone pygama, pylegendmeta and pyfcutils")
    parser.add_argument("--dataflow", metavar="SOURCE", default="", help=FLOW_HELP)
    parser.add_argument("--metadata", metavar="SOURCE", default="", help=f"the metadata: {SOURCE_HELP}")
    parser.add_argument(
        "--software",
        metavar="NAME[=SOURCE]",
        action="append",
        default=[],
        help="a package to check out: a name of the site configuration, or NAME=SOURCE, where SOURCE is "
        f"{SOURCE_HELP} (builtin: the released package); can be repeated",
    )
    parser.add_argument("--setup", metavar="NAME", default="l200", help="experiment of the setup (default: l200)")
    parser.add_argument(
        "--scheme", metavar="SCHEME", default="l200", choices=["l200", "teststand"], help="of file names"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def _init_simulation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rpath", help="directory of the new cycle, relative to $PRODENV")
    parser.add_argument("--simflow", metavar="SOURCE", default="", help=FLOW_HELP)
    parser.add_argument("--metadata", metavar="SOURCE", default="", help=f"the metadata: {SOURCE_HELP}")
    parser.add_argument("--l200data", metavar="CYCLE", default="", help="the cycle of data that parameters come from")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def _config_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config_file", help="production cycle configuration file")
    parser.add_argument("--setup", metavar="NAME", default=None, help="which setup of the file (default: its only one)")


def _install_sw(parser: argparse.ArgumentParser) -> None:
    _config_file(parser)
    parser.add_argument("-r", dest="remove", action="store_true", help="remove the software before installing it")
    parser.add_argument("--locked", action="store_true", help="rebuild exactly what the lock of the cycle says")
    parser.add_argument("--if-changed", action="store_true", help="do nothing where the same is installed already")
    parser.add_argument("--lock", metavar="FILE", default="", help="a lock elsewhere, for --locked")


def _load_sw(parser: argparse.ArgumentParser) -> None:
    _config_file(parser)
    parser.add_argument("command", nargs="*", help="command to run (default: an interactive shell)")


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=["run", "check", "draw"],
        help="run: everything; check: compare with the truth; draw: pictures of the simulated data",
    )
    parser.add_argument("cycle", nargs="?", default="cycles/demo", help="the cycle (default: cycles/demo in $PRODENV)")
    parser.add_argument("-j", dest="jobs", type=int, default=2, metavar="N", help="processes (default: 2)")
    parser.add_argument("--seed", default="1", help="of the simulated experiment (default: 1)")
    parser.add_argument("--scale", default="1", help="multiplies the numbers of events (default: 1)")
    parser.add_argument(
        "--preset", default="small", choices=["small", "full"], help="of the experiment (default: small)"
    )
    parser.add_argument("--draw", metavar="FILE", default="", help="check: also draw the comparison into a PNG")


COMMANDS: Dict[str, Command] = {  # noqa: UP006
    command.verb: command
    for command in [
        Command(
            "tools", "prodenv.commands.tools", "Install the tools of the production environment", _tools, bare=True
        ),
        Command("init-cycle", "prodenv.commands.init_cycle", "Initialize a new production cycle", _init_cycle),
        Command(
            "init-simulation",
            "prodenv.commands.init_simulation",
            "Initialize a new simulation cycle",
            _init_simulation,
        ),
        Command("install-sw", "prodenv.commands.install_sw", "Install the software of a production cycle", _install_sw),
        Command("demo", "prodenv.commands.demo", "Produce a simulated experiment and compare it with its truth", _demo),
        Command(
            "load-sw", "prodenv.commands.load_sw", "Load the software of a production cycle", _load_sw, open_ended=True
        ),
        Command("run", "prodenv.commands.run", "Make targets of a cycle", run_options.run),
        Command("plan", "prodenv.commands.plan", "What a run would make, and how long it would take", run_options.plan),
        Command("status", "prodenv.commands.status", "Files there, stale, missing, failed", run_options.status),
        Command("why", "prodenv.commands.why", "What made a file, and what would make it now", run_options.why),
        Command("config", "prodenv.commands.config", "The configuration in force, and its origin", run_options.config),
        Command("list", "prodenv.commands.list", "The cycles of the environment", verb_options.list_),
        Command("show", "prodenv.commands.show", "One cycle in full", verb_options.show),
        Command(
            "verify",
            "prodenv.commands.verify",
            "Whether the files of a cycle can be read and fit together",
            verb_options.verify,
        ),
        Command("freeze", "prodenv.commands.freeze", "Make a cycle read-only, with a manifest", verb_options.freeze),
        Command(
            "clean", "prodenv.commands.clean", "Put files of a cycle aside, to have them made again", verb_options.clean
        ),
        Command(
            "doctor",
            "prodenv.commands.doctor",
            "What is wrong with the environment or a cycle, and what fixes it",
            verb_options.doctor,
        ),
        Command("find", "prodenv.commands.find", "Keys and files of a cycle", verb_options.find),
        Command("compare", "prodenv.commands.compare", "Two cycles side by side", verb_options.compare),
        Command("archive", "prodenv.commands.archive", "A cycle as one file", verb_options.archive),
        Command("restore", "prodenv.commands.restore", "A cycle from an archive", verb_options.restore),
        Command(
            "notebook", "prodenv.commands.notebook", "JupyterLab with the software of a cycle", verb_options.notebook
        ),
        Command("new", "prodenv.commands.new", "A cycle that uses the files of another", verb_options.new),
    ]
}
"""Every command by its verb."""


VARIABLES: Dict[str, str] = {  # noqa: UP006
    "PRODENV": "the production environment; set by setup.sh",
    "PRODENV_TOOLS": "its tools; set by setup.sh",
    "PRODENV_VERSION": "its version; set by setup.sh",
    "PRODENV_SITE": "site configuration that is laid over site.yaml; set it where new cycles have other sources",
    "PRODENV_SYSTEM": "name of the execenv that is used, where a configuration has several",
    "UV_CACHE_DIR": "where downloaded packages are kept (default: $PRODENV/tools/cache/uv)",
}
"""Every environment variable that is set or read."""


def parsers() -> Dict[str, argparse.ArgumentParser]:  # noqa: UP006
    """All parsers by the name of their command, for the documentation."""
    return {command.name: command.parser() for command in COMMANDS.values()}
