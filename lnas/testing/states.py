"""Saved states, compared bit by bit and looked through for what no checkpoint can hold."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def difference(one: object, other: object, where: str = "state") -> str:
    """Where two nested states first differ, in words; "" where all bits are equal.

    A tensor differs in its dtype, its shape or a bit: two NaNs of the same bits are equal, 0 and -0 are not.
    """
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return _of_tensors(one.detach().cpu(), other.detach().cpu(), where)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return f"{where} has the keys {_names(one)} in one and {_names(other)} in the other"
        return next((found for key in one if (found := difference(one[key], other[key], f"{where}[{key!r}]"))), "")
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return f"{where} has {len(one)} entries in one and {len(other)} in the other"
        pairs = enumerate(zip(one, other, strict=True))
        return next((found for i, (a, b) in pairs if (found := difference(a, b, f"{where}[{i}]"))), "")
    if type(one) is not type(other) or not (one == other or (one != one and other != other)):
        return f"{where} is {_short(one)} in one and {_short(other)} in the other"
    return ""


def not_plain(state: object, where: str = "state") -> str:
    """The first value that is no tensor, number, text, boolean or None, nor a list or a dictionary of them by text; else ""."""
    if isinstance(state, Tensor):
        return "" if type(state) is Tensor else f"{where} is a {type(state).__name__}, not a plain tensor; detach it"
    if state is None or type(state) in (bool, int, float, str):
        return ""
    if type(state) is list:
        return next((found for i, value in enumerate(state) if (found := not_plain(value, f"{where}[{i}]"))), "")
    if isinstance(state, dict):
        if wrong := next((key for key in state if type(key) is not str), None):
            return f"{where} has the key {wrong!r}, a {type(wrong).__name__}; keys are text"
        return next((found for key, value in state.items() if (found := not_plain(value, f"{where}[{key!r}]"))), "")
    return f"{where} is a {type(state).__name__}"


def copied(state: Any) -> Any:
    """The same nested state with tensors of its own, detached."""
    if isinstance(state, Tensor):
        return state.detach().clone()
    if isinstance(state, Mapping):
        return {key: copied(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [copied(value) for value in state]
    return state


def _of_tensors(one: Tensor, other: Tensor, where: str) -> str:
    if one.dtype != other.dtype or one.shape != other.shape:
        return f"{where} is {one.dtype} {tuple(one.shape)} in one and {other.dtype} {tuple(other.shape)} in the other"
    if torch.equal(_bits(one), _bits(other)):
        return ""
    count = int((one != other).sum())
    return f"{where} differs in {count} of {one.numel()} entries{_farthest(one, other)}"


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _farthest(one: Tensor, other: Tensor) -> str:
    if not one.is_floating_point():
        return ""
    return f", by up to {float((one - other).abs().max()):.3g}"


def _names(state: Mapping[Any, object]) -> str:
    return ", ".join(map(str, state)) or "none"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
