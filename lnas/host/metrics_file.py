"""metrics.jsonl: the journal of a run, a line of JSON for each event, to which one process appends."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from lnas.core.document import parse
from lnas.core.errors import RunError
from lnas.host import documents, durable


class MetricsFile:
    """The journal of a run, which may not be there yet.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._length: int | None = None
        """In bytes, once this process has written it."""

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one line to metrics.jsonl; a number that is not finite is a `ValueError`."""
        line = json.dumps(row, allow_nan=False, separators=(",", ":")) + "\n"
        with durable.writing(self.path), self._open() as file:
            length = file.tell() + file.write(line.encode())
        self._length = length

    def keep(self) -> tuple[int, str]:
        """Make the lines so far last; returns their length in bytes and their sha256, for `cut`."""
        with durable.writing(self.path), self._open() as file:
            os.fsync(file.fileno())
            return file.tell(), self._sha256(file.tell())

    def cut(self, length: int, sha256: str | None = None) -> None:
        """Forget the lines beyond `length` bytes: those that came after the checkpoint that the run goes on from.

        Raises:
            RunError: where there are fewer, or they are not those that had this sha256.
        """
        with durable.writing(self.path):
            if (size := self.path.stat().st_size if self.path.exists() else 0) < length:
                raise RunError(
                    f"{self.path} has {size} bytes, but the checkpoint was made after {length}; put the whole file back,"
                    " or start a new run"
                )
            if sha256 is not None and self._sha256(length) != sha256:
                raise RunError(f"{self.path} was changed since the checkpoint was made; put the file back, or start a new run")
            with open(self.path, "ab", opener=durable.no_link) as file:
                file.truncate(length)
                os.fsync(file.fileno())
        self._length = length

    def rows(self) -> list[dict[str, Any]]:
        """The journal so far; a last line that is torn, for it is being written, is left out.

        Raises:
            RunError: naming a line before the last that is no JSON object.
        """
        try:
            lines = documents.lines(self.path) if os.path.lexists(self.path) else ()
            rows = [parse(line) for line in lines if line.endswith(b"\n")]
        except OSError as error:
            raise RunError(f"cannot read {self.path}: {error.strerror or error}") from error
        except ValueError as error:
            raise RunError(f"{self.path} holds a line that is no JSON: {error}") from error
        if wrong := [index for index, row in enumerate(rows, 1) if not isinstance(row, dict)]:
            raise RunError(f"{self.path}, line {wrong[0]}: not a JSON object")
        return rows

    def _sha256(self, length: int) -> str:
        """Of so many bytes at the beginning."""
        seal = hashlib.sha256()
        if length:
            with open(self.path, "rb", opener=durable.no_link) as file:
                while length > 0 and (part := file.read(min(length, 1 << 20))):
                    seal.update(part)
                    length -= len(part)
        return seal.hexdigest()

    def _open(self) -> BinaryIO:
        """To append; the lines that were written by this process, or left by `cut`, must be there."""
        try:
            file = open(self.path, "ab", opener=_there if self._length else durable.no_link)  # noqa: SIM115
        except FileNotFoundError as error:
            raise RunError(
                f"{self.path} is gone; put it back, and go on with: lnas resume {self.path.parent}, or start a new run"
            ) from error
        if self._length and (size := file.tell()) != self._length:
            file.close()
            raise RunError(
                f"{self.path} has {size} bytes, but {self._length} were written; put the whole file back, and go on with:"
                f" lnas resume {self.path.parent}"
            )
        return file


def _there(path: str, flags: int) -> int:
    """An `opener` that makes no file."""
    return durable.no_link(path, flags & ~os.O_CREAT)
