"""``python -m gebox``."""

import sys

from gebox.cli import main

if __name__ == "__main__":
    sys.exit(main())
