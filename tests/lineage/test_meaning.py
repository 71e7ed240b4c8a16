"""The lineage follows the meaning of code: words reach nothing, a changed computation exactly what it concerns."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from dataflow.base.errors import UserError
from dataflow.provenance import code
from dataflow.provenance.code import HERE, LISTS, Code, is_in, list_of
from dataflow.provenance.meaning import meaning
from dataflow.provenance.understood import _imported, _of, understood
from dataflow.registry.steps import STEPS, inputs_of

from .conftest import Origin, changed

SAME = {
    "a comment": ("x = 1\n", "x = 1  # why\n"),
    "formatting": ("f(1, 2)\n", "f(\n    1,\n    2,\n)\n"),
    "a docstring": ("def f():\n    'old'\n    return 1\n", "def f():\n    'new'\n    return 1\n"),
    "the message of an error": ("raise BadInput(f'{x} is wrong')\n", "raise BadInput(f'{x} is invalid')\n"),
    "what a message shows": ("raise BadInput(f'{x}')\n", "raise BadInput(f'{x.name}')\n"),
    "a hint": ("raise UserError(m, hint='do this')\n", "raise UserError(m, hint='do that')\n"),
    "a hint in a variable": (
        "def f():\n    hint = 'a'\n    raise E(m, hint=hint)\n",
        "def f():\n    hint = 'b'\n    raise E(m, hint=hint)\n",
    ),
    "the message of an error that a place makes": ("raise place.error('a', name)\n", "raise place.error('b', name)\n"),
    "a warning": ("warnings.warn('a', stacklevel=2)\n", "warnings.warn('b', stacklevel=2)\n"),
    "a constant of messages": (
        "_HELP = 'a'\nraise BadInput(m, hint=_HELP)\n",
        "_HELP = 'b'\nraise BadInput(m, hint=_HELP)\n",
    ),
    "an error that is made to be raised later": ("e = WorkFailed('a')\n", "e = WorkFailed('b')\n"),
    "a log line": ("log.info('%d rows', n)\n", "log.info('%d rows read', n)\n"),
    "what is done instead of an entry": (
        "class A:\n    NOT_USED_HERE: M = {'a': 'b'}\n    x: int = 1\n",
        "class A:\n    NOT_USED_HERE: M = {'a': 'c', 'd': 'e'}\n    x: int = 1\n",
    ),
    "one log line more": ("x = 1\n", "x = 1\nlog.warning('careful')\n"),
}
OTHER = {
    "a number": ("x = 1\n", "x = 2\n"),
    "a text that is used": ("NAME = 'a'\nf(NAME)\n", "NAME = 'b'\nf(NAME)\n"),
    "a text that is also used for a message": (
        "NAME = 'a'\nf(NAME)\nraise BadInput(NAME)\n",
        "NAME = 'b'\nf(NAME)\nraise BadInput(NAME)\n",
    ),
    "the class of an error": ("raise BadInput(x)\n", "raise WorkFailed(x)\n"),
    "when an error is raised": ("if a > 1:\n    raise BadInput(x)\n", "if a > 2:\n    raise BadInput(x)\n"),
    "a default of settings": ("class A(S):\n    x: int = 1\n", "class A(S):\n    x: int = 2\n"),
    "a default of settings with a name that an error shows": (
        "class A(S):\n    most: int = 1\ndef f(most):\n    raise BadInput(f'{most}')\n",
        "class A(S):\n    most: int = 2\ndef f(most):\n    raise BadInput(f'{most}')\n",
    ),
    "a constant that others may import": ("MOST = 1\nraise BadInput(MOST)\n", "MOST = 2\nraise BadInput(MOST)\n"),
    "a constant that is shown in an error inside of a log line": (
        "_M = 1\nf(_M)\nlog.info(BadInput(_M))\n",
        "_M = 2\nf(_M)\nlog.info(BadInput(_M))\n",
    ),
    "a value with two names, one of them for messages": (
        "_M = x = 1\nraise BadInput(_M)\n",
        "_M = x = 2\nraise BadInput(_M)\n",
    ),
    "a value that is also put elsewhere": (
        "def f(self):\n    m = self.x = 1\n    raise BadInput(m)\n",
        "def f(self):\n    m = self.x = 2\n    raise BadInput(m)\n",
    ),
    "a tuple of values": ("_A, _B = 1, 2\nraise BadInput(_A, _B)\n", "_A, _B = 1, 3\nraise BadInput(_A, _B)\n"),
    "what is added to words": ("_A = 'a'\n_A += 'b'\nraise E(_A)\n", "_A = 'a'\n_A += 'c'\nraise E(_A)\n"),
    "a global of a function": (
        "def f():\n    global m\n    m = 1\n    raise BadInput(m)\n",
        "def f():\n    global m\n    m = 2\n    raise BadInput(m)\n",
    ),
    "a message that is used as a value": (
        "def f(table):\n    message = 'a'\n    return table[message]\n",
        "def f(table):\n    message = 'b'\n    return table[message]\n",
    ),
    "which warnings are errors": ("warnings.simplefilter('ignore')\n", "warnings.simplefilter('error')\n"),
    "what is computed by a function with a name like an error's": ("y = has_Failed(1)\n", "y = has_Failed(2)\n"),
    "a default": ("def f(a=1): ...\n", "def f(a=2): ...\n"),
    "an order": ("f([*a, *b])\n", "f([*b, *a])\n"),
}


@pytest.mark.parametrize("change", SAME)
def test_words_have_no_meaning(change: str) -> None:
    before, after = (meaning(ast.parse(text)) for text in SAME[change])
    assert before == after


@pytest.mark.parametrize("change", OTHER)
def test_a_change_of_meaning_is_seen(change: str) -> None:
    before, after = (meaning(ast.parse(text)) for text in OTHER[change])
    assert before != after


def replace(origin: Origin, module: str, old: str, new: str) -> None:
    """Change the code of the cycle; the old text must be there once."""
    file = origin.code(module)
    text = file.read_text()
    assert text.count(old) == 1, (module, old)
    file.write_text(text.replace(old, new))


def steps_of(changes: list[str]) -> set[str]:
    return {name.split()[0] for name in changes}


def with_parameters() -> set[str]:
    """The steps that take parameters, and all that need their outputs."""
    return and_after({step.name for step in STEPS if any(each.source.startswith("par_") for each in inputs_of(step))})


def and_after(steps: set[str]) -> set[str]:
    """Some steps, and all that need their outputs, directly or not."""
    sources = {step.name: {each.source for each in inputs_of(step)} for step in STEPS}
    found = set(steps)
    while more := {name for name, needed in sources.items() if needed & found} - found:
        found |= more
    return found


def test_a_changed_hint_of_an_error_reaches_nothing(origin: Origin) -> None:
    before = origin.lineages()
    replace(origin, "jobs/errors.py", "give the job more memory", "give it more memory")
    assert changed(before, origin.lineages()) == []


def test_a_changed_message_of_a_step_reaches_nothing(origin: Origin) -> None:
    before = origin.lineages()
    replace(origin, "steps/tier_tcm/build.py", "has no table of a channel in the channel map", "is empty")
    assert changed(before, origin.lineages()) == []


def test_the_order_of_calibrated_and_hand_made_parameters_reaches_all_that_take_some(origin: Origin) -> None:
    before = origin.lineages()
    replace(origin, "metadata/parameters.py", "[*calibrated, *overrides]", "[*overrides, *calibrated]")
    made = steps_of(list(before))
    assert steps_of(changed(before, origin.lineages())) == with_parameters() & made


def test_what_merging_means_reaches_all_that_take_parameters(origin: Origin) -> None:
    before = origin.lineages()
    replace(origin, "metadata/merge.py", "result = merged(result, part)", "result = merged(part, result)")
    reached = steps_of(changed(before, origin.lineages()))
    assert with_parameters() & steps_of(list(before)) <= reached


def test_a_changed_fit_reaches_the_calibration_and_what_uses_it(origin: Origin) -> None:
    before = origin.lineages()
    file = origin.code("physics/linefit.py")
    file.write_text(file.read_text() + "\nANOTHER = 1\n")
    fitting = {step.name for step in STEPS if "physics.linefit" in Code(HERE).reached(step.module)}
    assert "par_hit_ecal" in fitting and "par_dsp_nopt" not in fitting
    assert steps_of(changed(before, origin.lineages())) == and_after(fitting) & steps_of(list(before))


def test_a_changed_default_reaches_the_step_that_declares_it_and_what_uses_it(origin: Origin) -> None:
    before = origin.lineages()
    replace(origin, "steps/par_hit_lq/settings.py", 'lq_param: Name = "lq80"', 'lq_param: Name = "lq50"')
    reading = {step.name for step in STEPS if "steps.par_hit_lq.settings" in Code(HERE).reached(step.module)}
    assert "par_hit_lq" in reading and "par_hit_ecal" not in reading
    assert steps_of(changed(before, origin.lineages())) == and_after(reading) & steps_of(list(before))


def test_a_changed_log_line_reaches_nothing(origin: Origin) -> None:
    before = origin.lineages()
    replace(origin, "steps/par_dsp_evtsel/build.py", 'log.info("%s: %s: %s", ', 'log.warning("%s, %s: %s", ')
    assert changed(before, origin.lineages()) == []


def test_the_number_of_the_machinery_reaches_everything(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    before = origin.lineages()
    monkeypatch.setattr("dataflow.provenance.recipe.MACHINERY", code.MACHINERY + 1)
    made_by_code = [name for name in before if not name.startswith("validity_")]
    assert set(made_by_code) <= set(changed(before, origin.lineages()))


@pytest.mark.parametrize("step", [step.name for step in STEPS])
def test_every_module_that_a_step_reaches_is_on_one_list(step: str) -> None:
    (module,) = (each.module for each in STEPS if each.name == step)
    reached = Code(HERE).reached(module)
    assert reached[module] == "counted"
    assert set(reached.values()) <= set(LISTS)


def modules() -> Iterator[str]:
    for file in sorted(HERE.rglob("*.py")):
        name = ".".join(file.relative_to(HERE).with_suffix("").parts)
        if not name.endswith(("__init__", "__main__")):
            yield name


def test_every_module_is_on_one_list_and_every_entry_is_a_module() -> None:
    assert {list_of(module) for module in modules()} == set(LISTS)
    entries = [entry for entries in LISTS.values() for entry in entries]
    assert len(entries) == len(set(entries))
    known = set(modules())
    assert [entry for entry in entries if not any(is_in(m, entry) for m in known)] == []


def test_a_module_on_no_list_is_an_error() -> None:
    with pytest.raises(UserError, match="another.room is on none of the lists"):
        list_of("another.room")


def test_the_words_of_this_test_are_those_of_the_errors_that_exist() -> None:
    """Each class of the error modules is recognised by its name."""
    from dataflow.base import errors as of_plan
    from dataflow.jobs import errors as of_jobs
    from dataflow.provenance.meaning import ERROR

    classes = [
        name
        for module in (of_jobs, of_plan)
        for name, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, Exception) and each.__module__ == module.__name__
    ]
    assert classes and [name for name in classes if not ERROR.fullmatch(name)] == []


def kept_of(file: Path) -> Path:
    """Where what was understood of a module is remembered."""
    return Path(cache_from_source(str(file))).with_suffix(".meaning")


def remembering(patch: pytest.MonkeyPatch, wanted: bool = True) -> None:
    patch.setattr(sys, "dont_write_bytecode", not wanted)


def test_what_a_module_means_is_remembered_for_its_source_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remembering(monkeypatch)
    file = tmp_path / "a.py"
    file.write_text("import os\nx = 1\n")
    first = understood(file, "dataflow.a", True)
    entry = json.loads(kept_of(file).read_text())
    assert (entry["digest"], entry["imports"]) == (first.digest, ["os"])
    kept_of(file).write_text(json.dumps(entry | {"digest": "remembered"}))
    _of.cache_clear()
    assert understood(file, "dataflow.a", True).digest == "remembered"
    assert understood(file, "dataflow.b", True).digest == first.digest
    file.write_text("import os\nx = 2\n")
    assert understood(file, "dataflow.a", True).digest not in (first.digest, "remembered")
    assert understood(file, "dataflow.a", False).digest == ""


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": 1}', "null"])
def test_a_damaged_memory_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    remembering(monkeypatch)
    file = tmp_path / "a.py"
    file.write_text("from .b import c\n")
    first = understood(file, "dataflow.a", True)
    kept_of(file).write_text(text)
    _of.cache_clear()
    assert understood(file, "dataflow.a", True) == first
    assert first.imports == {"dataflow.b", "dataflow.b.c"}


def test_nothing_is_remembered_where_python_keeps_no_byte_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remembering(monkeypatch, wanted=False)
    file = tmp_path / "a.py"
    file.write_text("x = 1\n")
    understood(file, "dataflow.a", True)
    assert list(tmp_path.rglob("*")) == [file]


def test_imports_are_found_however_deep_they_stand() -> None:
    source = (
        "if a:\n    import b\nelse:\n    import c\n"
        "try:\n    import d\nexcept E:\n    import e\nfinally:\n    import f\n"
        "match a:\n    case 1:\n        import g\nclass K:\n    async def m():\n        with x:\n            import h\n"
    )
    assert set(_imported(ast.parse(source), "dataflow.a")) == set("bcdefgh")
