"""SiPMs of a finished cycle beside the truth: photo-electron scale, dark rate, cross-talk, and noise.

Reads parameter files and truth as YAML only, as :mod:`gebox.check`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gebox.check import parameter_folder, truth_folder

QUANTITIES = {
    "gain": ("step", "ADC", 0.01),
    "dark_rate": ("dark_rate", "Hz", 0.0),
    "cross_talk": ("crosstalk", "", 0.02),
}
"""By name in the parameter file: that in the truth, the unit, and the relative tolerance: pile-up shifts a peak a
little, and after-pulses within 0.2 us are not told from cross-talk."""
NOISE, NOISE_TOLERANCE = "noise", 0.03
"""Name of the width of the noise that ``par_dsp_spms`` finds, in the truth as here; slow noise adds to it."""
UNITS = {name: unit for name, (_, unit, _) in QUANTITIES.items()} | {NOISE: "ADC"}


@dataclass(frozen=True)
class Sipm:
    """What a cycle found of a SiPM in a run: value, error, truth and tolerance by quantity, or why there is nothing."""

    run: str
    name: str
    values: dict[str, tuple[float, float, float, float]]
    reason: str = ""

    def pulls(self) -> dict[str, float]:
        """Deviations over their errors, tolerances included, by quantity."""
        return {
            name: (found - true) / allowed
            for name, (found, error, true, tolerance) in self.values.items()
            if (allowed := math.hypot(error, tolerance * true)) > 0
        }


def compare(cycle: Path, *, truth: Path | None = None) -> list[Sipm]:
    """All SiPMs of a cycle in all runs of which there is a parameter file.

    Parameters
    ----------
    cycle
        Folder of the production cycle.
    truth
        As for :func:`gebox.check.check`.
    """
    folder, found = truth_folder(cycle, truth), []
    dsp, hit = (parameter_folder(cycle, tier) for tier in ("dsp", "hit"))
    for path in sorted(folder.glob("*-truth.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        place = f"*/{content['period']}/{content['run']}/*-par_hit_spms.yaml"
        for file in sorted(hit.glob(place)):
            beside = dsp / file.parent.relative_to(hit) / file.name.replace("par_hit", "par_dsp")
            found += list(_of_run(file, _noise_of(beside), content.get("sipms") or {}))
    return found


def _of_run(file: Path, noise: dict[str, tuple[float, float]], true: dict[str, Any]) -> Iterator[Sipm]:
    run = "-".join(file.name.split("-")[1:4])
    content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    for name, known in sorted(true.items()):
        entry = content.get(name) or {}
        results = (entry.get("results") or {}).get("spms") or {}
        values = {
            each: (float(results[each]), float(results[f"{each}_err"]), float(known[of]), tolerance)
            for each, (of, _, tolerance) in QUANTITIES.items()
            if each in results
        }
        found = bool(values)
        if name in noise and NOISE in known:
            values[NOISE] = (*noise[name], float(known[NOISE]), NOISE_TOLERANCE)
        reason = str((entry.get("status") or {}).get("reason", "")) or "no traces in this run"
        yield Sipm(run, name, values, "" if found else reason)


def _noise_of(path: Path) -> dict[str, tuple[float, float]]:
    """Width of the noise and its error, by SiPM, of the first DAQ file of the run, where it is known."""
    content = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    names = "baseline_curr_fwhm", "baseline_curr_fwhm_err"
    return {
        name: (float(entry[names[0]]), float(entry[names[1]]))
        for name, entry in (content or {}).items()
        if isinstance(entry, dict) and all(each in entry for each in names)
    }


def rounded(value: float, error: float) -> str:
    """Value and error, to two significant digits of the error and never beyond the decimal point."""
    places = 1 - math.floor(math.log10(error)) if error > 0 else 3
    shown = round(error, places)
    return f"{value:.{max(places, 0)}f} +- {shown:.{max(places, 0)}f}"


def report(found: list[Sipm], *, limit: float) -> int:
    """Print one line a SiPM and run; exit code 1 where a quantity deviates by more than `limit` standard deviations."""
    if not found:
        return 0
    print("\nSiPMs beside the truth")
    bad = 0
    for each in found:
        pulls = each.pulls()
        cells = [
            f"{name} {rounded(value, error)} {UNITS[name]}".rstrip() + f" ({true:.4g})"
            for name, (value, error, true, _) in each.values.items()
        ]
        beyond = [f"{name} {pull:+.1f} sigma !" for name, pull in pulls.items() if abs(pull) > limit]
        bad += bool(beyond)
        absent = [f"not measured: {each.reason}"] if each.reason else []
        print("  ".join([each.run, each.name, *cells, *absent, *beyond]))
    return 1 if bad else 0
