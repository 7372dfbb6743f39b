"""What is global in a process, and must be after a part's work what it was before."""

import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from lnas.testing.states import difference
from lnas.testing.suite import require


def random_state() -> dict[str, Any]:
    """The state of every global generator: torch's, numpy's and Python's."""
    state: dict[str, Any] = {"torch": torch.get_rng_state(), "python": random.getstate()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["torch on CUDA"] = torch.cuda.get_rng_state_all()
    if (numpy := sys.modules.get("numpy")) is not None:
        state["numpy"] = [part.tolist() if hasattr(part, "tolist") else part for part in numpy.random.get_state()]
    return state


ENVIRONMENT = "the environment"


def _write_environment(values: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(values)


_SETTINGS: Mapping[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, torch.set_default_device),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's deterministic algorithms": (
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
    ),
    "torch's float32 matmul precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "cudnn.benchmark": (
        lambda: torch.backends.cudnn.benchmark,
        lambda value: setattr(torch.backends.cudnn, "benchmark", value),
    ),
    "cudnn.deterministic": (
        lambda: torch.backends.cudnn.deterministic,
        lambda value: setattr(torch.backends.cudnn, "deterministic", value),
    ),
    "anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    ENVIRONMENT: (lambda: dict(os.environ), _write_environment),
    "the working directory": (os.getcwd, os.chdir),
}


@contextmanager
def put_back() -> Iterator[None]:
    """Whatever runs inside, the settings and the global generators are afterwards what they were."""
    state, settings = random_state(), _settings()
    try:
        yield
    finally:
        _restore_random(state)
        _restore_settings(settings)


@contextmanager
def same_random_state(whose: str) -> Iterator[None]:
    """What runs inside must leave every global generator where it was.

    Raises:
        Violation: naming the generator that was used; all are put back.
    """
    before = random_state()
    try:
        yield
        after = random_state()
        for name, state in before.items():
            require(
                not difference(state, after[name]),
                f"{whose} drew from the global generator of {name}, or seeded it; draw from lnas.stream(seed, name), or inside"
                " `with lnas.seeded(seed, name)`",
            )
    finally:
        _restore_random(before)


@contextmanager
def same_settings(whose: str, *, but: tuple[str, ...] = ()) -> Iterator[None]:
    """What runs inside must leave the settings of the process as they were.

    Args:
        whose: begins the message.
        but: settings that do not matter.

    Raises:
        Violation: naming the setting that was changed; all are put back.
    """
    before = _settings()
    try:
        yield
        for name, (read, _) in _SETTINGS.items():
            now = before[name] if name in but else read()
            require(now == before[name], f"{whose} changed {name}{_from_to(before[name], now)}; put back what you change")
    finally:
        _restore_settings(before)


def _settings() -> dict[str, Any]:
    return {name: read() for name, (read, _) in _SETTINGS.items()}


def _restore_settings(before: Mapping[str, Any]) -> None:
    for name, (read, write) in _SETTINGS.items():
        if read() != before[name]:
            write(before[name])


def _restore_random(before: Mapping[str, Any]) -> None:
    torch.set_rng_state(before["torch"])
    random.setstate(before["python"])
    if "torch on CUDA" in before:
        torch.cuda.set_rng_state_all(before["torch on CUDA"])
    if "numpy" in before:
        sys.modules["numpy"].random.set_state(tuple(before["numpy"]))


def _from_to(before: object, now: object) -> str:
    return "" if isinstance(before, dict) else f" from {before} to {now}"
