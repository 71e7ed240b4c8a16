"""Entry of the launcher into the interpreter of the tools."""

import sys

from prodenv.cli.main import main

sys.exit(main(sys.argv[1:]))
