"""The options of the verbs that run cycles and look at their state. Standard library only, syntax of Python 3.7."""

from __future__ import annotations

import argparse

CYCLE_HELP = "folder of a cycle or its configuration file; names below $PRODENV too"
TARGET_HELP = "what to make: a target such as all-l200-p03-r001-cal-hit.gen, or output files"


def _cycle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cycle", metavar="CYCLE", help=CYCLE_HELP)
    parser.add_argument("--setup", metavar="NAME", default=None, help="which setup of the file (default: its only one)")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for scripts: one JSON document")


def _cores(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("-j", "--jobs", metavar="N", type=_number, default=0, help=what)


def _number(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of cores")
    return int(text)


def run(parser: argparse.ArgumentParser) -> None:
    _cycle(parser)
    parser.add_argument("targets", metavar="TARGET", nargs="+", help=TARGET_HELP)
    _cores(
        parser,
        "cores to use (default: all of this host), or jobs of a cluster at a time (default: what its profile says)",
    )
    parser.add_argument(
        "--profile",
        metavar="NAME",
        default="",
        help="slurm, htcondor or another folder of dataflow/profiles, or a path",
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 also if a detector failed or is missing")
    parser.add_argument("--dry-run", action="store_true", help="say what would be made, and make nothing")
    parser.add_argument("--json", action="store_true", help="with --dry-run: one JSON document")
    parser.add_argument(
        "--snakemake", metavar="OPTION", action="append", default=[], help="pass an option on to Snakemake; repeatable"
    )


def plan(parser: argparse.ArgumentParser) -> None:
    _cycle(parser)
    parser.add_argument("targets", metavar="TARGET", nargs="+", help=TARGET_HELP)
    _cores(parser, "cores that the time is estimated for (default: all of this host)")
    _json(parser)
    parser.add_argument("--check", action="store_true", help="exit with 3 if something would be made")


def status(parser: argparse.ArgumentParser) -> None:
    _cycle(parser)
    _cores(parser, "cores that the time is estimated for (default: all of this host)")
    _json(parser)
    parser.add_argument("--all", action="store_true", help="also the complete runs")


def config(parser: argparse.ArgumentParser) -> None:
    _cycle(parser)
    parser.add_argument("step", metavar="STEP", help="a step such as tier_dsp or par_hit_ecal")
    parser.add_argument("detector", metavar="DETECTOR", nargs="?", default="", help="a detector (default: all)")
    parser.add_argument("--at", metavar="KEY", default="", help="of which file (default: the last one of the step)")
    _json(parser)


def why(parser: argparse.ArgumentParser) -> None:
    _cycle(parser)
    parser.add_argument("file", metavar="FILE", help="an output of the cycle, from here or from the cycle's folder")
    _json(parser)
    parser.add_argument("--tree", action="store_true", help="the whole tree of what the file is made from")
