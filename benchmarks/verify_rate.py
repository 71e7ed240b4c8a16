"""How fast ``dataprod verify`` checks raw files on one core: by the hashes in their records, and by decompressing them.

    python benchmarks/verify_rate.py [--scale X] [--folder DIR]

A simulated experiment is written and made into raw files and coincidence maps by its jobs. Printed are bytes on disk by
second and core, without the start of the process, and that both ways find a damaged file.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / part / "src") for part in ("dataflow", "demo")]

from dataflow.checks.verify import How, Report, check_group, groups_of, joined  # noqa: E402
from dataflow.jobs import runner  # noqa: E402
from dataflow.plan import open_cycle  # noqa: E402
from gebox.experiment import build, load  # noqa: E402
from gebox.metadata import write_tree  # noqa: E402
from gebox.simulate import simulate  # noqa: E402

GIGABYTE = 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="size of the experiment (default: that of the demo)")
    parser.add_argument("--folder", default=None, help="where the files are made (default: the system's)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        config = made(Path(folder), options.scale)
        for name, how in (("hashes", How()), ("decompressed", How(full=True))):
            report, seconds = checked(config, how)
            assert report.findings == (), report.findings
            print(f"{name}: {report.files} files, {report.bytes / GIGABYTE:.3f} GB, {seconds:.2f} s of one core: "
                  f"{report.bytes / GIGABYTE / seconds:.2f} GB/s")  # fmt: skip
        victim = max(config.parent.glob("generated/tier/raw/**/*.lh5"), key=lambda path: path.stat().st_size)
        with victim.open("r+b") as stream:
            stream.seek(victim.stat().st_size // 2)
            stream.write(b"\xff" * 4096)
        for how in (How(), How(full=True)):
            assert {finding.file for finding in checked(config, how)[0].findings} == {
                str(victim.relative_to(config.parent))
            }
        print("both find a damaged block")


def made(folder: Path, scale: float) -> Path:
    """A cycle with raw files and coincidence maps; returns its configuration."""
    write_tree(build(seed=1, scale=scale, preset="small"), folder / "inputs")
    simulate(load(folder / "inputs", scale=None), folder / "generated/tier/daq", folder / "truth", jobs=1, only="")
    config = folder / "config.json"
    config.write_text(json.dumps({"setups": {"l200": {}}}))
    for key in open_cycle(config).keys:
        for step in ("tier_raw", "tier_tcm"):
            assert runner.main([step, "--config", str(config), "--key", str(key)]) == 0
    return config


def checked(config: Path, how: How) -> tuple[Report, float]:
    """The report of one worker, and the time of the processor that it took."""
    root, groups = groups_of(config)
    begin = time.process_time()
    report = joined(check_group(root, group, how) for group in groups.values())
    return report, time.process_time() - begin


if __name__ == "__main__":
    main()
