"""How long it takes to compile at installation what jobs need, into an empty folder, on all cores; by the clock.

    python benchmarks/installation.py [--json FILE]

That is what ``dataprod-install-sw`` and ``prodenv-tools`` do after packages are there. Then it is done once more, which
finds everything compiled.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from goals import SECONDS, Result, add_option, save

ROOT = Path(__file__).resolve().parents[1]
GOAL = 90.0


def main() -> int:
    """Compile, print; returns 1 if it takes too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        first, again = (compiled(Path(folder)) for _ in range(2))
    print(f"into an empty folder {first:.1f} s (goal {GOAL:g} s), again {again:.1f} s")
    save(options.json, [Result(8, "what jobs need is compiled", first, GOAL, SECONDS)], again=again)
    return int(first > GOAL)


def compiled(folder: Path) -> float:
    """Seconds in which everything is compiled into a folder."""
    environ = os.environ | {"NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT / "dataflow/src")}
    begin = time.monotonic()
    subprocess.run([sys.executable, "-m", "dataflow.jobs.warm"], env=environ, check=True)
    return time.monotonic() - begin


if __name__ == "__main__":
    sys.exit(main())
