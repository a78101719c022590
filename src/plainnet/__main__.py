"""``python -m plainnet`` is the command line."""

import sys

from plainnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
