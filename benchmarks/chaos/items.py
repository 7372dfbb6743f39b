"""What a checkpoint holds, as a list of items that can be lost or changed one by one."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

HOUR = 3600.0
"""No run here takes one: seconds that differ by so much were not measured."""

Keys: TypeAlias = tuple[str | int, ...]


class Item(NamedTuple):
    """Leaves of a state that are of one kind."""

    name: str
    leaves: list[Keys]


def items(state: Any) -> list[Item]:
    """All that a state holds, in order."""
    found: dict[str, list[Keys]] = {}
    for keys in _leaves(state, ()):
        found.setdefault(_kind(keys), []).append(keys)
    return [Item(name, leaves) for name, leaves in found.items()]


def _leaves(value: Any, keys: Keys) -> Iterator[Keys]:
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _leaves(entry, (*keys, key))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _leaves(entry, (*keys, index))
    elif value is not None:  # what is not there yet is there at another moment
        yield keys


_ONE_KIND = (
    (r"(/(?:space|module))/.*\.(running_mean|running_var|num_batches_tracked)$", r"\1: buffers \2"),
    (r"(/(?:space|module))/[^:]*$", r"\1: theta"),
    (r"/moments/.*/(\w+)$", r"/moments/*/\1"),
    (r"/settings/\d+/(\w+)(/\d+)?$", r"/settings/\1"),
    (r"/(alpha|masks)/[^/]+$", r"/\1"),
    (r"/genotype/.*", "/genotype"),
    (r"/sparsity/.*", "/sparsity"),
    (r"/means/(\w+)/.*", r"/means/\1"),
    (r"/seconds/.*", "/seconds"),
    (r"/baseline/.*", "/baseline"),
    (r"/course/\w+/(\w+).*", r"/course/*/\1"),
)


def _kind(keys: Keys) -> str:
    name = "/".join(map(str, keys))
    for pattern, kind in _ONE_KIND:
        name = re.sub(pattern, kind, name)
    return name


def entry(state: Any, keys: Keys) -> Any:
    """One entry of a state; None where it has no such thing."""
    for key in keys:
        inside = key in state if isinstance(state, dict) else isinstance(state, list) and int(key) < len(state)
        if not inside:
            return None
        state = state[key]
    return state


def put(state: Any, keys: Keys, value: Any) -> None:
    """Set one entry."""
    for key in keys[:-1]:
        state = state[key]
    state[keys[-1]] = value


def without(value: Any, fresh: Any) -> Any:
    """`fresh`, where there is such a thing; else `value`."""
    if type(fresh) is not type(value) or getattr(fresh, "shape", None) != getattr(value, "shape", None):
        return value
    return fresh.clone() if isinstance(fresh, Tensor) else fresh


def another(value: Any, *, far: bool = False) -> Any:
    """Something else of the same kind; of seconds, more than a run may take."""
    if isinstance(value, Tensor):
        if value.dtype == torch.bool:
            return ~value
        if value.is_floating_point():
            return value.flip(-1) * 2 + 10 if value.dim() else value + 10
        return value.flip(-1) + 1 if value.dim() else value - 1
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, float) and not far and 0 <= value <= 1:
        return 1 - 0.45 * value
    return value + 2 * HOUR if isinstance(value, float) else value + 1
