"""Small made-up cycles for the tests of the plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dataflow.plan import Cycle, open_cycle

MAP = """\
V02160A: {name: V02160A, system: geds, daq: {rawid: 1104000, fcid: 1}}
V02160B: {name: V02160B, system: geds, daq: {rawid: 1104001, fcid: 2}}
B00000C: {name: B00000C, system: geds, daq: {rawid: 1104002, fcid: 3}}
S001: {name: S001, system: spms, daq: {rawid: 1052803}}
PULS01: {name: PULS01, system: puls, daq: {rawid: 1027201}}
MUON01: {name: MUON01, system: auxs, daq: {rawid: 1027202}}
"""
STATUSES = """\
V02160A: {processable: true, usability: on}
V02160B: {processable: true, usability: 'off', psd: {status: {low_aoe: missing}}}
B00000C: {processable: false, usability: 'off'}
S001: {processable: true, usability: 'on'}
"""
KEYS = (
    "l200-p03-r000-cal-20230311T235840Z",
    "l200-p03-r000-cal-20230312T005840Z",
    "l200-p03-r000-phy-20230312T043356Z",
    "l200-p03-r000-phy-20230312T053356Z",
    "l200-p03-r001-cal-20230317T211819Z",
    "l200-p03-r001-phy-20230318T015140Z",
    "l200-p04-r000-cal-20230601T000000Z",
    "l200-p04-r000-phy-20230601T100000Z",
)
TESTSTAND_KEYS = (
    "char_data-B00000B-am_HS1_top_dlt-r001-20220101T000000Z",
    "char_data-B00000B-th_HS2_lat_psa-r001-20220118T150113Z",
    "char_data-B00000B-th_HS2_top_psa-r001-20220117T150113Z",
    "char_data-B00000B-co_HS5_top_dlt-r001-20220120T150113Z",
    "char_data-V99000A-th_HS2_top_psa-r002-20220201T150113Z",
    "char_data-V99000A-co_HS5_top_dlt-r001-20220202T150113Z",
    "char_data-V99000A-co_HS5_top_dlt-r002-20220203T150113Z",
)


class Tree:
    """A cycle in a folder, made of empty DAQ files and short metadata.

    Parameters
    ----------
    root
        The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config: dict[str, Any] = {"experiment": "l200", "paths": {}}
        root.mkdir(parents=True, exist_ok=True)

    def write(self, path: str, text: str = "") -> Path:
        """Write a file below the cycle."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def daq(self, *keys: str, extension: str = ".fcio") -> None:
        """Put empty DAQ files of L200 keys where they belong."""
        for key in keys:
            _, period, run, datatype, _ = key.split("-")
            self.write(f"generated/tier/daq/{datatype}/{period}/{run}/{key}{extension}")

    def validity(self, folder: str, *entries: Mapping[str, Any]) -> Path:
        """Write a validity list (JSON is YAML)."""
        return self.write(f"inputs/{folder}/validity.yaml", json.dumps(list(entries), indent=1))

    def metadata(self, channels: str = MAP, statuses: str = STATUSES) -> None:
        """Write a channel map and statuses that always hold."""
        for folder, text in (("hardware/configuration/channelmaps", channels), ("datasets/statuses", statuses)):
            self.write(f"inputs/{folder}/always.yaml", text)
            self.validity(folder, {"valid_from": "20200101T000000Z", "apply": ["always.yaml"]})

    def save(self) -> Path:
        """Write the configuration file."""
        return self.write("config.json", json.dumps(self.config))

    def open(self) -> Cycle:
        """The cycle as it is on disk now."""
        return open_cycle(self.save())


@pytest.fixture
def empty(tmp_path: Path) -> Tree:
    """A cycle with nothing in it."""
    return Tree(tmp_path / "cycle")


@pytest.fixture
def tree(empty: Tree) -> Tree:
    """An L200 cycle with two periods, calibration and physics."""
    empty.metadata()
    empty.daq(*KEYS)
    return empty


@pytest.fixture
def stand(empty: Tree) -> Tree:
    """A test stand's cycle with two detectors."""
    empty.config = {"experiment": "hades", "keys": "teststand", "paths": {}}
    for key in TESTSTAND_KEYS:
        _, detector, measurement, _, _ = key.split("-")
        empty.write(f"generated/tier/daq/{detector}/{measurement}/{key}.fcio")
    return empty
