"""Several questions to one process: each is answered by a child that has what was imported for those before it.

``python -m dataflow.plan --several`` reads lines of JSON, ``{"verb": …, "question": …}``, and writes the answer to each
as a line. Most of the time of a small question is that of starting Python and importing the flow. A child remembers
nothing for the next one: files may change between two questions. An answer that does not come is the end of the
process, with the exit code of the child.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Mapping
from typing import Any, NoReturn

from .main import VERBS, Given, answer_to, function_of, main

IDLE = 20.0
"""Seconds without a question after which the process ends; the caller begins another one long before."""
ANSWERED = (0, 1, 2)
"""Exit codes of children that wrote an answer."""
BROKEN = 3
"""The exit code of those that did not."""


def several() -> int:
    """Answer questions until there are no more; returns the exit code."""
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which is for the child that answers
    while select.select([sys.stdin], [], [], IDLE)[0]:
        line = sys.stdin.readline()
        if not line:
            break
        asked: Mapping[str, Any] = json.loads(line)
        verb, values = asked["verb"], asked["question"]
        if verb not in VERBS:
            return main([verb])
        function_of(verb)  # imported here, for all children after it
        child = os.fork()
        if not child:
            signal.signal(signal.SIGINT, interrupted)
            _answer(verb, values)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code not in ANSWERED:
            return 1 if code == BROKEN else code if code > 0 else 128 - code
    return 0


def _answer(verb: str, values: Mapping[str, Any]) -> NoReturn:
    """Be the child."""
    code = BROKEN
    try:
        code = answer_to(verb, lambda: Given(values))
    except KeyboardInterrupt:
        code = 130
    except BaseException:  # noqa: BLE001 - as Python does where nobody handles it
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
