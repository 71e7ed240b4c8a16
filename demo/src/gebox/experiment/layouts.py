"""Which detectors and channels there are: one layout a preset."""

from __future__ import annotations

from gebox.experiment.model import Address, Auxiliary, CrossTalk, Detector, Geometry, Kind, Layout

SAMPLING_NS = 16.0
"""A FlashCam sample at 62.5 MHz."""

_CRYSTALS: dict[str, tuple[Kind, Geometry]] = {
    "V01001A": ("icpc", Geometry(38.0, 78.0, 5.0, 42.0, 4.5)),
    "V01002B": ("icpc", Geometry(36.5, 70.0, 5.0, 36.0, 4.5)),
    "V01003A": ("icpc", Geometry(37.0, 74.0, 5.0, 40.0, 4.5)),
    "B02001A": ("bege", Geometry(37.5, 32.0, 0.0, 0.0, 7.5)),
    "B02002B": ("bege", Geometry(36.0, 30.0, 0.0, 0.0, 7.5)),
    "P03001A": ("ppc", Geometry(34.0, 46.0, 0.0, 0.0, 2.0)),
    "P03002A": ("ppc", Geometry(33.5, 44.0, 0.0, 0.0, 2.0)),
    "C04001A": ("coax", Geometry(38.5, 80.0, 6.5, 66.0, 6.5)),
}

_GAP = 25.0
"""Between two detectors of a string, in mm."""
_STRING_RADIUS = 85.0
"""Distance of the strings from the axis of the array, in mm."""


def layout(preset: str) -> Layout:
    """The layout of a preset: ``small`` (4 HPGe, 2 SiPM) or ``full`` (8 HPGe, 4 SiPM, muon channel, cross-talk)."""
    if preset == "small":
        strings = [["V01001A", "B02001A"], ["P03001A", "V01002B"]]
        return Layout(_strings(strings, {}), _auxiliaries(2, muon=False), 4096)
    strings = [["V01001A", "B02001A", "V01003A"], ["P03001A", "V01002B", "B02002B"], ["C04001A", "P03002A"]]
    special: dict[str, dict[str, object]] = {
        "V01003A": {"processable": False, "usability": "off", "psd": "missing"},
        "B02002B": {"usability": "ac"},
        "C04001A": {"usability": "no_psd", "psd": "missing"},
    }
    crosstalk = (CrossTalk("V01001A", "B02001A", -2.0e-3), CrossTalk("V01002B", "P03001A", 1.5e-3))
    return Layout(_strings(strings, special), _auxiliaries(4, muon=True), 4096, crosstalk)


def _strings(strings: list[list[str]], special: dict[str, dict[str, object]]) -> tuple[Detector, ...]:
    """Hang the detectors of each string below one another; strings stand on a circle around the axis."""
    places = [(_STRING_RADIUS, 0.0), (-0.5 * _STRING_RADIUS, 73.6), (-0.5 * _STRING_RADIUS, -73.6)]
    found: list[Detector] = []
    for index, names in enumerate(strings):
        z = 0.0
        for position, name in enumerate(names):
            kind, geometry = _CRYSTALS[name]
            z -= geometry.height
            address = Address(1, 1040 + 16 * index, position)
            more = special.get(name, {})
            found.append(Detector(name, kind, geometry, address, index + 1, position + 1, *places[index], z, **more))  # type: ignore[arg-type]
            z -= _GAP
    return tuple(sorted(found, key=lambda detector: detector.name))


def _auxiliaries(sipms: int, *, muon: bool) -> tuple[Auxiliary, ...]:
    """Baseline, pulser and muon channels and the SiPMs."""
    channels = [Auxiliary("BSLN01", "bsln", Address(1, 272, 0)), Auxiliary("PULS01", "puls", Address(1, 272, 1))]
    if muon:
        channels.append(Auxiliary("MUON01", "auxs", Address(1, 272, 2)))
    channels += [Auxiliary(f"S{n + 1:03d}", "spms", Address(1, 528, n)) for n in range(sipms)]
    return tuple(channels)
