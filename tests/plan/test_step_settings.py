"""Settings of a step: strict, and what is wrong is said with file, line, and what would be right."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from pydantic import Field, ValidationError

from dataflow.base.errors import UserError
from dataflow.base.textfile import read
from dataflow.metadata.settings import StepSettings, attributes


class Inner(StepSettings):
    """A mapping in settings.

    Attributes
    ----------
    low, high
        A limit in keV.
    """

    low: float = 0
    high: float = 10


class Example(StepSettings):
    """An example.

    Attributes
    ----------
    energy_params
        Energies to
        calibrate.
    threshold
        Least amplitude in ADC counts.
    deg
        Degree.
    """

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {"p_val": "every fit is judged by its residuals"}

    energy_params: tuple[str, ...] = Field(min_length=1)
    threshold: float = Field(0, ge=0)
    deg: int = 1
    kind: Literal["mean", "median"] = "mean"
    window: Inner = Inner()
    lines: tuple[float | str, ...] = ()
    draw: bool = False


def wrong(tmp_path: Path, text: str) -> UserError:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    file = read(path)
    with pytest.raises(UserError) as caught:
        Example.read(file.mapping(), "ecal_config", file)
    return caught.value


BASE = "energy_params: [trapEmax]\n"


def test_right_settings_are_typed_and_cannot_be_changed() -> None:
    found = Example.read({"energy_params": ["a", "b"], "threshold": 3, "window": {"low": 1}, "p_val": 0.1})
    assert found.energy_params == ("a", "b")
    assert (found.threshold, found.deg, found.window.low, found.window.high) == (3.0, 1, 1.0, 10.0)
    with pytest.raises(ValidationError):
        found.deg = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("treshold: 100\n", 2, "ecal_config has no entry 'treshold'", "did you mean 'threshold'?"),
        ("threshold: soon\n", 2, "ecal_config.threshold must be a number, not 'soon'", "threshold: least amplitude"),
        ("threshold: true\n", 2, "ecal_config.threshold must be a number, not True", "threshold: "),
        ("threshold: 1e3\n", 2, "must be a number, not '1e3'", "write 1.0e+3"),
        ("threshold: -1\n", 2, "ecal_config.threshold must be a number at least 0, not -1", "threshold: "),
        ("deg: 1.5\n", 2, "ecal_config.deg must be a whole number, not 1.5", "deg: degree"),
        ("deg: null\n", 2, "ecal_config.deg must be a whole number, not nothing", "deg: degree"),
        ("kind: modus\n", 2, "ecal_config.kind must be one of 'mean', 'median', not 'modus'", ""),
        ("window: 5\n", 2, "ecal_config.window must be a mapping, not 5", ""),
        ("window:\n  lo: 5\n", 3, "ecal_config.window has no entry 'lo'", "did you mean 'low'?"),
        ("window:\n  low: x\n", 3, "ecal_config.window.low must be a number, not 'x'", "low: a limit in keV"),
        ("lines:\n  - 1\n  - {a: 1}\n", 4, "ecal_config.lines.1 must be a number or a text, not a mapping", ""),
        ("7: 1\n", 2, "ecal_config has no entry 7", "there are: "),
        ("draw: 1\n", 2, "ecal_config.draw must be true or false, not 1", ""),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, line: int, message: str, hint: str) -> None:
    error = wrong(tmp_path, BASE + text)
    assert error.message.startswith(f"{tmp_path}/x.yaml:{line}: ")
    assert message in error.message and hint in error.hint


def test_a_text_is_no_list_of_letters(tmp_path: Path) -> None:
    error = wrong(tmp_path, "energy_params: trapEmax\n")
    assert error.message.endswith("x.yaml:1: ecal_config.energy_params must be a list, not 'trapEmax'")
    assert error.hint == "energy_params: energies to calibrate"
    assert "must be a list of at least 1, not []" in wrong(tmp_path, "energy_params: []\n").message


def test_a_missing_entry_and_the_number_of_others_are_said(tmp_path: Path) -> None:
    error = wrong(tmp_path, "deg: x\nthreshold: y\n")
    assert "ecal_config lacks the entry 'energy_params'" in error.message
    assert error.hint == "energy_params: energies to calibrate; 2 more entries are wrong"


def test_settings_that_are_in_no_file_are_named_without_place() -> None:
    with pytest.raises(UserError, match=r"^the configuration has no entry 'energy_param'"):
        Example.read({"energy_param": ["x"], "energy_params": ["x"]})


def test_descriptions_come_from_the_docstring() -> None:
    assert Example.meanings()["energy_params"] == "Energies to calibrate."
    assert Inner.meanings() == {"low": "A limit in keV.", "high": "A limit in keV."}
    assert attributes("Nothing.") == {}


def test_settings_need_no_numpy() -> None:
    check = "import sys, dataflow.metadata.settings; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
