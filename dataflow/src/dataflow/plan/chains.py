"""Processing chains, looked at while planning: whether the functions that they name are in the software of the cycle.

A chain that names a function that is not there fails for each detector that it is for, file after file; it is a mistake
of the configuration, and stops the plan. The sources of the installed packages are read, nothing is imported: planning
stays fast and runs no foreign code. What sources do not tell (compiled modules, ``import *``) is taken for right.

Chains read columns of raw by name. One that no processor makes, that the decoders of the DAQ file's form and the
configuration of raw do not know, and that is almost the name of one that a processor makes, is taken for a misspelt
one. Chains that the metadata changes are then built by dspeed (:mod:`.chainbuilds`), which finds all others.
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from dataflow.base.errors import UserError
from dataflow.base.messages import nearest
from dataflow.base.textfile import Reader, TextFile, kind
from dataflow.metadata.layers import Layers
from dataflow.setup.config import Setup

from .chainbuilds import Build, ChainBuilds
from .job import Job

CHAINS = ("processing_chain", "proc_chain")
"""What chains are called in the configuration of rules."""
PROCESSORS = "processors"
LIBRARY = "dspeed.processors"
SHORT = {"np": "numpy", "numpy": "numpy"}
"""What dspeed understands as modules in expressions."""
OUTPUTS = "outputs"
DECODERS = "daq2lh5"
PACKAGES = {"fcio": ("fc",), "orca": ("fc", "orca"), "compass": ("compass",), "llama": ("llama",)}
"""The folders of decoders by the forms of DAQ files."""
OWN_DECODERS = "dataflow/steps/tier_raw/formats"
COMPUTING = frozenset({"math", "cmath"})
"""Modules of Python itself whose functions processors may be: a configuration starts no programs and opens no files."""
CLOSE, SHORTEST = 0.85, 4
"""How near a misspelt variable is to the right one (as :mod:`difflib` counts), and how long at least."""
_SEPARATORS = re.compile(r"[,\s]+")
_WORD = re.compile(r"[^\W\d]\w*")
HERE = Path(__file__).resolve().parents[2]
"""Where this dataflow is, for a cycle that has none of its own."""
_TABLE = "_modules"
"""Where dspeed lists its processors by name."""


@dataclass(frozen=True)
class Raw:
    """The raw tables that a job reads, as far as the configuration of raw tells.

    Attributes
    ----------
    form
        The form of traces, ``whole`` or ``windowed``; empty if it is not known.
    daq
        The form of the DAQ file, empty if there is none.
    words
        All words in the configuration of raw.
    """

    form: str = ""
    daq: str = ""
    words: frozenset[str] = frozenset()


class Chains:
    """The processing chains of a cycle; each set of files is looked at once.

    Parameters
    ----------
    setup
        The configuration of the cycle.
    reader
        Reads and keeps files.
    made_of
        The code and the packages that implement a step.
    raw
        Tells of the raw tables that a job reads.
    """

    def __init__(
        self,
        setup: Setup,
        reader: Reader,
        made_of: Callable[[str], Mapping[str, object]],
        raw: Callable[[Job], Raw],
    ) -> None:
        self._setup, self._reader, self._made_of, self._raw = setup, reader, made_of, raw
        self.builds = ChainBuilds(setup)
        self._done: set[tuple[Path, ...]] = set()
        self._looked_at: dict[int, Layers] = {}
        self._seen: dict[tuple[str, int, int], Job] = {}
        self._sources: dict[str, Path | None] = {}
        self._texts: dict[Path, str] = {}
        self._decoded: dict[str, frozenset[str]] = {}

    def check(self, job: Job) -> None:
        """Look at the chains of a job's channels.

        Raises
        ------
        UserError
            If one has a processor of a wrong form, or names a function that is not there; with file and line.
        """
        place = job.step, id(job.config), id(job.channels)
        if place in self._seen:
            return
        self._seen[place] = job  # which keeps the objects: their ids must not come to mean others
        raw = self._raw(job)
        columns = self._columns(raw)
        for channel, name in itertools.product(job.channels, CHAINS):
            layers = job.config.layers(name, channel)
            if id(layers) in self._looked_at:
                continue
            files = tuple(text.path for text in layers.files)
            if files and files not in self._done:
                self._check(layers.data, files, columns)
                self._done.add(files)
                self._take_up(job, layers, files, raw, columns)
            self._looked_at[id(layers)] = layers  # kept, as jobs are

    def _check(self, chain: Mapping[str, Any], files: tuple[Path, ...], columns: frozenset[str]) -> None:
        processors = chain.get(PROCESSORS) or {}
        place = _Place(tuple(self._reader(path) for path in files))
        if not isinstance(processors, Mapping):
            raise place.error(f"{PROCESSORS} must be a mapping, not {kind(processors)}", PROCESSORS)
        made = {part for name in processors for part in _SEPARATORS.split(str(name)) if part}
        here = made, columns
        for name, node in processors.items():
            whole = _whole(node)
            self._processor(place, str(name), whole)
            for used in _variables(whole):
                self._variable(place, f"the processor {str(name)!r} uses", used, here, PROCESSORS, str(name), "args")
        for used in chain.get(OUTPUTS) or ():
            self._variable(place, "the outputs name", str(used), here, OUTPUTS)

    def _take_up(self, job: Job, layers: Layers, files: tuple[Path, ...], raw: Raw, known: frozenset[str]) -> None:
        """Have a chain built that the metadata changes; what is shipped is right."""
        if layers.own and self._roots:
            place = _Place(tuple(self._reader(path) for path in files))
            processors = layers.data.get(PROCESSORS) or {}
            used = {name for node in processors.values() for name in _variables(_whole(node))}
            made = {part for name in processors for part in _SEPARATORS.split(str(name))}
            columns = tuple(sorted(known & {*used, *map(str, layers.data.get(OUTPUTS) or ())} - made))
            self.builds.add(Build(layers.data, columns, raw.form, place.error), self._made_of(job.step))

    def _variable(self, place: _Place, who: str, used: str, here: tuple[set[str], frozenset[str]], *names: str) -> None:
        """Refuse a variable that can only be a misspelt one; `here` is what processors make, and what raw may have."""
        made, columns = here
        if used in made or len(used) < SHORTEST or not self._roots or used in columns:
            return
        close = get_close_matches(used, sorted(made), n=1, cutoff=CLOSE)
        if close:
            message = f"{who} {used!r}, which no processor makes and no raw file has"
            raise place.error(message, *names, hint=f"did you mean {close[0]!r}?")

    def _columns(self, raw: Raw) -> frozenset[str]:
        """What raw tables may have: columns of the decoders, and all words of the configuration of raw.

        Of a form of DAQ files that is not known, all words in the sources of the decoders: columns are among them.
        """
        if raw.daq not in self._decoded:
            texts = [file.read_text(encoding="utf-8", errors="replace") for file in self._decoders(raw.daq)]
            words = frozenset(word for text in texts for word in _WORD.findall(text))
            named = frozenset(name for text in texts for name in _columns_in(text))
            self._decoded[raw.daq] = named if raw.daq in PACKAGES else words
        return self._decoded[raw.daq] | raw.words

    def _decoders(self, daq: str) -> Iterator[Path]:
        """The sources of the decoders for a form of DAQ files."""
        for root in self._roots:
            for package in PACKAGES.get(daq, ("",)):
                yield from sorted((root / DECODERS / package).rglob("*.py"))
            yield from sorted((root / OWN_DECODERS).glob("*.py"))

    def _processor(self, place: _Place, name: str, node: Any) -> None:
        if not isinstance(node, Mapping) or not isinstance(node.get("function"), str):
            raise place.error(f"the processor {name!r} has no function", PROCESSORS, name)
        try:
            tree = _tree(node["function"])
        except SyntaxError as error:
            message = f"the processor {name!r}: {node['function']!r} is not an expression ({error.msg})"
            raise place.error(message, PROCESSORS, name, "function") from None
        called = _called(tree, node)
        if called:
            self._function(place, name, *called)

    def _function(self, place: _Place, name: str, module: str, function: str) -> None:
        """Refuse a function that its module does not have, or of a module that does other things than computing."""
        module = SHORT.get(module, module)
        if module.partition(".")[0] in sys.stdlib_module_names - COMPUTING:
            message = f"the processor {name!r}: functions of the module {module!r} may not be called"
            raise place.error(message, PROCESSORS, name, hint="processors are functions of dspeed, numpy, scipy, …")
        if not self._roots:
            return
        source = self._source(module)
        if source is None:
            if self._is_complete and module not in COMPUTING:
                message = f"the processor {name!r}: there is no module {module!r} in the software of this cycle"
                raise place.error(message, PROCESSORS, name, "module", hint="see function and module of the processor")
            return
        known = self._names(module, source)
        if known is not None and function not in known:
            message = f"the processor {name!r}: {module} has no function {function!r}"
            raise place.error(message, PROCESSORS, name, "function", hint=nearest(function, known))

    def _names(self, module: str, source: Path) -> frozenset[str] | None:
        """The names that a module may have; None if its source does not tell."""
        text = self._text(source)
        if module == LIBRARY and (table := _table(text)):
            return table
        if source.suffix != ".py" or "import *" in text:
            return None
        return frozenset(_WORD.findall(text))

    def _text(self, source: Path) -> str:
        if source not in self._texts:
            self._texts[source] = source.read_text(encoding="utf-8", errors="replace") if source.suffix == ".py" else ""
        return self._texts[source]

    def _source(self, module: str) -> Path | None:
        """The source of a module, or its compiled file; None if there is none."""
        if module not in self._sources:
            self._sources[module] = next(self._found(module), None)
        return self._sources[module]

    def _found(self, module: str) -> Iterator[Path]:
        for root in self._roots:
            path = root.joinpath(*module.split("."))
            yield from (file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file())
            yield from sorted(path.parent.glob(f"{path.name}.*.so"))
            if path.is_dir():
                yield path

    @cached_property
    def _site(self) -> Path | None:
        """The folder of installed packages."""
        return next(iter(sorted(self._setup.path("install").glob("lib/python3*/site-packages"))), None)

    @cached_property
    def _roots(self) -> tuple[Path, ...]:
        """The folders that packages are found in, those of checkouts included; none if no dspeed is there."""
        if self._site is None:
            return ()
        links = [line.strip() for file in sorted(self._site.glob("*.pth")) for line in self._lines(file)]
        folders = [folder for line in links if line and (folder := self._site / line).is_dir()]
        own = self._setup.path("dataflow") / "src"
        roots = (own if own.is_dir() else HERE, self._site, *folders)
        return roots if any((root / "dspeed").is_dir() for root in roots) else ()

    def _lines(self, file: Path) -> list[str]:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()

    @property
    def _is_complete(self) -> bool:
        """Whether all packages lie in the known folders: some checkouts are found by code only."""
        return self._site is not None and not any(self._site.glob("__editable__*finder.py"))


def _columns_in(text: str) -> Iterator[str]:
    """The columns that a source declares: names with a mapping (``"baseline": {"dtype": …}``), and single names."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Dict):
            names = [key for key, value in zip(node.keys, node.values, strict=True) if isinstance(value, ast.Dict)]
        else:
            names = [node.slice] if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) else []
        yield from (name.value for name in names if isinstance(name, ast.Constant) and isinstance(name.value, str))


class _Place:
    """The files that a chain was merged from."""

    def __init__(self, files: tuple[TextFile, ...]) -> None:
        self._files = files

    def error(self, message: str, *names: str, hint: str = "") -> UserError:
        """The error about an entry, with the last file that has it."""
        having = [file for file in self._files if _has(file.data, names)] or [
            file for file in self._files if _has(file.data, names[:-1])
        ]
        return (having or list(self._files))[-1].error(message, *names, hint=hint)


def _whole(node: Any) -> Any:
    """A processor as a mapping: a text is an expression."""
    return {"function": node} if isinstance(node, str) else node


def _has(data: Any, names: tuple[str, ...]) -> bool:
    for name in names:
        if not isinstance(data, Mapping) or name not in data:
            return False
        data = data[name]
    return True


def _called(tree: ast.expr, node: Mapping[str, Any]) -> tuple[str, str] | None:
    """Module and function that a processor calls, as dspeed reads them; None for expressions of its own."""
    if isinstance(tree, ast.Name) and isinstance(node.get("module"), str):
        return node["module"], tree.id
    inner = tree.func if isinstance(tree, ast.Call) else tree if "args" in node else None
    if isinstance(inner, ast.Attribute):
        return ast.unparse(inner.value), inner.attr
    if isinstance(inner, ast.Name) and isinstance(node.get("module"), str):
        return node["module"], inner.id
    return None


def _variables(node: Mapping[str, Any]) -> Iterator[str]:
    """The names of the variables that a processor takes, as far as its arguments can be read."""
    args = node.get("args") or [node["function"]]
    for arg in args if isinstance(args, list) else ():
        yield from _variables_of(arg) if isinstance(arg, str) else ()


@cache
def _variables_of(text: str) -> tuple[str, ...]:
    """The variables of an argument; many detectors have the same ones."""
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return ()
    called = {id(part.func) for part in ast.walk(tree) if isinstance(part, ast.Call)}
    return tuple(part.id for part in ast.walk(tree) if isinstance(part, ast.Name) and id(part) not in called)


@cache
def _tree(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


@cache
def _table(text: str) -> frozenset[str]:
    """The names of dspeed's table of processors; empty if it has no such table."""
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Assign) and any(getattr(name, "id", "") == _TABLE for name in statement.targets):
            return frozenset(ast.literal_eval(statement.value))
    return frozenset()
