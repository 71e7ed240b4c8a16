"""``python -m dataflow.plan VERB``: what this flow says of a cycle; see :mod:`dataflow.door`."""

from __future__ import annotations

import sys

from dataflow.door.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
