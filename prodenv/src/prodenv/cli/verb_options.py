"""The options of the verbs that look after cycles. Standard library only, syntax of Python 3.7, as in the parsers."""

from __future__ import annotations

import argparse
import math


def _cycle(parser: argparse.ArgumentParser, name: str = "cycle") -> None:
    parser.add_argument(
        name, metavar=name.upper(), help="folder of a cycle or its configuration file; names below $PRODENV too"
    )


def _setup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--setup", metavar="NAME", default=None, help="which setup of the file (default: its only one)")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for scripts: one JSON document")


def _changing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def _processes(text: str) -> int:
    """A number of processes or threads."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes; give 1 or more")
    return int(text)


def _sigma(text: str) -> float:
    """A number of standard deviations."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a significance; give a number such as 3, not below 0")
    return value


def _reading(parser: argparse.ArgumentParser) -> None:
    _cycle(parser)
    _setup(parser)
    _json(parser)


def list_(parser: argparse.ArgumentParser) -> None:
    _json(parser)


def show(parser: argparse.ArgumentParser) -> None:
    _reading(parser)


def verify(parser: argparse.ArgumentParser) -> None:
    _reading(parser)
    parser.add_argument("--jobs", metavar="N", type=_processes, default=0, help="worker processes (default: all cores)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="do not read the data: structure and row counts only")
    how.add_argument("--full", action="store_true", help="decompress everything, also what is as its job left it")
    parser.add_argument("--no-manifest", action="store_true", help="do not compare with the manifest of a frozen cycle")


def clean(parser: argparse.ArgumentParser) -> None:
    _cycle(parser)
    _setup(parser)
    what = parser.add_argument_group("which files; several options narrow the choice")
    what.add_argument(
        "--tier",
        metavar="TIER",
        action="append",
        default=[],
        help="files of a tier, or par_TIER, plt_TIER; can be repeated",
    )
    what.add_argument(
        "--run",
        metavar="RUN",
        action="append",
        default=[],
        help="files of a run, such as p03-r001-cal; * and ? stand for others; can be repeated",
    )
    what.add_argument("--stale", action="store_true", help="files whose recipe is not the wanted one any more")
    what.add_argument(
        "--failed", action="store_true", help="files in which detectors failed, and what killed jobs left"
    )
    what.add_argument("--attic", action="store_true", help="empty the attic: delete for good what was moved there")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="for scripts: what goes as one JSON document")
    _changing(parser)


def freeze(parser: argparse.ArgumentParser) -> None:
    _cycle(parser)
    _setup(parser)
    parser.add_argument("--thaw", action="store_true", help="open the cycle again")
    parser.add_argument(
        "--jobs", metavar="N", type=_processes, default=0, help="threads that read (default: all cores)"
    )
    _changing(parser)


def archive(parser: argparse.ArgumentParser) -> None:
    _cycle(parser)
    parser.add_argument("file", metavar="FILE", help="the archive, for example v01.tar; must not exist")
    parser.add_argument("--follow", action="store_true", help="store the targets of links out of the cycle")
    _setup(parser)
    _changing(parser)


def restore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="an archive made by dataprod archive")
    parser.add_argument("rpath", metavar="PATH", help="directory of the cycle, relative to $PRODENV; must not exist")
    _changing(parser)


def doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cycle", metavar="CYCLE", nargs="?", default="", help="also look at this cycle")
    _setup(parser)
    _json(parser)


def new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rpath", metavar="PATH", help="directory of the new cycle, relative to $PRODENV")
    parser.add_argument("--from", dest="parent", metavar="CYCLE", default="", help="the cycle whose files it uses")
    parser.add_argument("--relink", action="store_true", help="PATH is there, and it or its parent was moved: fix it")
    parser.add_argument("--unfrozen", action="store_true", help="also where the other cycle is not frozen")
    _setup(parser)
    _changing(parser)


def find(parser: argparse.ArgumentParser) -> None:
    _cycle(parser)
    parser.add_argument("pattern", metavar="KEYS", nargs="?", default="*", help="such as p03-r00*-cal (default: all)")
    parser.add_argument("--tier", metavar="TIER", default="", help="files of this tier; without it: keys")
    parser.add_argument("--where", metavar="CONDITION", default="", help="such as \"period == 'p03' and run < 'r005'\"")
    parser.add_argument("--missing", action="store_true", help="files that are not there")
    _setup(parser)
    _json(parser)


def compare(parser: argparse.ArgumentParser) -> None:
    _cycle(parser, "a")
    _cycle(parser, "b")
    parser.add_argument(
        "--significance", metavar="SIGMA", type=_sigma, default=3.0, help="what is put on top (default: 3)"
    )
    parser.add_argument("--all", action="store_true", help="also what is not significant")
    parser.add_argument("--figures", metavar="FOLDER", default="", help="draw the changes into this folder")
    _setup(parser)
    _json(parser)


def notebook(parser: argparse.ArgumentParser) -> None:
    _cycle(parser)
    parser.add_argument("words", metavar="WORD", nargs="*", help="for jupyter lab: a file; options after --")
    parser.add_argument("--kernel", action="store_true", help="only a kernel for the Jupyter that this user has")
    _setup(parser)
