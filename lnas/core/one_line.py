"""The message of an error, whoever raised it, as one line that a terminal, a list and a file can hold."""

from lnas.core.errors import LnasError

MOST = 300
"""Characters."""


def in_one_line(error: BaseException) -> str:
    """The message of an error, and its type where it is foreign: one line, no control characters, not too long."""
    try:
        message = str(error)
    except BaseException:  # an error whose message raises, or exits, is still only an error
        message = ""
    if not isinstance(error, LnasError):
        message = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return cut(message)


def cut(text: str) -> str:
    """Any text as one line: no control characters, not too long."""
    line = "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))
    return line if len(line) <= MOST else f"{line[: MOST - 3]}..."
