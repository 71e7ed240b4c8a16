"""Snakemake without what it imports and does not use, and needed still."""

from __future__ import annotations

import subprocess
import sys

LOAD = "import sys\n{first}import snakemake.cli\nprint('pandas._libs' in sys.modules, 'numpy.linalg' in sys.modules)\n"
FIRST = "from prodenv.running.lean import Later\nsys.meta_path.insert(0, Later)\n"
USE = """
import snakemake_executor_plugin_slurm.efficiency_report as report
print(report.pd.isna(None), report.np.inf, report.parse_maxrss("1024K"))
import numpy as np, pandas
from pandas.api.types import is_numeric_dtype
print(int(np.arange(3).sum()), pandas.__name__, is_numeric_dtype(float))
"""


def said(program: str, *words: str) -> str:
    return subprocess.run([sys.executable, *words, "-c", program], capture_output=True, text=True, check=True).stdout


def test_snakemake_loads_neither_pandas_nor_numpy() -> None:
    assert said(LOAD.format(first=FIRST)) == "False False\n"


def test_by_itself_it_loads_both() -> None:
    """Once it does not, the module is not needed any more."""
    assert said(LOAD.format(first="")) == "True True\n"


def test_what_uses_them_has_all_of_them() -> None:
    assert said(LOAD.format(first=FIRST) + USE) == "False False\nTrue inf 1.0\n3 pandas True\n"


def test_it_is_snakemake() -> None:
    words = [[sys.executable, "-I", "-m", module, "--version"] for module in ("prodenv.running.lean", "snakemake")]
    lean, plain = (subprocess.run(each, capture_output=True, text=True, check=True).stdout for each in words)
    assert lean == plain != ""


def test_its_exit_code_and_errors_are_snakemakes() -> None:
    words = [sys.executable, "-I", "-m", "prodenv.running.lean", "--cores", "1", "--snakefile", "missing"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (1, 'Error: Snakefile "missing" not found.')
