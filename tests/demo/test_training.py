"""Labelled traces: what is labelled, and as what."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from gebox.errors import UserError
from gebox.experiment import build
from gebox.happenings import Hit
from gebox.labels import NAMES
from gebox.training import label_of, write_training
from gebox.truth import Kind

TAU = 200_000.0


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.SINGLE, "normal"), (Kind.MULTI, "normal"), (Kind.SURFACE, "normal"), (Kind.DISCHARGE, "discharge"),
        (Kind.BURST, "burst"), (Kind.NEGATIVE, "negative"), (Kind.FORCED, "noise"),
    ],
)  # fmt: skip
def test_each_class_has_its_label(kind: Kind, name: str) -> None:
    assert label_of(Hit(0, kind, charge=500.0), TAU) == NAMES.index(name)


@pytest.mark.parametrize("kind", [Kind.PULSER, Kind.MUON, Kind.ALPHA])
def test_what_no_calibration_has_is_not_labelled(kind: Kind) -> None:
    assert label_of(Hit(0, kind, charge=500.0), TAU) is None


@pytest.mark.parametrize(
    ("kind", "charge", "second", "start", "label"),
    [
        (Kind.PILE_UP, 100.0, 10.1, 5_000.0, 1),
        (Kind.PILE_UP, 100.0, 9.9, 5_000.0, None),  # 10 keV are needed
        (Kind.PILE_UP, 2000.0, 101.0, 5_000.0, 1),
        (Kind.PILE_UP, 2000.0, 99.0, 5_000.0, None),  # and 5 % of the first
        (Kind.PRE_TRIGGER, 400.0, 81.0, -TAU * math.log(4), 2),  # of which a quarter is left
        (Kind.PRE_TRIGGER, 400.0, 79.0, -TAU * math.log(4), None),
    ],
)
def test_another_pulse_is_labelled_where_it_can_be_seen(
    kind: Kind, charge: float, second: float, start: float, label: int | None
) -> None:
    assert label_of(Hit(0, kind, charge=charge, second_charge=second, second_start=start), TAU) == label


@pytest.mark.parametrize(("good", "each"), [(-1, 5), (5, -1), (0, 0)])
def test_numbers_of_traces_that_are_none_are_refused(good: int, each: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{good} good traces and {each} of each defect are no numbers"):
        write_training(build(scale=0.02), tmp_path / "train.lh5", good, each)
    assert not list(tmp_path.iterdir())
