"""``python -m dataflow.plan VERB`` or ``--several``: what this flow says of a cycle; see :mod:`dataflow.door`."""

from __future__ import annotations

import gc
import os
import sys

from dataflow.door.main import main

if __name__ == "__main__":
    gc.disable()  # all that is planned stays until the end: looking for garbage in it takes a fifth of the time
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # to throw away each thing that was planned takes a tenth of the time, too
