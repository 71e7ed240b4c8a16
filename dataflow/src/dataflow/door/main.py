"""The command line of the door: a verb and its question in, one JSON document out."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dataflow.base.errors import SentenceError, UserError

FORM = 1
"""The form of questions and answers; raised when another one could not be understood any more."""
Question = Mapping[str, Any]
"""What is asked: ``config``, ``experiment``, and the values of the verb."""

VERBS: Mapping[str, tuple[str, str]] = {
    "setup": ("setups:setup", "the configuration with every default filled in"),
    "form": ("setups:form", "a complete configuration for a new cycle"),
    "wrap": ("setups:wrapped", "the command and the environment that run a command with a cycle's software"),
    "software": ("setups:software", "what is to be said if the installed software is not the one asked for"),
    "contents": ("contents:contents", "the files that the cycle has made, and its data by run"),
    "recorded": ("contents:recorded", "how files were made: lineages, records, hashes"),
    "plan": ("planning:plan", "what a run for some targets would make, and how long it would take"),
    "status": ("status:status", "what is there, stale, missing, failed, foreign"),
    "detectors": ("detectors:detectors", "detectors that failed, are missing or degraded, and why"),
    "why": ("explaining:why", "what made a file, compared with what would make it now"),
    "in_force": ("explaining:in_force_at", "the configuration in force, with the origin of every value"),
    "find": ("finding:find", "keys and files"),
    "clean": ("cleaning:clean", "files by tier, run, staleness or failure"),
    "wanted": ("lineages:wanted", "the lineages that outputs would be made by now"),
    "metadata": ("health:metadata", "what is wrong with the metadata and the code of the steps"),
    "parameter_files": ("checking:parameter_files", "whether parameter files are what they were and can be read"),
    "parameters": ("parameters:parameters", "the parameter files that hold for each key"),
    "values": ("parameters:values", "what calibrations say, and what is used, for sets of parameter files"),
    "compared": ("comparing:compared", "quantities of detectors in two sets of parameters, side by side; of no cycle"),
    "rates": ("rates:rates", "counts of events by run, from the records"),
}
"""What can be asked: the function that answers, and what it tells."""


class Given(dict[str, Any]):
    """The values of a question; one that a verb needs and that was not given is the caller's mistake."""

    def __missing__(self, name: str) -> Any:  # noqa: ANN401 - any value
        hint = f"give it with --with, for example --with '{{\"{name}\": …}}'"
        raise UserError(f"the question does not say {name!r}", hint=hint)


def main(argv: Sequence[str]) -> int:
    """Answer one question, or several one after the other; returns the exit code."""
    if list(argv) == ["--several"]:
        from .several import several

        return several()
    options = _parser().parse_args(argv)
    return answer_to(options.verb, lambda: _question(options))


def answer_to(verb: str, question: Callable[[], Question]) -> int:
    """Write the answer to a question, or what is wrong with it; returns the exit code."""
    try:
        answer = function_of(verb)(question())
    except SentenceError as error:
        code = 2 if isinstance(error, UserError) else 1
        _write({"form": FORM, "error": {"message": error.message, "hint": error.hint, "code": code}})
        return code
    _write({"form": FORM, "answer": answer})
    return 0


def _parser() -> argparse.ArgumentParser:
    lines = "\n".join(f"  {verb:<16} {what}" for verb, (_, what) in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="python -m dataflow.plan",
        description="What this flow says of a cycle, as JSON.",
        epilog=f"verbs:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", metavar="VERB", choices=VERBS, help="what is asked, see below")
    parser.add_argument("--config", default="", metavar="FILE", help="configuration file of the cycle")
    parser.add_argument("--setup", default=None, metavar="NAME", help="which setup of the file")
    parser.add_argument("--with", dest="values", default="{}", metavar="JSON", help="values; - for standard input")
    parser.add_argument("--json", action="store_true", help="one JSON document, which is the only form there is")
    return parser


def _question(options: argparse.Namespace) -> Question:
    text = sys.stdin.read() if options.values == "-" else options.values
    try:
        values = json.loads(text)
    except ValueError as error:
        raise UserError(f"the values of the question are not JSON: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"the values of the question are no mapping: {text[:60]!r}", hint="such as '{\"cores\": 8}'")
    given = {"config": options.config} if options.config else {}
    return Given({"experiment": options.setup} | given | values)


def function_of(verb: str) -> Callable[[Question], Any]:
    """What answers a verb; imports it."""
    module, _, name = VERBS[verb][0].partition(":")
    found: Callable[[Question], Any] = getattr(importlib.import_module(f"dataflow.door.{module}"), name)
    return found


def _write(document: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, default=str) + "\n")
    sys.stdout.flush()
