"""Checkpoints that are whole or absent: `step-00001200/{tensors.safetensors,state.json,MANIFEST.json}`.

A checkpoint is written beside its place, fsynced file by file, then renamed into it.  The manifest names the size and
the sha256 of every file and is itself sealed, so that a checkpoint with one bit wrong is known before it is read.  There
is no pickle: what is loaded is numbers and text.  The caller holds the lock of the run.
"""

import hashlib
import json
import os
import re
import shutil
import stat
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import torch as safetensors
from torch import Tensor

from lnas.core.document import parse
from lnas.core.errors import RunError
from lnas.core.types import State
from lnas.host import documents, durable
from lnas.host.packing import pack, plain, read, tensors_of, unpack, written

SCHEMA = 1
_TENSORS, _STATE, _MANIFEST = "tensors.safetensors", "state.json", "MANIFEST.json"
_NAME = re.compile(r"step-(\d{8,18})")
_LARGEST_MANIFEST = 1 << 20


class _Damaged(RunError):
    """A checkpoint that is not what was written; told apart from one that another lnas wrote."""


def save(
    directory: Path,
    state: State,
    *,
    step: int,
    meta: Mapping[str, Any],
    keep: int = 2,
    score: tuple[int, float] | None = None,
) -> Path:
    """Write the checkpoint of `step` into `directory`, then remove all but the newest ones and the best.

    A valid checkpoint of that step is left as it is: a run is a function of its steps.

    Args:
        directory: holds the checkpoints; made where it is missing.
        state: tensors, live ones too, on any device, and JSON scalars.
        step: counted from the start of the run.
        meta: JSON; where and with what it was made.  It can be read without the state: `describe`.
        keep: how many of the newest stay, at least 1.
        score: how good it is, the higher the better, or None where that was not measured.  The best stays too.

    Raises:
        PluginError: where the state holds something else.
        RunError: where it cannot be written; the checkpoints before it are untouched.
    """
    tensors, document = pack(state)
    files = {_TENSORS: safetensors.save(plain(tensors)), _STATE: written(document)}
    manifest = {
        "schema": SCHEMA,
        "step": step,
        "files": {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()},
        "meta": {**meta, **({} if score is None else {"score": list(score)})},
    }
    place = directory / f"step-{step:08d}"
    _check_its_own(directory)
    with durable.writing(directory):
        if not directory.is_dir():
            directory.mkdir()  # not its parent: a run that was removed does not come back as a part of one
            durable.sync_directory(directory.parent)
        for leftover in directory.glob(".*.tmp"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        if place.exists() and _set_aside_if_damaged(place) is None:
            return place
        aside = directory / f".{place.name}.tmp"
        try:
            aside.mkdir()
            for name, data in {**files, _MANIFEST: _sealed(manifest)}.items():
                durable.write_new(aside / name, data)
            durable.sync_directory(aside)
            os.rename(aside, place)
            durable.sync_directory(directory)
        except OSError:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        _remove_older(directory, step, keep)
    return place


def check(state: State) -> None:
    """Raise the `PluginError` that `save` would raise for this state, and write nothing."""
    pack(state)


def load(path: Path) -> State:
    """The state of one checkpoint, its tensors on the CPU, after every byte of it was checked.

    Raises:
        RunError: where there is none, a byte is wrong, or another version of lnas wrote it.
    """
    files = _verified(path)[1]
    try:
        tensors, document = tensors_of(files[_TENSORS]), read(files[_STATE])
    except ValueError as error:
        raise _Damaged(f"{path} holds no tensors and JSON as lnas writes them: {error}") from error
    return unpack(tensors, document)


def describe(path: Path) -> dict[str, Any]:
    """The `meta` that was saved with a checkpoint, and its "score" where it has one.  Raises as `load` does."""
    meta: dict[str, Any] = _verified(path)[0]["meta"]
    return meta


def latest(directory: Path) -> Path | None:
    """The newest checkpoint that is whole, or None.

    Damaged ones on the way to it are renamed `*.damaged` with a `RuntimeWarning`, never deleted.

    Raises:
        RunError: where another version of lnas wrote it, or it cannot be read.
    """
    for _, path in sorted(_checkpoints(directory), reverse=True):
        with durable.writing(path):
            if _set_aside_if_damaged(path) is None:
                return path
    return None


def every(directory: Path) -> list[Path]:
    """All that stand under the name of a checkpoint, whole or not, the oldest first.

    Raises:
        RunError: where `directory` is a link.
    """
    return [path for _, path in sorted(_checkpoints(directory))]


def damaged(directory: Path) -> list[Path]:
    """Those that were set aside."""
    return sorted(directory.glob("step-*.damaged")) if directory.is_dir() else []


def digest(tensors: Mapping[str, Tensor]) -> str:
    """`sha256:...` over name, dtype, shape and bytes of each tensor, in the order of the names."""
    seal = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        value = tensor.detach().cpu().contiguous()
        seal.update(json.dumps([name, str(value.dtype).removeprefix("torch."), list(value.shape)]).encode() + b"\n")
        if value.numel():
            seal.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return f"sha256:{seal.hexdigest()}"


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Replace `path` by a safetensors file of these tensors, whole or not at all."""
    durable.write_bytes(path, safetensors.save(plain(dict(tensors))))


def _check_its_own(directory: Path) -> None:
    """Nothing is written, renamed or removed elsewhere."""
    if directory.is_symlink():
        raise RunError(f"{directory} is a link; a run holds its checkpoints itself")


def _checkpoints(directory: Path) -> list[tuple[int, Path]]:
    _check_its_own(directory)
    if directory.exists() and not directory.is_dir():
        raise RunError(f"{directory} is no directory, as that of the checkpoints is; move it away, and put the directory back")
    if not directory.is_dir():
        return []
    return [
        (int(match[1]), path)
        for path in directory.iterdir()
        if (match := _NAME.fullmatch(path.name)) and not path.is_symlink() and path.is_dir()
    ]


def _remove_older(directory: Path, step: int, keep: int) -> None:
    """Keep the newest and the best; a later step can only be left from a run that was set back to an earlier checkpoint."""
    there = [path for number, path in sorted(_checkpoints(directory)) if number <= step]
    scores = {path: score for path in there if (score := _score(path)) is not None}
    best = max(reversed(scores), key=scores.__getitem__, default=None)  # of equals the newest
    for path in there[:-keep]:
        if path == best:
            continue
        doomed = path.with_name(f".{path.name}.tmp")  # never half a checkpoint under its own name
        os.rename(path, doomed)
        shutil.rmtree(doomed)


def _score(path: Path) -> list[float] | None:
    """As it was saved with a checkpoint; None where it has none, or none that can be read."""
    try:
        score = _opened(documents.content(path / _MANIFEST, most=_LARGEST_MANIFEST), path)["meta"].get("score")
    except (RunError, OSError):
        return None
    numbers = isinstance(score, list) and len(score) == 2 and all(type(value) in (int, float) for value in score)
    return score if numbers else None


def _set_aside_if_damaged(path: Path) -> Path | None:
    """Its new place, or None where it is whole."""
    try:
        _verified(path)
    except _Damaged as error:
        number = 1
        while (place := path.with_name(f"{path.name}{f'.{number}' if number > 1 else ''}.damaged")).exists():
            number += 1
        os.rename(path, place)
        durable.sync_directory(path.parent)
        warnings.warn(f"{error}; it is kept as {place.name}", RuntimeWarning, stacklevel=3)
        return place
    return None


def _dump(document: Any) -> bytes:
    return json.dumps(document, indent=1, allow_nan=False).encode()


def _sealed(manifest: Mapping[str, Any]) -> bytes:
    """The manifest with its own sha256, in the one spelling that `_verified` accepts."""
    return _dump({**manifest, "sha256": hashlib.sha256(_dump(manifest)).hexdigest()})


def _verified(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest and the files' bytes, which are those that were written."""
    if path.is_symlink() or not path.is_dir():
        raise RunError(f"{path} is no checkpoint; a checkpoint is a directory with {_MANIFEST}, and no pickle is ever read")
    try:
        names = set(os.listdir(path))
        if names != {_TENSORS, _STATE, _MANIFEST}:
            raise _Damaged(f"{path} holds {', '.join(sorted(names)) or 'nothing'}; not {_TENSORS}, {_STATE} and {_MANIFEST}")
        if strange := [name for name in sorted(names) if not stat.S_ISREG((path / name).lstat().st_mode)]:
            raise _Damaged(f"{path / strange[0]} is no regular file")
        if (path / _MANIFEST).stat().st_size > _LARGEST_MANIFEST:
            raise _Damaged(f"{path / _MANIFEST} is larger than {_LARGEST_MANIFEST} bytes")
        manifest = _opened(documents.content(path / _MANIFEST, most=_LARGEST_MANIFEST), path)
        _check_memory(path, manifest["files"])
        files = {}
        for name, entry in manifest["files"].items():
            if (size := (path / name).stat().st_size) != entry["size"]:  # before anything of that size is allocated
                raise _Damaged(f"{path / name} has {size} bytes; {entry['size']} were written")
            files[name] = documents.content(path / name, most=size)
            if hashlib.sha256(files[name]).hexdigest() != entry["sha256"]:
                raise _Damaged(f"{path / name} is not what was written: its sha256 differs")
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error
    return manifest, files


def _opened(data: bytes, path: Path) -> dict[str, Any]:
    """The manifest in `data`, if its seal is whole and this lnas can read it."""
    try:
        manifest = parse(data)
        unsealed = {key: value for key, value in manifest.items() if key != "sha256"}
        whole = _sealed(unsealed) == data
    except (ValueError, AttributeError):
        whole = False
    if not whole:
        raise _Damaged(f"{path / _MANIFEST} is not what was written")
    if unsealed.get("schema") != SCHEMA:
        raise RunError(
            f"{path} has schema {unsealed.get('schema')!r}; this lnas reads schema {SCHEMA}; use the one that wrote it"
        )
    if not _well_formed(unsealed):
        raise _Damaged(f"{path / _MANIFEST} does not name the step, files and meta of a checkpoint")
    if f"step-{unsealed['step']:08d}" != path.name:
        raise _Damaged(f"{path} is the checkpoint of step {unsealed['step']} under another name")
    return unsealed


def _check_memory(path: Path, files: Mapping[str, Any]) -> None:
    """Refuse what cannot fit, before it is read.  A file may be larger than what it takes on the disk."""
    needed, most = sum(entry["size"] for entry in files.values()), documents.most_of_tensors()
    if needed > most:
        raise RunError(f"{path} has {needed:,} bytes; this machine has the memory to load {most:,}")


def _well_formed(manifest: Mapping[str, Any]) -> bool:
    """Anyone can seal a manifest; only what `save` writes is followed."""
    files = manifest.get("files")
    return (
        set(manifest) == {"schema", "step", "files", "meta"}
        and isinstance(manifest["step"], int)
        and isinstance(manifest["meta"], dict)
        and isinstance(files, dict)
        and set(files) == {_TENSORS, _STATE}
        and all(
            isinstance(entry, dict) and set(entry) == {"size", "sha256"} and type(entry["size"]) is int and entry["size"] >= 0
            for entry in files.values()
        )
    )
