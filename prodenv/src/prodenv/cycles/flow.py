"""Asking a cycle's own flow: the only way in which control learns what a flow says of a cycle.

Nothing of a flow is imported here. The question goes to ``python -m dataflow.plan VERB``, run with the sources of the
cycle's own ``dataflow/src`` first on the path, and the answer is one JSON document (``dataflow/src/dataflow/door``). So
what answers for a cycle is always the code that its jobs are run by. A cycle whose flow is another one, such as the
collaboration's, has no such door: what only a flow of ours can tell of it is unknown, and said to be.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from prodenv.base.errors import UserError, WorkFailed
from prodenv.base.places import ROOT

from .door import answer
from .find import CycleFolder
from .published import owner_of

DOOR = Path("dataflow/plan/__main__.py")
"""What a flow of ours has below its folder of sources."""
ENVIRONMENT = ROOT / "dataflow" / "src"
"""The flow of the production environment: it knows the form of configurations where a cycle has none of ours."""
BYTECODE = ROOT / "tools" / "cache" / "bytecode"
"""Where Python keeps what it has compiled of flows: asking a cycle leaves nothing in it."""


class Unknown(UserError):
    """Something that only a flow of ours could tell of a cycle, whose flow is another one."""


def ask(cycle: CycleFolder, verb: str, experiment: str | None = None, **values: Any) -> Any:
    """What the cycle's own flow answers.

    Raises
    ------
    Unknown
        If the cycle's flow is not ours.
    UserError, WorkFailed
        What the flow says is wrong; also if it cannot be run.
    """
    source = source_of(cycle)
    if source is None:
        raise unknown(cycle, verb)
    return ask_source(source, verb, {"config": str(cycle.config), "experiment": experiment} | values)


def ask_environment(verb: str, **values: Any) -> Any:
    """What the flow of the production environment answers, of what concerns no cycle with a flow of its own."""
    return ask_source(ENVIRONMENT, verb, values)


def source_of(cycle: CycleFolder) -> Path | None:
    """The sources of a cycle's flow if it is one of ours: of the cycle's ``dataflow``, else of ``paths.dataflow``."""
    folder = flow_folder(cycle)
    source = folder / "src" if folder else None
    return source if source and (source / DOOR).is_file() else None


def flow_folder(cycle: CycleFolder) -> Path | None:
    """The folder of a cycle's flow, ours or not; None if there is none.

    That is what ``paths.dataflow``, or ``paths.workflow``, says; where that leads nowhere, the cycle's own folder. What
    leads to the rules of a flow of the published form means the flow.
    """
    own = cycle.root / "dataflow"
    if own.is_dir() and _says_nothing_else(cycle.config):
        return own
    elsewhere = _configured(cycle.config)
    if elsewhere and elsewhere.is_dir():
        return owner_of(elsewhere)
    return own if own.is_dir() else None


_FLOW = re.compile(r"""["']?\b(?:dataflow|workflow)["']?\s*:\s*["']?([^\s"',}]+)""")
_OWN = frozenset({"$_/dataflow", "dataflow", "./dataflow", "${_}/dataflow"})


@lru_cache
def _says_nothing_else(config: Path) -> bool:
    """Whether a configuration names no other folder of the flow: then nobody needs to be asked what it says."""
    try:
        return set(_FLOW.findall(config.read_text(encoding="utf-8", errors="replace"))) <= _OWN
    except OSError:
        return True


@lru_cache
def _configured(config: Path) -> Path | None:
    """What ``paths.dataflow`` says; asked once, whatever a command asks the flow afterwards."""
    try:
        found = ask_environment("setup", config=str(config), lenient=True)
    except UserError:
        return None
    return Path(found["paths"]["dataflow"])


def unknown(cycle: CycleFolder, what: str = "") -> Unknown:
    """What is to be said where a flow of ours is needed and the cycle has another one."""
    folder = flow_folder(cycle)
    if folder is None:
        return Unknown(f"{cycle.name} has no dataflow", hint=f"bring back {cycle.root / 'dataflow'}")
    if (folder / "src" / "dataflow" / "plan").is_dir():
        message = f"the dataflow of {cycle.name} is older than this production environment: it does not answer"
        return Unknown(f"{message} {what!r}", hint="use snakemake in the cycle, or a cycle with a newer dataflow")
    message = f"the dataflow of {cycle.name} is not that of this production environment: what it would make is unknown"
    return Unknown(message, hint=f"see {folder}; `dataprod show` tells which files are there")


def ask_source(source: Path, verb: str, question: Mapping[str, Any]) -> Any:
    """What the flow with these sources answers."""
    if os.pathsep in str(source):
        what = f"the path {source} has the character {os.pathsep!r} in it, which separates folders in lists of them"
        raise UserError(what, hint="move the cycle to a folder without it")
    try:
        text, code = answer(source, verb, question, _environ(source))
    except OSError as error:
        raise WorkFailed(f"cannot run {sys.executable}: {error.strerror}") from None
    return _understood(text, code, source, verb)


def _understood(text: str, code: int, source: Path, verb: str) -> Any:
    if code == 130:
        raise KeyboardInterrupt
    try:
        document = json.loads(text)
    except ValueError:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        hint = "its output is above; was it changed?"
        raise WorkFailed(f"the dataflow in {source} does not answer {verb!r} ({how})", hint=hint) from None
    if "error" in document:
        kind = UserError if document["error"]["code"] == 2 else WorkFailed
        raise kind(document["error"]["message"], hint=document["error"]["hint"])
    return document["answer"]


def _environ(source: Path) -> dict[str, str]:
    """The environment without what would lead Python to other packages, with a flow's sources first."""
    left_out = ("PYTHONHOME", "PYTHONSTARTUP", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    kept.setdefault("PRODENV", str(ROOT))  # the published configurations use it
    return kept | {"PYTHONPATH": str(source), "PYTHONSAFEPATH": "1", **_byte_code(source)}


def _byte_code(source: Path) -> dict[str, str]:
    """Let a flow use the byte code that lies beside its sources, else keep it in a place of ours.

    That is kept in any case: to compile a flow anew takes as long as the status of a big cycle.
    """
    beside = source / "dataflow" / "door" / "__pycache__" / f"main.{sys.implementation.cache_tag}.pyc"
    return {"PYTHONDONTWRITEBYTECODE": "1"} if beside.is_file() else {"PYTHONPYCACHEPREFIX": str(BYTECODE)}
