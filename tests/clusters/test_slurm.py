"""``dataprod run --profile slurm`` with a real SLURM: the same files, limits learned, failures told, nodes that die."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from prodenv.running.cluster import job_prefix

from .conftest import cycle_in
from .slurm import Slurm

CAL, PHY = "l200-p03-r001-cal-20230317T211819Z", "l200-p03-r001-phy-20230318T015140Z"
LAST = "l200-p04-r000-cal-20230601T000000Z"
EACH_TIME = ("command", "host", "began", "seconds", "cpu_seconds", "peak_memory_mb", "software", "daq_mtime_ns")
"""What a record has that two runs may differ in."""
LONG = 240.0


def made(root: Path) -> dict[str, Any]:
    """The tiers of a cycle with what is in them, and their records but for times, by path."""
    found: dict[str, Any] = {}
    for file in (path for path in sorted(root.glob("generated/tier/*/**/*")) if path.is_file()):
        if file.suffix == ".lh5":
            found[str(file.relative_to(root))] = file.read_text()
        elif file.name.endswith(".json") and ".lh5." in file.name:
            record = json.loads(file.read_text())
            found[str(file.relative_to(root))] = {key: value for key, value in record.items() if key not in EACH_TIME}
    return found


def test_a_run_on_slurm_makes_what_a_local_run_makes_and_tries_again_only_what_lacked_memory(
    slurm: Slurm, profile: str, tmp_path: Path, repository: Path
) -> None:
    local, production = cycle_in(tmp_path / "local", repository), cycle_in(tmp_path / "slurm", repository)
    here = local.dataprod("run", "all-l200-p03-*-*-tcm.gen", "-j2")
    first = production.dataprod("run", "all-l200-p03-r000-*-tcm.gen", "-j2")
    assert (here.returncode, first.returncode) == (0, 0), here.stderr + first.stderr
    production.forget()
    large = {"LARGE": f"tier_raw {CAL}", "BYTES": "1100000000"}
    result = production.dataprod(
        "run", "all-l200-p03-*-*-tcm.gen", "--profile", profile, BROKEN=f"tier_tcm {PHY}", limit=LONG, **large
    )
    # two small jobs go together; their memory was learned from four, is too small, and then twice as large
    assert result.returncode == 1, result.stderr
    asked = [line.split() for line in slurm.jobs("%i %m %c %k")]
    raw = sorted((int(number), memory) for number, memory, _, name in asked if "tier_raw" in name)
    assert len(raw) == 2, asked
    assert int(raw[1][1].rstrip("M")) == 2 * int(raw[0][1].rstrip("M")) < 2 * 2 * 2400
    assert "1 times again with more memory" in result.stderr
    # a failure of physics is told, not tried again, and the other job of its group is done
    assert production.jobs().count(f"tier_tcm {PHY}") == 1
    assert production.jobs().count(f"tier_tcm {CAL}") == 1
    log = production.root / f"generated/tmp/log/tier_tcm/{PHY}-tier_tcm.log"
    assert f"error: tier_tcm failed to make {PHY}-tier_tcm.lh5\n  error: made to break\nlog: {log}\n" in result.stderr
    assert "3 of 4 jobs done, 1 failed" in result.stderr
    assert "queue: 1 on n" in result.stderr
    # what is left is done, and all is as if there had been no cluster
    last = production.dataprod("run", "all-l200-p03-*-*-tcm.gen", "-j2")
    assert last.returncode == 0, last.stderr
    assert made(production.root) == made(local.root)


def test_the_jobs_of_a_killed_node_and_of_a_killed_run_are_done_again(
    slurm: Slurm, profile: str, tmp_path: Path, repository: Path
) -> None:
    production = cycle_in(tmp_path / "cycle", repository)
    left = ["--job-name", f"{job_prefix(production.root)}_before", "--output=/dev/null", "--wrap=sleep 600"]
    number = subprocess.run(["sbatch", "--parsable", *left], capture_output=True, text=True, check=True).stdout.strip()
    words = [sys.executable, "-m", "prodenv", "run", str(production.root), "all-l200-p04-r000-cal-raw.gen"]
    environ = dict(os.environ) | {"SLOW": "3"}
    with (tmp_path / "said").open("w+") as said:
        run = subprocess.Popen([*words, "--profile", profile], env=environ, stderr=said, stdout=said)
        try:
            until = time.monotonic() + LONG
            while not production.jobs() and run.poll() is None and time.monotonic() < until:
                time.sleep(0.2)
            nodes = [line.split()[1] for line in slurm.jobs("%T %N") if line.startswith("RUNNING")]
            assert len(nodes) == 1, (tmp_path / "said").read_text()
            slurm.kill_node(nodes[0])
            code = run.wait(LONG)
        finally:
            run.kill()
            run.wait()
    text = (tmp_path / "said").read_text()
    assert code == 0, text
    assert f"{number} CANCELLED" in slurm.jobs()
    assert "cancelling 1 SLURM job that an earlier run left behind" in text
    assert production.jobs() == [f"tier_raw {LAST}"] * 2
    file = production.root / f"generated/tier/raw/cal/p04/r000/{LAST}-tier_raw.lh5"
    assert file.read_text() == f"tier_raw {LAST}\n"
    assert "1 job done" in text


def test_the_detectors_of_one_job_are_done_by_several_of_the_clusters(
    slurm: Slurm, profile: str, tmp_path: Path, repository: Path
) -> None:
    production = cycle_in(tmp_path / "cycle", repository)
    assert production.dataprod("run", "all-l200-p03-r001-cal-tcm.gen", "-j2").returncode == 0
    site = Path(profile, "config.yaml")
    site.write_text(site.read_text() + "set-resources: ['par_dsp_pz:shares=2']\n")
    wanted = f"generated/tmp/par/{CAL}-par_dsp_pz.yaml"
    production.forget()
    result = production.dataprod("run", wanted, "--profile", profile, limit=LONG)
    assert result.returncode == 0, result.stderr
    assert production.jobs() == [f"par_dsp_pz {CAL}", *[f"par_dsp_pz_share {CAL}"] * 2, f"par_tcm_pulser {CAL}"]
    (record,) = (production.root / "generated/tmp").rglob(f"{CAL}-par_dsp_pz.yaml.{'?' * 32}.json")
    taken = json.loads(record.read_text())
    assert taken["shares"]["number"] == 2
    assert not list((production.root / "generated/tmp").rglob("*-of-2"))
