"""``python -m dataflow.jobs STEP --config CONFIG --key KEY --threads N``: run one job."""

from __future__ import annotations

import sys

from .runner import main

if __name__ == "__main__":
    sys.exit(main())
