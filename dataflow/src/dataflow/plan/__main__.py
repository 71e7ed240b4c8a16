"""``python -m dataflow.plan VERB``: what this flow says of a cycle; see :mod:`dataflow.door`."""

from __future__ import annotations

import gc
import sys

from dataflow.door.main import main

if __name__ == "__main__":
    gc.disable()  # all that is planned stays until the end: looking for garbage in it takes a fifth of the time
    sys.exit(main(sys.argv[1:]))
