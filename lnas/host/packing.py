"""A state as one flat table of tensors and one JSON document, and back; nothing in either can become code.

In the document a tensor stands as {"$tensor": "/path/of/keys"} and a float that is not finite as {"$float": "nan"}; a
key of the state that begins with "$" is written with one "$" more.  The path joins the percent-escaped keys, so that
"a/b" and "a" -> "b" differ, and begins with "/", so that no key of the state is a key that safetensors keeps for itself.
"""

import json
import math
from typing import Any, TypeAlias
from urllib.parse import quote

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from lnas.core.document import DEEPEST, MOST_DIGITS, parse
from lnas.core.errors import PluginError, RunError
from lnas.core.types import State
from lnas.host.spec import shown

Json: TypeAlias = Any
"""What `json.dumps(..., allow_nan=False)` takes."""

MOST_BYTES = 256_000_000
"""Of the document; a larger one is neither written nor read."""
MOST_VALUES = 10_000_000
"""In the document."""

_STORED = (
    *(torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.complex64),
)


def pack(state: State) -> tuple[dict[str, Tensor], Json]:
    """The tensors of a state by path, live and where they are, and the rest.

    Raises:
        PluginError: naming the entry that is none of a tensor, dict with text keys, list, number, text, bool or None.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, _pack(state, "", tensors, DEEPEST - 1)  # a tensor is an object of its own


def unpack(tensors: dict[str, Tensor], document: Json) -> State:
    """The state of which `pack` made the two.

    Raises:
        RunError: where they do not belong together.
    """
    left = dict(tensors)
    state = _unpack(document, left)
    if left:
        raise RunError(f"the checkpoint has a tensor {shown(min(left))} that its state does not name")
    if not isinstance(state, dict):
        raise RunError("the state of a checkpoint is a JSON object")
    return state


def written(document: Json) -> bytes:
    """The document of `pack` as JSON.

    Raises:
        PluginError: where it is larger than what `read` reads.
    """
    data = json.dumps(document, allow_nan=False).encode()
    if len(data) > MOST_BYTES or sum(map(data.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise PluginError(
            f"the state has {len(data):,} bytes beside its tensors; at most {MOST_BYTES:,} and {MOST_VALUES:,} values are kept:"
            " put numbers into tensors"
        )
    return data


def read(data: bytes) -> Json:
    """What `written` wrote.

    Raises:
        ValueError: in one line, where it did not.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES:,} bytes")
    return parse(data, most_values=MOST_VALUES)


def tensors_of(data: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        ValueError: in one line, where it is none, or holds a dtype or a shape that torch does not know.
    """
    try:
        return dict(safetensors.load(data))
    except (SafetensorError, KeyError, TypeError, RuntimeError, OverflowError) as error:  # a shape of 2**64 is a TypeError
        raise ValueError(f"no file of tensors: {' '.join(str(error).split())[:200]}") from error


def plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same values on the CPU, contiguous, and with storage of their own, as safetensors needs them."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        storage = value.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() != value.numel() * value.element_size():
            value = value.clone()
        seen.add(value.untyped_storage().data_ptr())
        result[name] = value
    return result


def _pack(value: Any, path: str, tensors: dict[str, Tensor], deeper: int) -> Json:
    """`deeper`: how many dicts and lists may still lie in each other."""
    if isinstance(value, Tensor):
        if value.dtype not in _STORED or value.layout != torch.strided or value.is_meta:
            raise PluginError(f"the state at {path} is a {value.dtype} {value.layout} tensor, which a checkpoint cannot hold")
        tensors[path] = value
        return {"$tensor": path}
    if isinstance(value, dict | list) and not deeper:
        raise PluginError(f"the state at {path[:200]} is nested deeper than {DEEPEST - 1} dicts and lists, the most that is kept")
    if isinstance(value, dict):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise PluginError(f"the state at {path or '/'} has the key {shown(wrong[0])}; keys of a state are texts")
        return {_escaped(key): _pack(entry, f"{path}/{_segment(key)}", tensors, deeper - 1) for key, entry in value.items()}
    if isinstance(value, list):
        return [_pack(entry, f"{path}/{index}", tensors, deeper - 1) for index, entry in enumerate(value)]
    if isinstance(value, int) and not abs(value) < 10 ** (MOST_DIGITS - 1):
        raise PluginError(f"the state at {path or '/'} is a whole number of more than {MOST_DIGITS - 1} digits")
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(float(value))}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise PluginError(
        f"the state at {path or '/'} is a {type(value).__name__};"
        " a state is made of tensors, dicts, lists, numbers, texts, booleans and None"
    )


def _unpack(value: Json, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpack(entry, tensors) for entry in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(key, entry)] = value.items()
        if key == "$float" and entry in ("nan", "inf", "-inf"):
            return float(entry)
        if key == "$tensor":
            if not isinstance(entry, str) or entry not in tensors:
                raise RunError(f"the checkpoint lacks the tensor {shown(entry)}")
            return tensors.pop(entry)
    if wrong := [key for key in value if key.startswith("$") and not key.startswith("$$")]:
        raise RunError(f"the checkpoint's state has an entry {shown(wrong[0])} that means nothing")
    return {key[1:] if key.startswith("$$") else key: _unpack(entry, tensors) for key, entry in value.items()}


def _escaped(key: str) -> str:
    return f"${key}" if key.startswith("$") else key


def _segment(key: str) -> str:
    # lone surrogates pass as well: a key may be any text that Python can hold
    return quote(key, safe=" .:[]()", errors="surrogatepass")
