"""Channel maps and diode files."""

from __future__ import annotations

import math
from typing import Any

from gebox.experiment.constants import FOURTEEN_BITS
from gebox.experiment.model import Address, Auxiliary, Detector

_DENSITY = 5.55
"""Germanium enriched in 76Ge, g/cm3 (GERDA, Eur. Phys. J. C 79 (2019) 978)."""


def channel_map(detectors: tuple[Detector, ...], auxiliaries: tuple[Auxiliary, ...]) -> dict[str, Any]:
    """One entry a channel, by name."""
    entries = {detector.name: _germanium(detector) for detector in detectors}
    entries |= {auxiliary.name: _auxiliary(auxiliary) for auxiliary in auxiliaries}
    return dict(sorted(entries.items(), key=lambda item: item[1]["daq"]["rawid"]))


def _daq(address: Address) -> dict[str, Any]:
    return {
        "crate": 0,
        "card": {"id": address.card // 16, "address": hex(address.card), "serialno": None},
        "channel": address.input,
        "fcid": address.fcid,
        "rawid": address.rawid,
    }


def _germanium(detector: Detector) -> dict[str, Any]:
    return {
        "name": detector.name,
        "system": "geds",
        "location": {"string": detector.string, "position": detector.position},
        "daq": _daq(detector.address) | ({"adc_bits": 14} if detector.name == FOURTEEN_BITS else {}),
        "voltage": {
            "card": {"id": detector.string, "serialno": None},
            "channel": detector.position,
            "filter": {"id": None, "channel": None},
        },
        "electronics": {"cc4": {"id": f"C{detector.string}", "channel": detector.position}},
    }


def _auxiliary(auxiliary: Auxiliary) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": auxiliary.name, "system": auxiliary.system}
    if auxiliary.system == "spms":
        number = int(auxiliary.name[1:])
        entry["location"] = {"fiber": f"IB0{number:02d}", "position": "top" if number % 2 else "bottom"}
    entry["daq"] = _daq(auxiliary.address)
    return entry


def mass(detector: Detector) -> float:
    """Mass in g of the crystal without its bore hole."""
    shape = detector.geometry
    volume = math.pi * (shape.radius**2 * shape.height - shape.bore_radius**2 * shape.bore_depth) * 1e-3
    return _DENSITY * volume


def diode(detector: Detector) -> dict[str, Any]:
    """A file of the detector database."""
    return {
        "name": detector.name,
        "type": detector.kind,
        "production": _production(detector),
        "geometry": _geometry(detector),
        "characterization": _characterization(),
    }


def _production(detector: Detector) -> dict[str, Any]:
    return {
        "manufacturer": "simulated",
        "order": int(detector.name[1:3]),
        "crystal": detector.name[3:6],
        "slice": detector.name[6:],
        "enrichment": {"val": 0.92, "unc": 0.01},
        "passivation": detector.kind != "coax",
        "reprocessing": False,
        "mass_in_g": round(mass(detector), 1),
        "impcc": {
            "array": {"value_in_1e9e/cm3": [0.0, 0.0], "dist_from_contact_in_mm": [0.0, 0.0]},
            "function_pars": {"z0_in_1e10e/cm3": 0, "gradient_in_1e10e/cm4": 0, "quadratic_in_1e10e/cm5": 0},
        },
        "delivered": "2023-01-01",
    }


def _geometry(detector: Detector) -> dict[str, Any]:
    shape = detector.geometry
    entry: dict[str, Any] = {"height_in_mm": shape.height, "radius_in_mm": shape.radius}
    if shape.bore_radius:
        entry["borehole"] = {"radius_in_mm": shape.bore_radius, "depth_in_mm": shape.bore_depth}
    if detector.kind != "ppc":
        groove = shape.contact_radius + 3.0
        entry["groove"] = {"depth_in_mm": 2.0, "radius_in_mm": {"outer": groove + 1.0, "inner": groove}}
    flat = {"angle_in_deg": 0.0, "height_in_mm": 0.0}
    entry["pp_contact"] = {"radius_in_mm": shape.contact_radius, "depth_in_mm": 2.0}
    entry["taper"] = {"top": dict(flat), "bottom": dict(flat)}
    if shape.bore_radius:
        entry["taper"]["borehole"] = dict(flat)
    return entry


def _characterization() -> dict[str, Any]:
    volts = {"depletion_voltage_in_V": 3000.0, "recommended_voltage_in_V": 3500.0}
    survival = {"tl208dep": 0, "qbb": 0, "tl208sep": 0, "tl208fep": 0}
    return {
        "manufacturer": {**volts, "fwhm_co57fep_in_keV": 0.8, "fwhm_co60fep_in_keV": 1.8, "dl_thickness_in_mm": 0.8},
        "l200_site": {
            "daq": "flashcam",
            **volts,
            "fwhm_in_keV": {"co60fep": 0, "tl208fep": 0, "qbb": 0},
            "survival_fraction": survival,
        },
        "combined_0vbb_analysis": {"fccd_in_mm": {"value": 0.75, "uncertainty": {"pos": 0.1, "neg": 0.1}}},
    }


def crystal(detector: Detector) -> dict[str, Any]:
    """A file of the crystal database: one slice of one boule."""
    return {
        "name": detector.name[3:6],
        "order": detector.name[1:3],
        "impurity_measurements": {"value_in_1e9e_cm3": [8, 9, 10], "distance_from_seed_end_mm": [0, 40, 80]},
        "impurity_curve": {
            "model": "linear_exponential_boule",
            "parameters": {"a": 8.0, "b": 0.03, "n": 0.0, "l": 34.0, "m": 44.0},
            "corrections": {"offset": 0, "scale": 1},
        },
        "slices": {detector.name[6:]: {"detector_offset_in_mm": 40}},
    }
