"""``python -m dataflow.jobs STEP --config CONFIG --key KEY --threads N``: run one job."""

from __future__ import annotations

import os

from .process import run

if __name__ == "__main__":
    code = run()
    if code:  # what HDF5 could not write it would try to write again at exit, and crash
        os._exit(code)
