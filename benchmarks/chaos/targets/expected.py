"""What a reader may do with bytes that it does not read."""

from collections.abc import Iterator
from contextlib import contextmanager

from lnas.core.errors import LnasError, PluginFailedError

LONGEST = 1000
"""Characters of a message, whatever was read."""


@contextmanager
def refused(*others: type[BaseException]) -> Iterator[None]:
    """A block that may end with an error of ours, in one line of a bounded length, and with no other.

    Args:
        others: types that a reader below the surface raises for its caller to put into words.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, (LnasError, *others)):
            raise
        assert type(error) not in (LnasError, PluginFailedError), f"{type(error).__name__} is no refusal"
        message = str(error)
        assert message and len(message) <= LONGEST, f"a message of {len(message)} characters: {message[:200]!r}"
        assert len(message.splitlines()) == 1, f"a message of several lines: {message!r}"
