"""Weights that somebody else saved with `torch.save`, read without running what else may be in the file.

The one module of lnas that reads a pickle, and only where a user asks for it by `lnas import-weights`: torch's own reader of
weights knows tensors and plain containers, and refuses everything else before it is called.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lnas.core.errors import ConfigError, PluginError
from lnas.host import documents, foreign_archive
from lnas.host.packing import pack
from lnas.host.spec import shown

DEEPEST = 4
"""Mappings in each other in which weights are looked for."""
_CALLED = re.compile(r"GLOBAL (\S+)")
"""What a pickle would call, in the words of torch."""


def read(path: Path, *, key: str | None, prefix: str, most: int) -> dict[str, Tensor]:
    """The tensors of a `.pt` or `.pth` file by name, on the CPU.

    Args:
        path: of the file.
        key: where in it the mapping of tensors lies: "state_dict", or "ema/model" for one in another; None where it is all.
        prefix: taken off the names that begin with it.
        most: bytes that the file may have, and all tensors together.

    Returns:
        Views into the file, where it is an archive: nothing is copied yet.

    Raises:
        ConfigError: in one line, where it is too large, damaged, holds more than tensors, or holds them under another key.
            The format of torch before 1.6 has no checksums, so that a damage of its values is not noticed.
    """
    _check_file(path, most)
    records = foreign_archive.checked(path) if foreign_archive.begins(path) else None
    content = _content(path, mapped=records is not None)
    weights = _under(content, key, path) if key is not None else _top(content, path)
    tensors = _stripped(weights, prefix, path)
    for name, tensor in tensors.items():
        if unfit := _unfit(tensor):
            raise ConfigError(f"{path}: {shown(name)} is a {unfit} tensor, which a safetensors file cannot hold")
    _check_total(path, sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()), most)
    if records is not None:
        foreign_archive.check_values(path, tensors, records)
    return tensors


def _check_file(path: Path, most: int) -> None:
    try:
        size = path.stat().st_size
        regular = path.is_file()
        if regular:
            path.open("rb").close()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{shown(str(path))} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not regular:
        raise ConfigError(f"{path} is no regular file")
    if size > most:
        raise ConfigError(f"{path} has {size:,} bytes; at most {most:,} are read: see --max-size")


def _content(path: Path, *, mapped: bool) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about its own old formats
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # whatever a reader of a foreign format raises
        raise ConfigError(f"{path} {_reason(error)}") from None


def _unfit(tensor: Tensor) -> str:
    """What a tensor is that a safetensors file cannot hold; empty where it can.  Only a plain one may be asked for its values."""
    if type(tensor) not in (Tensor, nn.Parameter):
        return type(tensor).__name__
    if tensor.is_nested:
        return "nested"
    if tensor.is_quantized:
        return "quantized"
    if tensor.is_meta:
        return "meta"
    try:
        if tensor.layout == torch.strided:
            pack({"tensor": tensor})
            return ""
    except PluginError:
        pass
    return f"{str(tensor.dtype).removeprefix('torch.')} {str(tensor.layout).removeprefix('torch.')}"


def _check_total(path: Path, total: int, most: int) -> None:
    """Of all tensors: a view may claim far more than there is in the file."""
    if total > most:
        raise ConfigError(f"{path} holds tensors of {total:,} bytes; at most {most:,} are read: see --max-size")
    if total > (memory := documents.most_of_tensors()):
        raise ConfigError(
            f"{path} holds tensors of {total:,} bytes; at most {memory:,} are read on this machine, half of its memory"
        )


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "legacy .tar" in text:
        return "is in the .tar format of torch before 0.1.10, which cannot be read safely; save it again with a newer torch"
    if "Unsupported operand" in text:
        return "is a pickle, but none that torch.save wrote; nothing in it was run"
    if "Weights only load failed" in text:
        found = _CALLED.search(text)
        what = f": it would call {shown(found[1])}" if found else ""
        return f"holds more than tensors{what}; nothing in it was run: have its author save a state_dict() alone"
    return f"is no file of torch.save that can be read: {type(error).__name__}{': ' + text[:120] if text else ''}"


def _top(content: object, path: Path) -> Mapping[str, Tensor]:
    """The whole content, where it is a mapping of tensors.

    Raises:
        ConfigError: where it is not, saying under which keys there are some.
    """
    if _is_weights(content):
        return content  # type: ignore[return-value]
    found = list(_candidates(content, (), DEEPEST))
    if len(found) == 1:
        raise ConfigError(f"{path} holds its tensors under a key; add --key {found[0]}")
    if found:
        raise ConfigError(f"{path} holds tensors under several keys; choose one with --key: {', '.join(map(shown, found[:10]))}")
    if isinstance(content, Mapping) and content:
        wrong = next(((k, v) for k, v in content.items() if not isinstance(k, str) or not isinstance(v, Tensor)))
        raise ConfigError(f"{path} is no mapping of names to tensors: {shown(wrong[0])} is a {type(wrong[1]).__name__}")
    kind = "nothing" if isinstance(content, Mapping) else f"a {type(content).__name__}"
    raise ConfigError(f"{path} holds {kind}, and no tensors by name")


def _under(content: object, key: str, path: Path) -> Mapping[str, Tensor]:
    place = content
    for part in [key] if isinstance(content, Mapping) and key in content else key.split("/"):
        if not isinstance(place, Mapping) or part not in place:
            found = ", ".join(_candidates(content, (), DEEPEST)) or "none"
            raise ConfigError(f"{path} has no key {shown(key)}; keys with tensors are: {found[:300]}")
        place = place[part]
    if not _is_weights(place):
        raise ConfigError(f"{path}: what lies under {shown(key)} is no mapping of names to tensors")
    return place  # type: ignore[return-value]


def _is_weights(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(name, str) and isinstance(entry, Tensor) for name, entry in value.items())
    )


def _candidates(value: object, keys: tuple[str, ...], deeper: int) -> Iterator[str]:
    """The keys under which mappings of tensors lie."""
    if not isinstance(value, Mapping) or not deeper:
        return
    for key, entry in value.items():
        if not isinstance(key, str):
            continue
        if _is_weights(entry):
            yield "/".join((*keys, key))
        else:
            yield from _candidates(entry, (*keys, key), deeper - 1)


def _stripped(weights: Mapping[str, Tensor], prefix: str, path: Path) -> dict[str, Tensor]:
    if prefix and not any(name.startswith(prefix) for name in weights):
        raise ConfigError(f"{path} has no name that begins with {shown(prefix)}; its names begin as {shown(next(iter(weights)))}")
    tensors: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        short = name.removeprefix(prefix)
        if short in tensors:
            raise ConfigError(f"{path}: without {shown(prefix)} two tensors are called {shown(short)}")
        if not short or short == "__metadata__" or not short.isprintable():
            raise ConfigError(f"{path}: {shown(short)} is no name for a tensor in a safetensors file")
        tensors[short] = tensor
    return tensors
