"""A device without values: whoever reads one there waits for the accelerator everywhere else.

Tensors on torch's meta device have a shape and a dtype and nothing more.  A step that runs there reads no value of a tensor
on its device; and copies from the CPU are looked at as they are made, since a copy that blocks waits as well.
"""

import traceback
import unittest
import unittest.mock
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lnas.testing.suite import Violation

META = "meta"
_READS = ("item()", "out of meta", "nonzero", "_unique2", "aten::equal", "meta device", "format string", "tolist")
"""What torch's messages say where a value is asked for."""


@contextmanager
def no_value_is_read(what: str, *, may_copy: bool = False) -> Iterator[None]:
    """What runs inside, on meta tensors, must not ask for a value, nor copy one from the CPU and wait until it is there.

    Args:
        what: begins the message.
        may_copy: whether it may copy, as what is done once may.

    Raises:
        Violation: with the line that waits.
        unittest.SkipTest: where an operation has no form for the meta device, so that nothing can be said.
    """
    torch_refuses = "torch.nn.utils.clip_grad._device_has_foreach_support"  # although the kernels run on meta tensors
    try:
        with unittest.mock.patch(torch_refuses, lambda device: True, create=True), nullcontext() if may_copy else _Copies():  # type: ignore[no-untyped-call]
            yield
    except _Blocks as error:
        raise Violation(
            f"{what} copies a tensor from the CPU to the device, and waits until it is there, at {_place(error)}; copy it with"
            " non_blocking=True, or keep it on the device"
        ) from error
    except (RuntimeError, NotImplementedError, TypeError) as error:
        message = " ".join(str(error).split())
        if any(words in message for words in _READS):
            raise Violation(
                f"{what} reads the value of a tensor on the device, and waits for it, at {_place(error)}; keep it a tensor:"
                " no item(), float(), bool(), tolist(), cpu() or boolean index"
            ) from error
        raise unittest.SkipTest(f"{what} cannot run on the meta device: {message[:160]}") from error


@contextmanager
def no_waiting() -> Iterator[None]:
    """What runs inside must not wait for the GPU: torch raises a `RuntimeError` where it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch calls its own mode a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


class _Blocks(Exception):
    """A copy from the CPU that waits."""


class _Copies(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Looks at every operation for a copy from the CPU to the device that blocks."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func is torch.ops.aten._to_copy.default:
            blocks = _is_on("cpu", args[0]) and str(named.get("device")) == META and not named.get("non_blocking", False)
        elif func is torch.ops.aten.copy_.default:
            blocks = _is_on(META, args[0]) and _is_on("cpu", args[1]) and not (args[2] if len(args) > 2 else False)
        elif func in (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default, torch.ops.aten.index_put.default):
            blocks = _is_on(META, args[0]) and any(_is_on("cpu", index) for index in args[1])
        else:
            blocks = False
        if blocks:
            raise _Blocks
        return func(*args, **named)


def _is_on(device: str, value: object) -> bool:
    return isinstance(value, Tensor) and value.device.type == device


def _place(error: BaseException) -> str:
    """The innermost line that is neither torch's own nor of this file."""
    own = (str(Path(torch.__file__).parent), __file__)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(own)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno} ({frames[-1].line})"
