"""The nearest right name for a misspelt one."""

from __future__ import annotations

import pytest

from dataflow.base.messages import _edits, grouped, listing, nearest

STEPS = ("tier_raw", "tier_psp", "tier_dsp", "tier_hit", "par_dsp")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("tier_dps", "tier_dsp"), ("tier_pps", "tier_psp"), ("teir_hit", "tier_hit"), ("par_dps", "par_dsp")],
)
def test_exchanged_letters_are_one_error(wrong: str, right: str) -> None:
    assert nearest(wrong, STEPS) == f"did you mean {right!r}?"


@pytest.mark.parametrize(
    ("first", "second", "edits"),
    [("dps", "dsp", 1), ("dps", "psp", 2), ("", "abc", 3), ("abc", "abc", 0), ("ca", "abc", 3), ("on", "onn", 1)],
)
def test_errors_are_counted_as_a_typist_makes_them(first: str, second: str, edits: int) -> None:
    assert _edits(first, second) == _edits(second, first) == edits


def test_what_is_near_to_nothing_gets_the_choices() -> None:
    assert nearest("zzz", STEPS) == f"there are: {listing(STEPS)}"
    assert nearest(7, []) == "there are: none"


def test_a_reason_that_several_have_is_told_once() -> None:
    assert grouped({"a": "too few", "b": "too few", "c": "no column c", "d": "too few"}) == (
        "a, b and d: too few; c: no column c"
    )
