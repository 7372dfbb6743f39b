"""SHA256SUMS of a finished run: what each file was when the run ended, as `sha256sum -c SHA256SUMS` reads it too."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from lnas.core.errors import RunError
from lnas.host import documents, durable

FILES = (
    *("config.toml", "environment.json", "metrics.jsonl", "genotype.json"),
    *("model.json", "model.safetensors", "masks.safetensors", "summary.json"),
)
"""Of a run directory, what is not written again once the run is over."""

_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_.]+)")
_MOST = 1 << 16


def write(path: Path, summary: bytes) -> None:
    """Replace the sums of the run at `path`; its summary is about to be written as given.

    Raises:
        RunError: where a file cannot be read, or the sums cannot be written.
    """
    found = {"summary.json": hashlib.sha256(summary).hexdigest()}
    for name in FILES:
        if name not in found and (path / name).exists():
            found[name] = of(path / name)
    durable.write_text(path / "SHA256SUMS", "".join(f"{found[name]}  {name}\n" for name in FILES if name in found))


def read(path: Path) -> Mapping[str, str]:
    """The sums of the run at `path` by the names of its files.

    Raises:
        RunError: where they are no sums.
        OSError: where they cannot be read.
    """
    lines = documents.content(path / "SHA256SUMS", most=_MOST).decode(errors="replace").splitlines()
    matches = [_LINE.fullmatch(line) for line in lines]
    sums = {match[2]: match[1] for match in matches if match is not None}
    if len(sums) != len(lines) or not set(sums) <= set(FILES) or "summary.json" not in sums:
        raise RunError("it does not hold one sha256 and one name in each line")
    return sums


def of(path: Path) -> str:
    """The sha256 of a file.

    Raises:
        RunError: where it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error
