"""Files that are whole or absent, whatever moment the power goes: written aside, fsynced, renamed, the folder fsynced."""

import json
import os
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
    aside = path.with_name(f".{path.name}.tmp")
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
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def write_new(path: Path, data: bytes) -> None:
    """Write and fsync one file in place, for a folder that is not yet in use.  Raises `OSError`."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Make the names in a folder last.  Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` of the block into a `RunError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}; free space or mend its permissions") from error
