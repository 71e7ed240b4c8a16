"""Entry of the launcher into the interpreter of the tools."""

import sys

from prodenv.main import main

sys.exit(main(sys.argv[1:]))
