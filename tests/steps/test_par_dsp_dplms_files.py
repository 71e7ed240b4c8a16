"""Coefficients of the DPLMS filter as a file: where it stands, who reads it, what follows from it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import lh5
import numpy as np
import pytest
import yaml
from lgdo import Array, ArrayOfEqualSizedArrays, Table, WaveformTable
from scipy.signal import lfilter
from tests.figures import figures_of

from dataflow.base.errors import UserError
from dataflow.checks.verify import How, check_all, groups_of, joined
from dataflow.door.cleaning import Selection, chosen
from dataflow.door.contents import contents_of
from dataflow.jobs.errors import BadInput, WorkFailed
from dataflow.jobs.figures import plotdata
from dataflow.jobs.runner import main, run
from dataflow.metadata.references import Reference, files_named, moved, reference_of, written
from dataflow.metadata.stepconfig import shipped_folder
from dataflow.physics.chains import run_chain, with_arrays
from dataflow.physics.lines import Source
from dataflow.plan import open_cycle
from dataflow.registry.step import DATA
from dataflow.registry.steps import parts_of
from dataflow.steps.par_dsp_evtsel.build import write_events
from dataflow.steps.par_hit_ecal.build import calibrate as calibrate_energy
from dataflow.steps.par_hit_ecal.build import not_made
from dataflow.steps.par_hit_ecal.report import entry as energy_entry
from dataflow.steps.par_hit_ecal.settings import Settings as EcalSettings
from dataflow.steps.par_hit_ecal.settings import Sources
from dataflow.steps.par_hit_ecal.source import source_of

CAL = "l200-p03-r000-cal-20240301T080000Z"
FFT = "l200-p03-r000-fft-20240301T120000Z"
PERIOD, TAU, SAMPLES, START, HEIGHT = 96.0, 200_000.0, 700, 300, 12_000.0
CHANNELS = {"V01A": 1, "V02B": 2, "V03C": 3}
"""The second has few forced triggers, the third is off."""
LH5 = f"generated/par/dsp/cal/p03/r000/{CAL}-par_dsp_dplms.lh5"
PARS = f"generated/par/dsp/cal/p03/r000/{CAL}-par_dsp.yaml"
RNG = np.random.default_rng(8)


def traces(count: int, heights: Any = 0.0) -> tuple[Any, Any]:
    """Averaged traces with noise and pulses, and the time in ns that the charge of each takes."""
    rise = RNG.uniform(300, 1200, count)
    times = (np.arange(SAMPLES)[None] - START) * PERIOD
    steps = np.diff(np.clip(times / rise[:, None], 0, 1), prepend=0.0, axis=1)
    pulses = lfilter([1.0], [1.0, -np.exp(-PERIOD / TAU)], steps, axis=1) * np.reshape(heights, (-1, 1))
    return pulses + RNG.normal(0, 4.0, (count, SAMPLES)), rise


def raw(path: Path, averaged: Any, *tables: str) -> None:
    """A raw file with six samples for each averaged one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    for table in tables:
        values = np.rint(np.repeat(15_000 + averaged, 6, axis=1)).astype("uint16")
        wave = WaveformTable(values=ArrayOfEqualSizedArrays(nda=values), dt=16.0, dt_units="ns", t0=0.0, t0_units="ns")
        rows = len(values)
        columns = {
            "timestamp": Array(np.arange(rows, dtype="float64"), attrs={"units": "s"}),
            "baseline": Array(np.zeros(rows, dtype="uint16")),
            "daqenergy": Array(np.zeros(rows, dtype="uint16")),
            "waveform": wave,
        }
        lh5.write(Table(col_dict=columns), table, str(path))


class Small:
    """A cycle with a calibration's raw file, and what the steps before gave.

    Parameters
    ----------
    root
        Where it is.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.config = root, root / "config.json"

    def tree(self) -> None:
        """Write configuration and metadata."""
        self.root.mkdir()
        self.config.write_text('{"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}}')
        maps = {name: {"name": name, "system": "geds", "daq": {"rawid": rawid}} for name, rawid in CHANNELS.items()}
        statuses = {
            name: {"processable": name != "V03C", "usability": "off" if name == "V03C" else "on"} for name in CHANNELS
        }
        self.metadata("hardware/configuration/channelmaps", maps)
        self.metadata("datasets/statuses", statuses)
        self.metadata("dataprod/config", {})

    def metadata(self, place: str, content: Any) -> Path:
        folder = self.root / "inputs" / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "validity.yaml").write_text('[{valid_from: "20240101T000000Z", apply: [config.yaml]}]')
        (folder / "config.yaml").write_text(yaml.safe_dump(content))
        return folder

    def configure(self, **dplms: Any) -> None:
        folder = self.metadata(
            "dataprod/config", {"snakemake_rules": {"pars_dsp_dplms": {"inputs": {"dplms_pars": "own.yaml"}}}}
        )
        (folder / "own.yaml").write_text(yaml.safe_dump(dplms))

    def tier(self, key: str, tier: str = "raw") -> Path:
        datatype = key.split("-")[3]
        return self.root / f"generated/tier/{tier}/{datatype}/p03/r000/{key}-tier_{tier}.lh5"

    def data(self, *, with_noise: bool) -> None:
        """Raw files, and the results of the other steps of the calibration."""
        pulses, _ = traces(20, np.linspace(4_000, 12_000, 20))
        raw(self.tier(CAL), pulses, "ch0000001/raw", "ch0000002/raw", "ch0000003/raw")
        if with_noise:
            noise, _ = traces(150)
            raw(self.tier(FFT), noise, "ch0000001/raw", "ch0000003/raw")
            rest = self.tier(FFT).with_suffix(".part")
            raw(rest, noise[:20], "ch0000002/raw")
            with h5py.File(self.tier(FFT), "a") as file, h5py.File(rest) as other:
                other.copy("ch0000002", file)
            rest.unlink()
        for part in parts_of("dsp"):
            if part.name != "par_dsp_dplms" and not part.only_with:
                self.part(part.name)
        self.events()

    def part(self, step: str) -> None:
        outputs = open_cycle(self.config).job(step, CAL).outputs
        path = outputs["par"]
        path.parent.mkdir(parents=True, exist_ok=True)
        plotdata.write(outputs[DATA], {})
        found: dict[str, Any] = {"pz": {"tau1": f"{TAU}*ns"}} if step == "par_dsp_pz" else {}
        if step == "par_dsp_eopt":
            found = {"ctc_params": {"cuspEmax_ctc": {"expression": "x", "parameters": {"a": 1e-6}}}}
        path.write_text(yaml.safe_dump(dict.fromkeys(("V01A", "V02B"), found)))

    def events(self, *names: str) -> None:
        """Events of the line at 2614.5 keV, as the selection writes them."""
        path = open_cycle(self.config).job("par_dsp_evtsel", CAL).outputs["peaks"]
        path.unlink(missing_ok=True)
        for name in names or ("V01A", "V02B"):
            heights = HEIGHT * (1 + RNG.normal(0, 3e-4, 200))
            made, rise = traces(200, heights)
            columns = {
                "trapTmax": heights, "tp_0_est": np.full(200, START * PERIOD), "tp_99": START * PERIOD + rise,
                "dt_eff": 0.5 * rise, "peak": np.full(200, 2614.511), "wf_blsub": made.astype("f4"),
            }  # fmt: skip
            part = path.with_suffix(f".{name}.lh5")
            write_events(name, columns, {"wf_blsub": {"dt": PERIOD}}, part)
            with h5py.File(path, "a") as file, h5py.File(part) as other:
                other.copy(name, file)
            part.unlink()

    def run(self, *steps: str) -> None:
        for step in steps:
            run(open_cycle(self.config).job(step, CAL), 1)

    def recorded(self, *steps: str) -> None:
        """Run jobs as Snakemake does, with records."""
        for step in steps:
            assert main([step, "--config", str(self.config), "--key", CAL]) == 0, step

    def pars(self) -> dict[str, Any]:
        return dict(yaml.safe_load((self.root / PARS).read_text()))

    def energies(self, rawid: int = 1) -> Any:
        with h5py.File(self.tier(CAL, "dsp")) as file:
            return file[f"ch{rawid:07d}/dsp/dplmsEmax"][:]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A cycle in which the filter was found, and dsp made with it. Do not change it: take a copy."""
    small = Small(tmp_path_factory.mktemp("dplms") / "cycle")
    small.tree()
    small.data(with_noise=True)
    small.recorded("par_dsp_dplms", "par_dsp", "tier_dsp")
    return small


@pytest.fixture
def copy(made: Small, tmp_path: Path) -> Small:
    """A copy elsewhere: the first cycle moved, so to say."""
    shutil.copytree(made.root, tmp_path / "moved")
    return Small(tmp_path / "moved")


def test_the_parameter_file_names_the_coefficients_that_lie_beside_it(made: Small) -> None:
    entry = made.pars()["V01A"]
    assert entry["dplms"]["coefficients"] == f"loadlh5('$_/{Path(LH5).name}', 'V01A/dplms/coefficients')"
    assert entry["pz"] == {"tau1": f"{TAU}*ns"}
    # the published flow lost the other corrections here
    assert set(entry["ctc_params"]) == {"cuspEmax_ctc", "dplmsEmax_ctc"}
    with h5py.File(made.root / LH5) as file:
        kernel = file["V01A/dplms/coefficients"]
        assert kernel.dtype == np.float32
        assert kernel.shape == (entry["dplms"]["length"],) == (420,)
        assert file["V01A/dplms/period"][()] == 96.0
        assert set(file) == {"V01A"}
    figures = figures_of(open_cycle(made.config), "par_dsp_dplms", CAL)
    assert figures.read_bytes().startswith(b"%PDF")


def test_dsp_has_the_energies_of_the_filter(made: Small) -> None:
    """The highest output of the coefficients on the chain's own traces, and near the true heights."""
    chain = yaml.safe_load((shipped_folder("tier_dsp") / "processing_chain-geds.yaml").read_text())
    pars = {"pz": {"tau1": f"{TAU}*ns"}}
    own = run_chain(made.tier(CAL), "ch0000001/raw", chain, pars, outputs=["wf_blsub"])["wf_blsub"].values.nda
    with h5py.File(made.root / LH5) as file:
        samples = file["V01A/dplms/coefficients"][:][::-1].astype(float)
    expected = [np.correlate(trace.astype(float), samples, "valid").max() for trace in own]
    np.testing.assert_allclose(made.energies(), expected, rtol=2e-5)
    np.testing.assert_allclose(made.energies(), np.linspace(4_000, 12_000, 20), rtol=3e-3)


def test_a_detector_with_few_traces_fails_alone_and_one_that_is_off_is_not_there(made: Small) -> None:
    pars = made.pars()
    assert pars["V02B"]["status"]["step"] == "par_dsp_dplms"
    assert "traces without a pulse are too few for the noise, 50 are needed" in pars["V02B"]["status"]["reason"]
    assert pars["V02B"]["pz"] == {"tau1": f"{TAU}*ns"}
    assert np.isnan(made.energies(2)).all()
    assert "V03C" not in pars
    assert not_made(pars["V02B"]) == {"dplmsEmax": f"par_dsp_dplms: {pars['V02B']['status']['reason']}"}
    assert not_made(pars["V01A"]) == {}


def test_a_run_without_fft_data_says_so_and_has_no_energies(tmp_path: Path) -> None:
    small = Small(tmp_path / "cycle")
    small.tree()
    small.data(with_noise=False)
    small.run("par_dsp_dplms", "par_dsp", "tier_dsp")
    for name in ("V01A", "V02B"):
        assert small.pars()[name]["dplms"] == {"not_made": "no forced triggers (fft) in this run"}
        assert "status" not in small.pars()[name]
        assert not_made(small.pars()[name]) == {"dplmsEmax": "no forced triggers (fft) in this run"}
    assert np.isnan(small.energies()).all()
    with h5py.File(small.root / LH5) as file:
        assert list(file) == []


def test_without_events_of_the_line_or_when_not_wanted_the_entry_says_why(copy: Small) -> None:
    copy.events("V02B")
    copy.run("par_dsp_dplms")
    path = open_cycle(copy.config).job("par_dsp_dplms", CAL).outputs["par"]
    assert yaml.safe_load(path.read_text())["V01A"]["dplms"] == {"not_made": "no events of lines: none were selected"}
    copy.configure(run_dplms=False)
    copy.run("par_dsp_dplms")
    assert yaml.safe_load(path.read_text())["V01A"]["dplms"] == {"not_made": "dplms_pars.run_dplms is false"}


def test_a_moved_cycle_reads_its_own_coefficients(copy: Small) -> None:
    before = copy.energies()
    with h5py.File(copy.root / LH5, "a") as file:
        file["V01A/dplms/coefficients"][:] *= 2
    copy.run("par_dsp", "tier_dsp")
    assert copy.pars()["V01A"]["dplms"]["coefficients"].startswith("loadlh5('$_/l200-")
    np.testing.assert_allclose(copy.energies(), 2 * before, rtol=1e-5)


def test_a_folder_of_results_that_is_a_link_does_not_lead_astray(copy: Small, tmp_path: Path) -> None:
    """``..`` behind a link leads elsewhere than the path says."""
    scratch = tmp_path / "scratch/disk/of/results"
    scratch.parent.mkdir(parents=True)
    (copy.root / "generated/tmp").rename(scratch)
    (copy.root / "generated/tmp").symlink_to(scratch)
    before = copy.energies()
    copy.run("par_dsp_dplms", "par_dsp", "tier_dsp")
    np.testing.assert_allclose(copy.energies(), before, rtol=1e-6)


def test_dsp_depends_on_the_coefficients(copy: Small) -> None:
    cycle = open_cycle(copy.config)
    job = cycle.job("tier_dsp", CAL)
    assert job.inputs["coefficients"] == (copy.root / LH5,)
    before = cycle.lineage("tier_dsp", job.unit)
    copy.configure(kernel=0.5)
    changed = open_cycle(copy.config)
    assert changed.lineage("tier_dsp", job.unit) != before
    assert ("par_dsp_dplms", changed.unit("par_dsp_dplms", CAL)) in changed.needs("tier_dsp", job.unit)
    copy.configure()
    assert open_cycle(copy.config).lineage("tier_dsp", job.unit) == before


def test_current_means_that_all_three_outputs_are_there(copy: Small) -> None:
    cycle = open_cycle(copy.config)
    assert cycle.lineages.is_current("par_dsp_dplms", cycle.unit("par_dsp_dplms", CAL)) is True
    (copy.root / LH5).unlink()
    cycle = open_cycle(copy.config)
    assert cycle.lineages.is_current("par_dsp_dplms", cycle.unit("par_dsp_dplms", CAL)) is None


def test_a_redirected_parameter_folder_is_read_with_its_coefficients(copy: Small, tmp_path: Path) -> None:
    """What the parameter file names is an input: other coefficients make other files."""
    other = Small(tmp_path / "other")
    other.tree()
    shutil.copytree(copy.root / "generated/tier/raw", other.root / "generated/tier/raw")
    folder = copy.root / "generated/par/dsp"
    paths = f'{{"tier": "$_/generated/tier", "par_dsp": "{folder}"}}'
    other.config.write_text(f'{{"setups": {{"l200": {{"paths": {paths}}}}}}}')
    (folder / "validity.yaml").write_text(
        yaml.safe_dump([{"valid_from": "20240301T080000Z", "apply": [f"cal/p03/r000/{CAL}-par_dsp.yaml"]}])
    )
    job = open_cycle(other.config).job("tier_dsp", CAL)
    assert job.inputs["coefficients"] == (copy.root / LH5,)
    other.run("tier_dsp")
    np.testing.assert_array_equal(other.energies(), copy.energies())
    other.tier(CAL, "dsp").unlink()  # else it is a foreign file, which has the lineage that it has
    for record in (copy.root / LH5).parent.glob(".lineage/*"):
        record.unlink()  # as if the published flow had made them
    before = open_cycle(other.config).lineage("tier_dsp", job.unit)
    with h5py.File(copy.root / LH5, "a") as file:
        file["V01A/dplms/coefficients"][:] *= 2
    assert open_cycle(other.config).lineage("tier_dsp", job.unit) != before


def test_hand_made_coefficients_come_last_and_count_by_their_content(copy: Small) -> None:
    folder = copy.metadata(
        "dataprod/overrides/dsp",
        {"V01A": {"dplms": {"length": 3, "coefficients": "loadlh5('$_/own.lh5', 'filters/first')"}}},
    )
    with h5py.File(folder / "own.lh5", "w") as file:
        file["filters/first"] = np.array([0.0, 1.0, 0.0], dtype="f4")
    cycle = open_cycle(copy.config)
    job = cycle.job("tier_dsp", CAL)
    before = cycle.lineage("tier_dsp", job.unit)
    copy.run("tier_dsp")
    chain = yaml.safe_load((shipped_folder("tier_dsp") / "processing_chain-geds.yaml").read_text())
    pars = {"pz": {"tau1": f"{TAU}*ns"}}
    own = run_chain(copy.tier(CAL), "ch0000001/raw", chain, pars, outputs=["wf_blsub"])["wf_blsub"].values.nda
    np.testing.assert_allclose(copy.energies(), own[:, 1:-1].max(axis=1), rtol=1e-5)
    with h5py.File(folder / "own.lh5", "a") as file:
        file["filters/first"][:] = [1.0, 0.0, 0.0]
    assert open_cycle(copy.config).lineage("tier_dsp", job.unit) != before


def test_coefficients_for_another_sampling_give_no_energies(copy: Small) -> None:
    text = (copy.root / PARS).read_text()
    (copy.root / PARS).write_text(text.replace("96*ns", "128*ns"))
    copy.run("tier_dsp")
    assert np.isnan(copy.energies()).all()


def test_missing_coefficients_are_named(copy: Small) -> None:
    entry = {"dplms": {"coefficients": f"loadlh5('{copy.root / LH5}', 'V09Z/dplms/coefficients')"}}
    with pytest.raises(BadInput, match=r"par_dsp_dplms\.lh5 has no array V09Z/dplms/coefficients"):
        with_arrays(entry)
    entry = {"dplms": {"coefficients": f"loadlh5('{copy.root}/nowhere.lh5', 'x')"}}
    with pytest.raises(BadInput, match=r"there is no file .*nowhere\.lh5"):
        with_arrays(entry)


def test_an_energy_that_dsp_cannot_have_is_left_out_of_the_calibration_with_the_reason(th228: Source) -> None:
    """Without a filter the estimator is no failure and no warning; alone, it is one."""
    rng = np.random.default_rng(5)
    energies = np.concatenate([rng.normal(line.energy, 1.0, 400) for line in th228.lines])
    data = {"cuspEmax": energies / 0.2, "dplmsEmax": np.full(len(energies), np.nan)}
    accepted = np.full(len(energies), True)
    both = EcalSettings(energy_params=("cuspEmax", "dplmsEmax"))
    found = calibrate_energy(data, accepted, both, th228, {}, {"dplmsEmax": "no fft data"})
    assert [result.parameter for result in found.results] == ["cuspEmax_ctc"]
    assert found.left_out == {"dplmsEmax_ctc": "no fft data"}
    assert not any("dplms" in text for text in found.warnings)
    assert energy_entry(found, both, {})["results"]["ecal_left_out"] == {"dplmsEmax_ctc": "no fft data"}
    del data["dplmsEmax"]
    without = calibrate_energy(data, accepted, both, th228, {})
    assert without.left_out == {"dplmsEmax_ctc": "dsp has no column dplmsEmax"}
    with pytest.raises(WorkFailed, match="dplmsEmax_ctc: dsp has no column dplmsEmax"):
        calibrate_energy(data, accepted, EcalSettings(energy_params=("dplmsEmax",)), th228, {})


@pytest.fixture(scope="module")
def th228() -> Source:
    table = yaml.safe_load((shipped_folder("pars_hit_ecal") / "sources.yaml").read_text())
    return source_of(EcalSettings(energy_params=("cuspEmax",)), Sources.read(table).nuclides)


# all that walks outputs -----------------------------------------------------------------------------------------


def test_verify_reads_the_coefficients(copy: Small) -> None:
    root, groups = groups_of(copy.config)
    (group,) = (group for group in groups.values() if "dsp" in group)
    assert {"raw", "dsp", "par_dsp_dplms.coefficients"} <= set(group)
    assert any("par_dsp_evtsel.peaks" in group for group in groups.values())
    mine = {CAL: {"par_dsp_dplms.coefficients": LH5}}
    assert joined(check_all(root, mine, jobs=1, how=How())).findings == ()
    with h5py.File(copy.root / LH5, "a") as file:
        file["V01A/dplms/coefficients"][:] *= 2
    found = joined(check_all(root, mine, jobs=1, how=How())).findings
    assert [(each.file, each.problem) for each in found] == [(LH5, "it is not what its job wrote")]
    (copy.root / LH5).write_bytes(b"no HDF5")
    found = joined(check_all(root, mine, jobs=1, how=How())).findings
    assert any("it cannot be read" in each.problem for each in found)


def test_show_clean_and_archive_know_the_coefficients(copy: Small) -> None:
    found = contents_of({"config": str(copy.config), "setup": None})
    outputs = {output.path: output for output in found.outputs()}
    assert outputs[LH5].step == outputs[LH5].kind == "par_dsp_dplms"
    assert outputs[LH5].key == CAL
    going, _ = chosen(found, Selection(("par_dsp_dplms",), (), False, False, ""))
    gone = {each.path: each.records for each in going}
    assert set(gone) == {LH5, f"generated/tmp/par/{CAL}-par_dsp_dplms.yaml"}  # data of figures are those of plt_dsp
    assert any(name.endswith(".json") for name in gone[LH5])
    assert outputs[PARS].kind == "par_dsp"


# references -----------------------------------------------------------------------------------------------------


def test_references_are_read_written_and_moved() -> None:
    text = written(Path("/c/par/dsp/x.lh5"), "V01/a", Path("/c/tmp/par"))
    assert text == "loadlh5('$_/../../par/dsp/x.lh5', 'V01/a')"
    seen = text.replace("$_", "/c/tmp/par")
    assert reference_of(seen) == Reference(Path("/c/par/dsp/x.lh5"), "V01/a")
    content = {"V01": {"dplms": {"coefficients": seen, "length": 3}, "list": [seen, "text"]}}
    there = moved(content, Path("/c/par/dsp"))
    assert there["V01"]["dplms"] == {"coefficients": "loadlh5('$_/x.lh5', 'V01/a')", "length": 3}
    assert there["V01"]["list"] == ["loadlh5('$_/x.lh5', 'V01/a')", "text"]
    assert moved(content, Path("/elsewhere")) == content
    assert reference_of("400*us") is None
    assert reference_of(3.0) is None
    double = "a: \"loadlh5('$_/x.lh5', 'q')\"\nb: loadlh5(\"/d/y.lh5\", \"q\")\nc: loadlh5('$_/x.lh5', 'r')\n"
    assert list(files_named(double, Path("/c/par"))) == [Path("/c/par/x.lh5"), Path("/d/y.lh5")]


def test_a_misspelt_setting_stops_the_plan_with_file_and_line(copy: Small) -> None:
    copy.configure(kernal=0.5)
    with pytest.raises(UserError, match=r"own\.yaml:1: dplms_pars has no entry 'kernal'"):
        open_cycle(copy.config).job("par_dsp_dplms", CAL)
