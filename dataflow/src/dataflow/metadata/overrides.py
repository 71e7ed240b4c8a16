"""What hand-made parameters look like: a mapping by detector, each in the form of its entry in a parameter file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataflow.base.textfile import TextFile, kind

EXAMPLES: Mapping[str, str] = {
    "dsp": "{pz: {tau1: 400.0*us}}",
    "hit": "{pars: {operations: {cuspEmax_cal: {parameters: {a: 0.1}}}}}",
}


def check(text: TextFile, tier: str) -> None:
    """Refuse hand-made parameters that no job can merge.

    Parameters
    ----------
    text
        The file.
    tier
        The tier whose parameters it changes.

    Raises
    ------
    UserError
        It names the file, the line and the detector.
    """
    for name, value in text.mapping().items():
        hint = f"write {name}: {EXAMPLES.get(tier, '{NAME: value}')}"
        if not isinstance(name, str):
            raise text.error(f"{name!r} is not a detector: its name is a text", str(name))
        if not isinstance(value, Mapping):
            raise text.error(f"the override of {name} must be a mapping, not {kind(value)}", name, hint=hint)
        _check_entry(text, tier, name, value, hint)


def _check_entry(text: TextFile, tier: str, name: str, value: Mapping[str, Any], hint: str) -> None:
    """Check the parts of a detector's entry that jobs take for granted."""

    def inner(outer: Mapping[str, Any], *place: str) -> Mapping[str, Any]:
        found = outer.get(place[-1], {})
        if not isinstance(found, Mapping):
            message = f"the override {'.'.join((name, *place))} must be a mapping, not {kind(found)}"
            raise text.error(message, name, *place, hint=hint)
        return found

    inner(value, "status")
    if "model_file" in inner(value, "svm"):
        raise text.error(
            f"the override {name}.svm.model_file names a pickled machine: pickles are not read, they can run any code",
            name, "svm", "model_file", hint="give its labelled traces as training_data in svm_config of pars_dsp_svm",
        )  # fmt: skip
    if tier != "hit":
        return
    operations = inner(inner(value, "pars"), "pars", "operations")
    for operation in operations:
        found = inner(operations, "pars", "operations", operation)
        parameters = inner(found, "pars", "operations", operation, "parameters")
        for parameter, number in parameters.items():
            if not _is_number(number):
                place = (name, "pars", "operations", operation, "parameters", parameter)
                message = f"the override {'.'.join(map(str, place))} must be a number, not {number!r}"
                raise text.error(message, *place, hint=hint)


def _is_number(value: object) -> bool:
    """Whether a value is a number, also as YAML reads ``1e5``: as a text."""
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True
