"""SiPMs beside the truth: agreement, deviation, and what was not measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gebox.checklight import compare, report
from gebox.signals import light


@pytest.fixture
def cycle(simulated: Path, tmp_path: Path) -> Path:
    """A cycle whose SiPMs of one run are perfect."""
    truth = yaml.safe_load((simulated / "truth" / "l200-p03-r000-truth.yaml").read_text())
    content = {name: {"results": {"spms": perfect(true)}} for name, true in truth["sipms"].items()}
    folder = tmp_path / "generated/par/hit/phy/p03/r000"
    folder.mkdir(parents=True)
    (folder / "l200-p03-r000-phy-20240301T140000Z-par_hit_spms.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


def perfect(true: dict[str, Any]) -> dict[str, float]:
    found = {"gain": true["step"], "dark_rate": true["dark_rate"], "cross_talk": true["crosstalk"]}
    return found | {f"{name}_err": 0.1 * value for name, value in found.items()}


def edit(cycle: Path, entry: dict[str, Any]) -> None:
    path = next(cycle.rglob("*-par_hit_spms.yaml"))
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(content | {"S001": entry}))


def test_perfect_parameters_agree(simulated: Path, cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = compare(cycle, truth=simulated / "truth")
    assert [(each.run, each.name) for each in found] == [("p03-r000-phy", "S001"), ("p03-r000-phy", "S002")]
    assert all(each.pulls() == {"gain": 0.0, "dark_rate": 0.0, "cross_talk": 0.0} for each in found)
    assert report(found, limit=5) == 0
    assert "S001  gain 47.6 +- 4.8 ADC (47.64)  dark_rate 1500 +- 150 Hz (1500)" in capsys.readouterr().out


def test_a_wrong_scale_is_named(simulated: Path, cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(cycle, {"results": {"spms": {"gain": 1.1 * light.step(8, 2), "gain_err": 0.1}}})
    found = compare(cycle, truth=simulated / "truth")
    assert found[0].pulls()["gain"] == pytest.approx(4.764 / (0.4764**2 + 0.1**2) ** 0.5, rel=1e-3)
    assert report(found, limit=5) == 1
    assert "gain +9.8 sigma !" in capsys.readouterr().out


def noise(cycle: Path, values: dict[str, dict[str, float]]) -> None:
    folder = cycle / "generated/par/dsp/phy/p03/r000"
    folder.mkdir(parents=True)
    (folder / "l200-p03-r000-phy-20240301T140000Z-par_dsp_spms.yaml").write_text(yaml.safe_dump(values))


def test_noise_is_compared_where_it_is_known(simulated: Path, cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = 2.3548200450309493 * light.NOISE * 0.5
    values = {"baseline_curr_fwhm": right, "baseline_curr_fwhm_err": 0.01}
    noise(cycle, {"S001": values, "S002": values | {"baseline_curr_fwhm": 1.5 * right}})
    edit(cycle, {"status": {"state": "failed", "step": "par_hit_spms", "reason": "3 single pulses are too few"}})
    first, second = compare(cycle, truth=simulated / "truth")
    assert first.pulls() == {"noise": pytest.approx(0.0, abs=1e-3)}
    assert second.pulls()["noise"] == pytest.approx(0.5 / 0.03, rel=0.01)
    assert report([first, second], limit=5) == 1
    said = capsys.readouterr().out
    assert "S001  noise 4.710 +- 0.010 ADC (4.71)  not measured: 3 single pulses are too few" in said
    assert "noise +16.6 sigma !" in said


def test_what_was_not_measured_is_no_deviation(
    simulated: Path, cycle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(cycle, {"status": {"state": "failed", "step": "par_hit_spms", "reason": "3 single pulses are too few"}})
    assert report(compare(cycle, truth=simulated / "truth"), limit=5) == 0
    assert "S001  not measured: 3 single pulses are too few" in capsys.readouterr().out


def test_the_true_step_is_that_of_a_pulse_by_its_formula() -> None:
    """Means of samples of exp(-t/600) - exp(-t/40), the first mean before the pulse."""
    import numpy as np

    times = np.arange(40) * 16.0
    shape = np.exp(-times / 600.0) - np.exp(-times / 40.0)
    peak = np.log(600 / 40) / (1 / 40 - 1 / 600)
    shape *= 50 / (np.exp(-peak / 600) - np.exp(-peak / 40))
    padded = np.concatenate([np.zeros(30), shape])
    sums = [padded[n + 10 : n + 18].mean() - padded[n : n + 8].mean() for n in range(40)]
    assert light.step(8, 2) == pytest.approx(max(sums), rel=1e-9)
