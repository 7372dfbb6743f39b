"""Code of others: what it prints goes aside, what it raises becomes one line, what it did wrong is said and ends nothing."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from lnas.core.errors import LnasError

_MOST_OF_AN_ERROR = 300


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


def in_one_line(error: BaseException) -> str:
    """The message of an error, and its type where it is foreign: one line, no control characters, not too long."""
    try:
        message = str(error)
    except BaseException:  # an error whose message raises, or exits, is still only an error
        message = ""
    if not isinstance(error, LnasError):
        message = f"{type(error).__name__}: {message}" if message else type(error).__name__
    text = "".join(character if character.isprintable() else "?" for character in " ".join(message.split()))
    return text if len(text) <= _MOST_OF_AN_ERROR else f"{text[: _MOST_OF_AN_ERROR - 3]}..."


def warn(text: str) -> None:
    """A `RuntimeWarning`; where warnings are errors, a line on standard error: foreign code that only looks on ends no run."""
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=3)
    except RuntimeWarning:
        print(f"lnas: warning: {text}", file=sys.stderr)
