"""Code of others: what it prints goes aside, what it raises becomes one line, what it did wrong is said and ends nothing."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from lnas.core.one_line import in_one_line

__all__ = ["Voice", "aside", "in_one_line", "warn"]


class Voice:
    """Standard output as foreign code sees it: standard error, which it cannot close, and a note that it was used."""

    def __init__(self) -> None:
        self.used = False

    def write(self, text: str) -> int:
        """Write to standard error."""
        self.used = self.used or bool(text.strip())
        return sys.stderr.write(text)

    def close(self) -> None:
        """Nothing: it is not the caller's."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """Send what foreign code prints to standard error: standard output is for results, which a program may read."""
    with contextlib.redirect_stdout(Voice()):
        yield


def warn(text: str) -> None:
    """A `RuntimeWarning`; where warnings are errors, a line on standard error: foreign code that only looks on ends no run."""
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=3)
    except RuntimeWarning:
        print(f"lnas: warning: {text}", file=sys.stderr)
