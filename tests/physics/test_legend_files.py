"""Real LEGEND-200 files: ORCA and SiPM data to dsp, and the collaboration's own results for its raw files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lh5
import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.physics.conftest import SmallCycle

Maker = Callable[..., "SmallCycle"]

KEYS = {
    "phy": ("l200-p03-r001-phy-20230322T160139Z", "l200-p03-r001-phy-20230322T170202Z"),
    "cal": ("l200-p03-r001-cal-20230318T012144Z", "l200-p03-r001-cal-20230318T012228Z"),
}
GEDS = {"V04549B": 1084803, "V04549A": 1084804, "V02160A": 1121600}
SPMS = {"S002": 1057600, "S003": 1059201, "S007": 1062405}
CHANNELS = {name: {"rawid": rawid} for name, rawid in GEDS.items()} | {
    name: {"rawid": rawid, "system": "spms"} for name, rawid in SPMS.items()
}


def stored(shared_data: Path, tier: str, key: str) -> Path:
    datatype = key.split("-")[3]
    return shared_data / f"lh5/prod-ref-l200/generated/tier/{tier}/{datatype}/p03/r001/{key}-tier_{tier}.lh5"


def columns(path: Path, table: str) -> dict[str, Any]:
    return {name: node.nda for name, node in lh5.read(table, str(path)).items() if hasattr(node, "nda")}


@pytest.mark.parametrize("key", KEYS["phy"])
def test_the_coincidence_map_equals_the_collaborations(shared_data: Path, cycle_of: Maker, key: str) -> None:
    cycle = cycle_of(stored(shared_data, "raw", key), key, CHANNELS, "raw")
    cycle.run("tier_tcm")
    ours = lh5.read("hardware_tcm_1", str(cycle.output("tier_tcm")))
    theirs = lh5.read("hardware_tcm_1", str(stored(shared_data, "tcm", key)))
    for column in ("table_key", "row_in_table"):
        for part in ("cumulative_length", "flattened_data"):
            one, other = getattr(ours[column], part), getattr(theirs[column], part)
            np.testing.assert_array_equal(one.nda, other.nda, err_msg=f"{column}/{part}")


@pytest.mark.parametrize("key", [*KEYS["phy"], *KEYS["cal"]])
def test_baselines_and_maxima_equal_the_collaborations(shared_data: Path, cycle_of: Maker, key: str) -> None:
    channels = {name: entry for name, entry in CHANNELS.items() if key.split("-")[3] == "phy" or "system" not in entry}
    cycle = cycle_of(stored(shared_data, "raw", key), key, channels, "raw")
    cycle.set(paths={"tier": "$_/generated/tier"}, allow_none_par=True)
    if "-cal-" in key:  # ten events have no decay constant: that is recorded, and these quantities need none
        cycle.run("tier_tcm", "par_dsp_pz", "par_dsp")
    cycle.run("tier_dsp")
    for name, rawid in GEDS.items():
        ours = columns(cycle.output("tier_dsp"), f"ch{rawid}/dsp")
        theirs = columns(stored(shared_data, "dsp", key), f"ch{rawid}/dsp")
        for column in {"baseline", "timestamp", "wf_max", "wf_min", "tp_max", "tp_min"} & set(theirs):
            np.testing.assert_allclose(ours[column], theirs[column], rtol=2e-7, err_msg=f"{name} {column}")
        if "bl_mean" in theirs:
            np.testing.assert_allclose(ours["bl_mean"], theirs["bl_mean"], rtol=1e-6, err_msg=name)


def test_the_energies_of_a_physics_file_agree_with_the_collaborations(shared_data: Path, cycle_of: Maker) -> None:
    """Same detectors, other filter lengths and decay constants: amplitudes agree within a percent."""
    key = KEYS["phy"][0]
    cycle = cycle_of(stored(shared_data, "raw", key), key, CHANNELS, "raw")
    cycle.set(paths={"tier": "$_/generated/tier"}, allow_none_par=True)
    cycle.run("tier_dsp")
    ours = columns(cycle.output("tier_dsp"), "ch1084803/dsp")
    theirs = columns(stored(shared_data, "dsp", key), "ch1084803/dsp")
    large = theirs["trapTmax"] > 500
    assert large.sum() >= 1
    np.testing.assert_allclose(ours["trapTmax"][large], theirs["trapTmax"][large], rtol=0.01)
    np.testing.assert_allclose(ours["cuspEmax"][large], theirs["cuspEmax"][large], rtol=0.01)


def test_times_and_currents_agree_with_the_collaborations(shared_data: Path, cycle_of: Maker) -> None:
    """Where a pulse stands alone in its trace; the decay constant is not known, and of no weight here."""
    key = KEYS["cal"][0]
    channels = {name: {"rawid": rawid} for name, rawid in GEDS.items()}
    cycle = cycle_of(stored(shared_data, "raw", key), key, channels, "raw")
    cycle.set(paths={"tier": "$_/generated/tier"}, allow_none_par=True)
    cycle.run("tier_tcm", "par_dsp_pz", "par_dsp", "tier_dsp")
    compared = 0
    for rawid in GEDS.values():
        ours = columns(cycle.output("tier_dsp"), f"ch{rawid}/dsp")
        theirs = columns(stored(shared_data, "dsp", key), f"ch{rawid}/dsp")
        alone = (theirs["trapTmax"] > 800) & (np.abs(ours["tp_50"] - theirs["tp_50"]) < 32)
        compared += int(alone.sum())
        np.testing.assert_array_equal(ours["tp_aoe_max"][alone], theirs["tp_aoe_max"][alone])
        np.testing.assert_allclose(ours["A_max"][alone], theirs["A_max"][alone], rtol=1e-3)
        np.testing.assert_allclose(ours["tp_99"][alone], theirs["tp_99"][alone], atol=100)
        np.testing.assert_allclose(ours["QDrift"], ours["dt_eff"] * ours["trapTmax"], rtol=1e-6)
        np.testing.assert_allclose(theirs["QDrift"], theirs["dt_eff"] * theirs["trapTmax"], rtol=1e-6)
    assert compared >= 15


def test_an_orca_file_goes_through_raw_to_dsp(shared_data: Path, cycle_of: Maker) -> None:
    source = shared_data / "orca/L200-comm-20220519-phy-geds.orca"
    channels = {f"V{board:05d}A": {"rawid": board} for board in orca_channels(source)}
    cycle = cycle_of(source, "l200-p01-r000-phy-20220519T000000Z", channels)
    cycle.set(paths={"tier": "$_/generated/tier"}, allow_none_par=True)
    cycle.run("tier_raw", "tier_tcm", "tier_dsp")
    raw, dsp = str(cycle.output("tier_raw")), str(cycle.output("tier_dsp"))
    total = 0
    for entry in channels.values():
        table = f"ch{entry['rawid']:07d}"
        if table not in lh5.ls(raw):
            continue
        waves = lh5.read(f"{table}/raw/waveform/values", raw).nda
        total += len(waves)
        averaged = waves[:, : waves.shape[1] // 6 * 6].reshape(len(waves), -1, 6).mean(axis=2)
        np.testing.assert_allclose(lh5.read(f"{table}/dsp/wf_max", dsp).nda, averaged.max(axis=1), rtol=1e-6)
    assert total == 67
    assert "OrcaHeader" in lh5.ls(raw)
    stamps = lh5.read(f"ch{min(entry['rawid'] for entry in channels.values()):07d}/raw/timestamp", raw).nda
    assert (abs(stamps - 1652986640) < 3600).all(), "the second since 1970 at which the file was written"


def orca_channels(source: Path) -> tuple[int, ...]:
    from dataflow.steps.tier_raw.daqfile import open_daq

    return tuple(sorted({key for keys in open_daq(source).keys.values() for key in keys}))


def test_a_sipm_file_goes_through_raw_to_dsp(shared_data: Path, cycle_of: Maker) -> None:
    rawids = range(52800, 52806)
    channels = {f"S{number:03d}": {"rawid": rawid, "system": "spms"} for number, rawid in enumerate(rawids)}
    cycle = cycle_of(
        shared_data / "fcio/L200-comm-20211130-phy-spms.fcio", "l200-p01-r000-phy-20211130T000000Z", channels
    )
    cycle.set(paths={"tier": "$_/generated/tier"}, allow_none_par=True)
    cycle.run("tier_raw", "tier_dsp", "tier_hit")
    for rawid in rawids:
        found = columns(cycle.output("tier_dsp"), f"ch{rawid:07d}/dsp")
        assert len(found["timestamp"]) == 50
        assert found["energies"].shape == (50, 50)
        pulses = np.isfinite(found["energies"])
        np.testing.assert_array_equal(pulses.sum(axis=1), found["n_pulses"])
        assert pulses.sum() > 20
        assert (found["energies"][pulses] > 0).all()


def test_the_calibration_of_38_thousand_real_events_agrees_with_pygamas(shared_data: Path, th228: Any) -> None:
    """pygama's full fit of these events finds 5 lines and 2.25 +- 0.04 keV at 2039 keV."""
    from dataflow.physics.curves import width_at
    from dataflow.steps.par_hit_ecal.build import Settings, calibrate_one

    folder = shared_data / "lh5/prod-ref-l200/generated/tier/dsp/cal/p03/r000"
    data = columns(folder / "l200-p03-r000-cal-20230311T235840Z-tier_dsp.lh5", "ch1104000/dsp")
    result = calibrate_one(data["cuspEmax"], "cuspEmax", Settings(energy_params=("cuspEmax",)), th228)
    found = {fit.line.energy for fit in result.fits}
    assert {860.6, 1592.5, 1620.5, 2103.5, 2614.5} <= {round(energy, 1) for energy in found}
    assert result.resolution is not None
    width, error = width_at(result.resolution, 2039.0)
    assert width == pytest.approx(2.25, abs=0.15)
    assert error < 0.1


def test_settings_of_a_system_are_effective(shared_data: Path, cycle_of: Maker) -> None:
    """LEGEND-200's convention: windowed and averaged traces for germanium, whole ones for everything else."""
    source = shared_data / "fcio/L200-comm-20211130-phy-spms.fcio"
    systems = {52800: "geds", 52801: "geds", 52802: "spms"}
    channels = {f"X{rawid}": {"rawid": rawid, "system": system} for rawid, system in systems.items()}
    cycle = cycle_of(source, "l200-p01-r000-phy-20211130T000000Z", channels)
    folder = cycle.folder / "inputs/dataprod/config"
    processing = """
FCEventDecoder:
  "ch{key:07d}/raw":
    key_list: ["*"]
    out_stream: "{filekey}"
    proc_spec:
      window: ["waveform", 1000, -2000, "waveform_windowed"]
      dsp_config:
        outputs: [presum_rate, waveform_presummed]
        processors:
          presum_rate, waveform_presummed:
            function: presum
            module: dspeed.processors
            args:
              - waveform
              - 0
              - presum_rate
              - waveform_presummed(shape=len(waveform)/8, period=waveform.period*8, offset=waveform.offset, dtype='I')
            unit: [ADC, ADC]
      drop: [waveform]
"""
    (folder / "geds.yaml").write_text(processing)
    cycle.configure("tier_raw_fcio", inputs={"out_spec": {"geds_config": "$_/geds.yaml"}})
    cycle.run("tier_raw")
    raw = str(cycle.output("tier_raw"))
    for rawid, system in systems.items():
        names = {name.rpartition("/")[2] for name in lh5.ls(raw, f"ch{rawid:07d}/raw/")}
        expected = {"waveform_windowed", "waveform_presummed", "presum_rate"} if system == "geds" else {"waveform"}
        assert expected <= names, rawid
        assert ("waveform" in names) == (system != "geds")
    assert lh5.read("ch0052800/raw/waveform_windowed/values", raw).nda.shape[1] == 3000
    assert lh5.read("ch0052800/raw/waveform_presummed/values", raw).nda.shape[1] == 750
