"""Settings of the support vector machine, checked while planning; no numpy here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from dataflow.base.errors import UserError
from dataflow.metadata.settings import Nowhere, Place, StepSettings

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""What an HDF5 file begins with."""
FILES = ("training_data", "test_data")


class SvmSettings(StepSettings):
    """What ``svm_config`` of ``pars_dsp_svm`` says; names and meanings of the machine's are those of scikit-learn.

    Attributes
    ----------
    training_data
        LH5 file with labelled traces. Detectors without have no machine; without any, the step is not planned.
    test_data
        Another such file, from other data, by which the machine is judged; without it, it is judged by those traces of
        the training data that it has not seen (cross-validation).
    kernel
        Only the one that dsp evaluates.
    C
        What a wrong trace in the training costs.
    gamma
        Of the kernel exp(-gamma |x - y|²).
    class_weight
        ``balanced``: all classes count the same, however many traces they have; null: all traces do.
    random_state
        Seed of the parts of the cross-validation.
    standardise
        Whether each feature is divided by its standard deviation after its mean is subtracted.
    good
        Labels of the traces that are to be kept.
    folds
        Parts of the cross-validation.
    n_events
        Traces of the run, of each detector, whose labels are counted.
    """

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {
        "decision_function_shape": "labels follow from the decisions between each two classes, whatever it says",
        "score": "what the machine is worth is measured",
    }

    training_data: str | None = None
    test_data: str | None = None
    kernel: Literal["rbf"] = "rbf"
    C: float = Field(100.0, gt=0)
    gamma: float = Field(1.0, gt=0)
    class_weight: Literal["balanced"] | None = "balanced"
    random_state: int = Field(0, ge=0)
    standardise: bool = False
    good: tuple[int, ...] = Field(default=(0,), min_length=1)
    folds: int = Field(5, ge=2)
    n_events: int = Field(2000, ge=1)

    @classmethod
    def read(cls, config: Mapping[str, Any], name: str = "", place: Place | None = None) -> Self:
        """Settings whose files are LH5 files.

        Raises
        ------
        UserError
            If a file is missing, a pickle, or another one, or as the base class says.
        """
        found = super().read(config, name, place)
        for entry in FILES:
            if path := getattr(found, entry):
                _check_file(Path(path), f"{name}.{entry}", entry, place or Nowhere())
        return found


def _check_file(path: Path, what: str, entry: str, place: Place) -> None:
    def wrong(message: str, hint: str) -> UserError:
        return place.error(f"{what}: {message}", entry, hint=hint)

    if not path.is_absolute():
        raise wrong(f"{str(path)!r} is no absolute path", "write $_/ before a path that begins at this file's folder")
    if not path.is_file():
        raise wrong(f"there is no file {path}", "an LH5 file with labelled traces; $_ is this file's folder")
    with path.open("rb") as file:
        begin = file.read(len(SIGNATURE))
    if begin != SIGNATURE:
        hint = "give the labelled traces as an LH5 file: pickled machines are not read, they can run any code"
        raise wrong(f"{path} is no LH5 file", hint)
