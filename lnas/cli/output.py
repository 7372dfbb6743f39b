"""Where words go: results to standard output, everything else to standard error.

Nothing of a user's is read as markup, and control characters are taken out.  rich and json are imported when something is
printed, so that `--help` stays quick.
"""

import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lnas.report.text import line, plain

if TYPE_CHECKING:
    from rich.console import RenderableType

_UNBROKEN = 1000
"""Columns where there is no terminal: a line of a result that is piped or kept is not broken."""


def text(words: str) -> None:
    """Print a result as it is, line for line."""
    _write(plain(words) + "\n")


def result(*parts: "RenderableType") -> None:
    """Print a result for people: sentences, broken where the terminal ends, and rich's tables."""
    from rich.console import Console

    console = Console(file=sys.stdout, width=width(), markup=False, emoji=False, highlight=False)
    with console.capture() as captured:  # rich ends the program itself where the reader of a pipe went away
        for part in parts:
            console.print(plain(part) if isinstance(part, str) else part)
    _write(captured.get())


def width() -> int:
    """Columns of what is printed as a result."""
    from rich.console import Console

    return Console(file=sys.stdout).width if sys.stdout.isatty() else _UNBROKEN


def document(value: Mapping[str, object]) -> None:
    """Print a result for programs: one line of JSON."""
    print(json.dumps(value, allow_nan=False))


def note(text: str) -> None:
    """Say something on the side, on one line."""
    _say(line(text))


def warn(text: str) -> None:
    """Say what did not go as one may expect."""
    _say(f"lnas: warning: {line(text)}")


def fail(text: str) -> None:
    """Say why the program ends."""
    _say(f"lnas: error: {line(text)}")


@contextmanager
def warnings_in_words() -> Iterator[None]:
    """Show a warning of Python as one line without its place in the source."""

    def show(message: Warning | str, *place: object) -> None:
        warn(str(message))

    before = warnings.showwarning
    warnings.showwarning = show  # type: ignore[assignment]
    try:
        yield
    finally:
        warnings.showwarning = before


def _write(words: str) -> None:
    """To standard output, whatever characters it knows."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(words.encode(encoding, "backslashreplace").decode(encoding))


def _say(text: str) -> None:
    # not click.echo: it would write past a progress display, which watches sys.stderr
    print(text, file=sys.stderr, flush=True)
