"""`python -m lnas` is the command `lnas`."""

import sys

from lnas.cli import main

if __name__ == "__main__":
    sys.exit(main())
