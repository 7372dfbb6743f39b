"""Files that are whole or absent, whatever moment the power goes: written aside, fsynced, renamed, the folder fsynced."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lnas.core.errors import RunError


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by a file that holds `data`; a reader sees the old file or the new one.

    Raises:
        RunError: where it cannot be written; `path` is then as it was.
    """
    # of two writers, each has its own: a reader sees the one or the other, and never a mixture
    aside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}.tmp")
    with writing(path):
        try:
            write_new(aside, data)
            os.replace(aside, path)
            sync_directory(path.parent)
        except OSError:
            aside.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of a text in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, document: Any) -> None:
    """`write_bytes` of an indented JSON document; a number that is not finite is a `ValueError`."""
    write_bytes(path, indented(document))


def indented(document: Any) -> bytes:
    """A JSON document as files of a run hold it."""
    return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


def write_new(path: Path, data: bytes) -> None:
    """Write and fsync one file in place, for a folder that is not yet in use.  Raises `OSError`."""
    with open(path, "wb", opener=no_link) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def no_link(path: str, flags: int) -> int:
    """An `opener` for files of a run, which are not written through a link to somewhere else."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def sync_directory(path: Path) -> None:
    """Make the names in a folder last.  Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_room(folder: Path, needed: int) -> None:
    """Refuse a disk with less than `needed` bytes free.

    Args:
        folder: to be written into; may be missing.
        needed: in bytes.

    Raises:
        RunError: naming both.
    """
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    with writing(folder):
        free = shutil.disk_usage(there).free
    if free < needed:
        raise RunError(
            f"{folder} has {free / 1e6:,.1f} MB free, and about {needed / 1e6:,.1f} MB are needed; free space, or choose"
            " another folder"
        )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` of the block into a `RunError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}; free space or mend its permissions") from error
