"""The demo: two calibration runs and physics runs of a simulated experiment, from nothing to events."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions of dsp and hit
import numpy as np
import pytest
import yaml
from tests.reasons import unexplained

from dataflow.provenance.records import Records

if TYPE_CHECKING:
    from tests.production.conftest import Environment, Run

pytestmark = pytest.mark.production


def outputs(cycle: Path) -> dict[str, int]:
    """The files that jobs made, with their times; not the records beside them."""
    folders = [cycle / "generated" / name for name in ("tier", "par", "plt")]
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    files = [path for path in files if path.parent.name != ".lineage"]
    return {str(path.relative_to(cycle)): path.stat().st_mtime_ns for path in files}


def test_every_tier_of_every_file_is_there(demo: tuple[Path, Run]) -> None:
    cycle, _ = demo
    daq = sorted(path.stem for path in (cycle / "generated/tier/daq").rglob("*.fcio"))
    assert len(daq) >= 3
    ignored = yaml.safe_load((cycle / "inputs/datasets/ignored_daq_cycles.yaml").read_text())
    left_out = {key for keys in ignored.values() for key in keys or ()}
    for tier in ("raw", "tcm", "dsp", "hit", "evt"):
        made = {
            path.name.removesuffix(f"-tier_{tier}.lh5") for path in (cycle / f"generated/tier/{tier}").rglob("*.lh5")
        }
        assert made == set(daq) - left_out, tier


def test_the_table_shows_calibration_beside_truth(demo: tuple[Path, Run]) -> None:
    _, done = demo
    assert "agree with the truth" in done.stdout
    assert "2614" in done.stdout
    assert "generated/plt/hit" in done.stdout


def test_the_machine_of_the_demo_labels_all_traces(demo: tuple[Path, Run], environment: Environment) -> None:
    """Trained with the traces that the simulation wrote, in dsp and hit, compared with the truth and with a cycle."""
    cycle, done = demo
    assert "SVM good" in done.stdout
    assert re.search(r"svm          labelled +(\d+) of +\1  100.00 %", done.stdout)
    (channels,) = (cycle / "inputs/hardware/configuration/channelmaps").glob("l200-*.yaml")
    detectors = [each for each in yaml.safe_load(channels.read_text()).values() if each["system"] == "geds"]
    for path in sorted((cycle / "generated/tier/hit").rglob("*.lh5")):
        with h5py.File(path) as hit, h5py.File(str(path).replace("/hit/", "/dsp/").replace("_hit", "_dsp")) as dsp:
            for rawid in (each["daq"]["rawid"] for each in detectors):
                labels = dsp[f"ch{rawid}/dsp/svm_label"][:]
                assert np.isfinite(labels).all()
                assert ((labels == 0) == hit[f"ch{rawid}/hit/is_valid_svm"][:].astype(bool)).all()
    document = json.loads(environment.run("dataprod", "compare", cycle, cycle, "--all", "--json").stdout)
    kept = [each for each in document["physics"] if each["quantity"] == "results.svm.good_kept"]
    assert len(kept) == 8 and all(each["a"]["value"] > 99 and each["a"]["error"] > 0 for each in kept)


def test_what_parameter_files_do_not_know_has_a_reason(demo: tuple[Path, Run]) -> None:
    cycle, _ = demo
    files = sorted((cycle / "generated/par").rglob("*-par_*.yaml"))
    assert len(files) >= 6
    found = {
        f"{path.name}: {name}": places
        for path in files
        for name, entry in yaml.safe_load(path.read_text()).items()
        if (places := unexplained(entry))
    }
    assert found == {}


def test_no_temporary_file_is_left(demo: tuple[Path, Run]) -> None:
    cycle, _ = demo
    assert list((cycle / "generated").rglob(".*-part*")) == []


def test_a_second_time_makes_nothing(demo: tuple[Path, Run], environment: Environment) -> None:
    cycle, _ = demo
    before = outputs(cycle)
    config = cycle / "config.json"
    done = environment.run("snakemake", "--configfile", config, "-j", 2, "all-l200-*-*-*-evt.gen", cwd=Path("/"))
    assert "Nothing to be done" in done.stdout + done.stderr
    assert outputs(cycle) == before


def test_plain_snakemake_inside_the_cycle_takes_paths(demo: tuple[Path, Run], environment: Environment) -> None:
    cycle, _ = demo
    hit = next((cycle / "generated/tier/hit/cal").rglob("*.lh5"))
    done = environment.run("snakemake", "-j", 1, str(hit.relative_to(cycle)), cwd=cycle)
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_lost_file_is_made_again_alone(demo: tuple[Path, Run], environment: Environment) -> None:
    cycle, _ = demo
    before = outputs(cycle)
    evt = next((cycle / "generated/tier/evt/phy").rglob("*.lh5"))
    content = evt.read_bytes()
    evt.unlink()
    environment.run("snakemake", "--configfile", cycle / "config.json", "-j", 2, "all-l200-*-*-phy-evt.gen")
    assert evt.read_bytes() == content
    changed = {name for name, time in outputs(cycle).items() if before[name] != time}
    assert changed == {str(evt.relative_to(cycle))}


def test_a_target_without_data_names_what_there_is(demo: tuple[Path, Run], environment: Environment) -> None:
    cycle, _ = demo
    done = environment.run(
        "snakemake", "--configfile", cycle / "config.json", "-j", 1, "all-l200-p99-r000-cal-hit.gen", code=None
    )
    assert done.returncode != 0
    assert "p03" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_collaborations_readers_take_what_was_written(demo: tuple[Path, Run], environment: Environment) -> None:
    cycle, _ = demo
    code = """
import sys, json, lh5
from dbetto import TextDB
cycle = sys.argv[1]
pars = TextDB(f"{cycle}/generated/par/hit").on(sys.argv[2])
detector = sorted(pars)[0]
print(json.dumps({"detectors": sorted(pars), "operations": sorted(pars[detector].pars.operations)}))
"""
    hit = next((cycle / "generated/tier/hit/phy").rglob("*.lh5"))
    stamp = hit.name.split("-")[4]
    done = environment.run("dataprod-load-sw", cycle / "config.json", "python", "-c", code, cycle, stamp)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert len(found["detectors"]) >= 3
    assert "cuspEmax_ctc_cal" in found["operations"]


def test_pulser_events_are_marked_and_muons_are_not_lost(demo: tuple[Path, Run]) -> None:
    cycle, _ = demo
    evt = next((cycle / "generated/tier/evt/phy").rglob("*.lh5"))
    with h5py.File(evt) as file:
        pulser = file["evt/coincident/puls"][:]
        assert 0 < pulser.sum() < len(pulser)
        forced = file["evt/trigger/is_forced"][:].astype(bool)
        assert 0 < forced.sum() < len(forced)
        assert not pulser[forced].any()
        assert not file["evt/coincident/geds"][:][forced].any()


def test_the_physics_run_is_skimmed(demo: tuple[Path, Run]) -> None:
    cycle, _ = demo
    skims = sorted((cycle / "generated/tier/skm/phy").glob("*.lh5"))
    assert skims
    with h5py.File(skims[0]) as file:
        assert (file["skm/geds/multiplicity"][:] == 1).all()
        assert not file["skm/coincident/puls"][:].any()


def test_the_records_tell_the_rates_of_events(demo: tuple[Path, Run], environment: Environment) -> None:
    cycle, _ = demo
    evt = next((cycle / "generated/tier/evt/phy").rglob("*.lh5"))
    counts = (Records().raw(evt) or {})["counts"]
    with h5py.File(evt) as file:
        times, valid = file["evt/trigger/timestamp"][:], file["evt/geds/is_valid/flattened_data"][:]
    assert (counts["from"], counts["to"], counts["events"]) == (times.min(), times.max(), len(times))
    assert sum(counts["detectors"].values()) == valid.sum() > 0
    skm = next((cycle / "generated/tier/skm/phy").rglob("*.lh5"))
    with h5py.File(skm) as file:
        assert (Records().raw(skm) or {})["counts"] == {"events": len(file["skm/geds/multiplicity"])}
    document = json.loads(environment.run("dataprod", "compare", cycle, cycle, "--all", "--json").stdout)
    rates = [change for change in document["physics"] if change["quantity"].startswith("rate of ")]
    assert {"all", *counts["detectors"]} <= {change["detector"] for change in rates}
    assert all(change["a"]["value"] > 0 and change["change"] == 0 for change in rates)


def run_notebook(demo: tuple[Path, Run], environment: Environment, name: str, last: str) -> dict[str, Any]:
    """Run the cells of a notebook of docs/ one after the other in the cycle's software; `last` prints JSON."""
    cycle, _ = demo
    notebook = json.loads((environment.root / f"docs/notebooks/{name}.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    script = cycle / "generated/tmp" / f"{name}.py"
    script.write_text("\n\n".join([*cells, f"import json\nprint()\nprint(json.dumps({last}))\n"]))
    words = ["env", f"DATAPROD_CYCLE={cycle}", "MPLBACKEND=Agg", "python", "-W", "error", script]
    done = environment.run("dataprod-load-sw", cycle / "config.json", *words)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def test_the_notebook_on_reading_runs(demo: tuple[Path, Run], environment: Environment) -> None:
    last = "{'systems': list(by_system), 'fwhm': fwhm['value'].tolist(), 'singles': len(single), 'counts': counts}"
    found = run_notebook(demo, environment, "reading", last)
    assert {"geds", "puls"} <= set(found["systems"])
    assert len(found["fwhm"]) == 8 and all(1.5 < value < 3.5 for value in found["fwhm"])
    assert sum(found["counts"].values()) == found["singles"] > 100


def test_live_time_and_exposure_are_those_of_the_simulation(demo: tuple[Path, Run], environment: Environment) -> None:
    cycle, _ = demo
    last = (
        "{'live': livetime.set_index('run')['livetime_in_s'].to_dict(), 'total': total, "
        "'detectors': by_detector.to_dict(), 'method': livetime['method'].tolist()}"
    )
    found = run_notebook(demo, environment, "exposure", last)
    info = yaml.safe_load((cycle / "inputs/datasets/runinfo.yaml").read_text())["p03"]
    true = {f"l200-p03-{run}-phy": kinds["phy"]["livetime_in_s"] for run, kinds in info.items()}
    period = 20.0  # seconds between two pulses
    assert found["live"] == {run: pytest.approx(seconds, abs=period) for run, seconds in true.items()}
    assert found["method"] == ["pulser"] * len(true)
    diodes = sorted((cycle / "inputs/hardware/detectors/germanium/diodes").glob("*.yaml"))
    masses = {path.stem: yaml.safe_load(path.read_text())["production"]["mass_in_g"] / 1000 for path in diodes}
    years = sum(true.values()) / (365.25 * 86400)
    short = 2 * period / sum(true.values())
    assert found["detectors"] == {name: pytest.approx(mass * years, rel=short) for name, mass in masses.items()}
    assert found["total"] == pytest.approx(sum(masses.values()) * years, rel=short)
