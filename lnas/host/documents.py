"""The files of a run that are read again: only regular ones, of a bounded size, and never through a link.

What does not pass is an `OSError` whose `strerror` says what is wrong, as if the system had refused it, so that a caller has
one thing to catch and to put into words.
"""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lnas.core.document import parse

MOST_BYTES = 16_000_000
"""Of a JSON file: a summary, a status, a genotype, a model."""
MOST_OF_A_JOURNAL = 64_000_000
"""Of metrics.jsonl; an epoch of DARTS on its own space takes 2,300."""
MOST_LINES = 200_000
"""Of metrics.jsonl; there is one for each epoch and each prune round."""
MOST_OF_A_LINE = 8_000_000
"""Of a line of metrics.jsonl; a path takes 9."""


def content(path: Path, *, most: int = MOST_BYTES, through_links: bool = False) -> bytes:
    """The bytes of a file.

    Args:
        path: of the file.
        most: a larger one is refused before it is read.
        through_links: whether `path` itself may be a link, as where the user named it.

    Raises:
        OSError: where there is none, it is a link, a device or a pipe, or it is too large.
    """
    with open(_descriptor(path, through_links=through_links), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        data = b"" if size > most else file.read(most + 1)  # a file may grow
    if size > most or len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes, the most that is read", str(path))
    return data


def read(path: Path, *, most: int = MOST_BYTES) -> Any:
    """The value of a JSON file.

    Raises:
        OSError: as `content` does.
        ValueError: in one line, to follow the name of the file and a colon.
    """
    return parse(content(path, most=most))


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a journal with their ends, which a torn last one lacks; one after the other, for there may be many.

    Raises:
        OSError: as `content` does, and where a line is too long.
    """
    with open(_descriptor(path, through_links=False), "rb") as file:
        if os.fstat(file.fileno()).st_size > MOST_OF_A_JOURNAL:
            raise OSError(errno.EFBIG, f"larger than {MOST_OF_A_JOURNAL:,} bytes, the most that is read", str(path))
        number = 0
        while line := file.readline(MOST_OF_A_LINE + 1):
            number += 1
            if len(line) > MOST_OF_A_LINE:
                raise OSError(errno.EFBIG, f"line {number} is longer than {MOST_OF_A_LINE:,} bytes, the most that is read", path)
            if number > MOST_LINES:
                raise OSError(errno.EFBIG, f"more than {MOST_LINES:,} lines, the most that are read", path)
            yield line


def most_of_tensors() -> int:
    """The most bytes of tensors that are read: half of the memory of this machine, for they are copied once."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _descriptor(path: Path, *, through_links: bool) -> int:
    """Of a regular file, open for reading.  A pipe is not waited for."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if through_links else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    except OSError as error:
        if error.errno == errno.ELOOP and os.path.islink(path) and not through_links:
            raise OSError(errno.ELOOP, "a link; a run holds its files itself", str(path)) from None
        raise
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    raise OSError(errno.EINVAL, "no regular file", str(path))
