"""Where and how a run computes: device, precision, random state, and the record of all three."""

import os
import platform
import random
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, TypeVar

import torch
from torch import Tensor

from lnas.core.errors import ConfigError, UnknownNameError
from lnas.core.random import derived_seed
from lnas.core.types import Batch, Predict, State
from lnas.host.fields import PRECISIONS
from lnas.host.foreign import aside
from lnas.host.launch import Place

T = TypeVar("T")


def device(name: str, place: Place | None = None) -> torch.device:
    """The device of that name: "auto" (a GPU if there is one), "cpu", "cuda" (the first) or "cuda:N".

    Args:
        name: see above.
        place: of this process among several, each of which has the GPU of its local rank.

    Raises:
        ConfigError: listing the devices there are, where it is none of them; where a process would have no GPU of its own.
    """
    there = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0))]
    if place is not None and place.size > 1:
        if name == "cpu" or (name == "auto" and len(there) == 1):
            return torch.device("cpu")
        if name not in ("auto", "cuda"):
            raise ConfigError(f"device {name!r} is one for all processes; write cuda: each takes the GPU of its LOCAL_RANK")
        if place.local_rank + 1 >= len(there):
            raise ConfigError(
                f"process {place.local_rank} of this machine has no GPU of its own: there are {len(there) - 1};"
                " start fewer (--nproc-per-node), or use --device cpu"
            )
        return torch.device("cuda", place.local_rank)
    if name == "auto":
        return torch.device(there[min(1, len(there) - 1)])
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in there:
        raise ConfigError(f"device {name!r} is not there; this machine has: auto, {', '.join(there)}")
    return torch.device(wanted)


def dtype(precision: str) -> torch.dtype:
    """What modules are cast to: float64 for "float64", else float32, of which bf16 and tf32 are ways to compute.

    Raises:
        UnknownNameError: where there is no such precision.
    """
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS)
    return torch.float64 if precision == "float64" else torch.float32


def precise(function: Callable[[Predict, Batch], T], precision: str, device: torch.device) -> Callable[[Predict, Batch], T]:
    """A loss, or a count of what is correct, that computes in `precision`.

    "bf16" runs it under autocast, "float64" casts the floating tensors of the batch (modules: see `dtype`).  On a GPU,
    "tf32" allows it and any other precision forbids it, for all of torch: torch has no narrower switch.

    Raises:
        ConfigError: for "tf32" where there is no GPU to do it, or an unknown precision.
    """
    wanted = dtype(precision)
    if precision == "tf32" and device.type != "cuda":
        raise ConfigError(f"precision tf32 needs a CUDA device, not {device.type}; use float32 or bf16")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
    if precision == "bf16":

        def in_bf16(network: Predict, batch: Batch) -> T:
            with torch.autocast(device.type, dtype=torch.bfloat16):
                return function(network, batch)

        return in_bf16
    if precision == "float64":
        return lambda network, batch: function(network, cast(batch, wanted))
    return function


def choose_algorithms(device: torch.device, *, deterministic: bool) -> None:
    """Whether a GPU computes the same bytes every time, for all of torch; on the CPU it always does.

    Deterministic, cuDNN uses no algorithm that adds in the order in which its threads come, every other operation uses its
    deterministic form, and one that has none is an error.  Else cuDNN tries out what is fastest.
    """
    if device.type != "cuda":
        return
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = not deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it is first used
    torch.use_deterministic_algorithms(deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing of lnas reads what it has not written


def repeatable(device: torch.device) -> bool:
    """Whether it was chosen that the device computes the same bytes every time."""
    return device.type != "cuda" or torch.are_deterministic_algorithms_enabled()


def cast(batch: Batch, dtype: torch.dtype) -> Batch:
    """The batch with its floating tensors in `dtype`, inside dicts, lists and tuples; anything else as it is."""
    if isinstance(batch, Tensor):
        return batch.to(dtype) if batch.is_floating_point() else batch
    if isinstance(batch, Mapping):
        return {key: cast(value, dtype) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(cast(value, dtype) for value in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(cast(value, dtype) for value in batch)
    return batch


def leave_a_core() -> None:
    """Compute on one core less than there are, unless OMP_NUM_THREADS says how many.

    torch's threads spin while they wait for each other: where another program holds one of their cores, a step of many small
    operations takes tens of times as long, while the last core gains a quarter.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) - 1) if hasattr(os, "sched_getaffinity") else 1)


def seed_globally(seed: int) -> None:
    """Seed the global generators (torch on every device, Python's, numpy's) from the stream "global" of the root seed."""
    derived = derived_seed(seed, "global")
    torch.manual_seed(derived)
    random.seed(derived)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(derived % 2**32)


def random_state() -> State:
    """The state of the global generators: torch's on the CPU, on GPUs where CUDA is in use, Python's, and numpy's if loaded."""
    version, words, gauss = random.getstate()
    state: State = {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]
        "python": {"version": version, "words": torch.tensor(words), "gauss": gauss},
    }
    if numpy := sys.modules.get("numpy"):
        _, words, position, has_gauss, gauss = numpy.random.get_state()
        state["numpy"] = {
            "words": torch.tensor(words.tolist()),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "gauss": float(gauss),
        }
    return state


def restore_random_state(state: State, place: Place | None = None) -> None:
    """Go back to what `random_state` gave; GPUs that this machine lacks are left out.

    Args:
        state: of process 0.
        place: of this process among several: all draw alike, so its own GPU goes on as that of process 0, the first.
    """
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and torch.cuda.is_available():
        for index, generator in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(generator, index)
        if place is not None and place.local_rank:
            torch.cuda.set_rng_state(state["cuda"][0], place.local_rank)
    python = state["python"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    if "numpy" in state and (numpy := sys.modules.get("numpy")):
        words = numpy.array(state["numpy"]["words"].tolist(), dtype=numpy.uint32)
        rest = (state["numpy"][key] for key in ("position", "has_gauss", "gauss"))
        numpy.random.set_state(("MT19937", words, *rest))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Run code that may draw from the global generators, and put them back."""
    state = random_state()
    try:
        yield
    finally:
        restore_random_state(state)


@contextmanager
def settled() -> Iterator[None]:
    """Run foreign code, and put back what it may have changed for the whole process: folder, gradient mode, dtype, threads."""
    place, gradients = _folder(), torch.is_grad_enabled()
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    try:
        yield
    finally:
        if place is not None and _folder() != place:
            with suppress(OSError):  # it was removed
                os.chdir(place)
        torch.set_grad_enabled(gradients)
        torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


@contextmanager
def apart() -> Iterator[None]:
    """Run foreign code that only looks on: it moves no generator, changes no setting, and prints nothing to standard output."""
    with undisturbed(), settled(), aside():
        yield


def fingerprint(device: torch.device) -> dict[str, Any]:
    """What must be the same for a resumed run to give the same bytes: lnas, torch, device, number of threads.

    So must the number of processes, the plugins and the data (`Keeper`).
    """
    return {
        "lnas": version(),
        "torch": torch.__version__,
        "device": str(device),
        "device_name": _device_name(device),
        "threads": torch.get_num_threads(),
    }


def environment(device: torch.device, *, command: Sequence[str], plugins: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    """environment.json: the versions, the machine and the command line.

    Args:
        device: where the run computes.
        command: the program and its arguments.
        plugins: name and version of each.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **fingerprint(device),
        "command": shlex.join(command),
        "plugins": [dict(plugin) for plugin in plugins],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def version() -> str:
    """Of lnas."""
    try:
        return metadata.version("lnas")
    except metadata.PackageNotFoundError:  # imported from a checkout that was not installed
        return "unknown"


def _device_name(device: torch.device) -> str:
    """A GPU's own; of a CPU, the instructions that torch chooses its kernels by, for they round differently."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
