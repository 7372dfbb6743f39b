"""Floor 3: the command line.  click and rich live here and in `lnas.report`."""

from lnas.cli.app import main

__all__ = ["main"]
