"""The pieces of work that engines are tried on: targets of `Work`, called wherever the engine has its workers."""

import fcntl
import hashlib
import os
import signal
import threading
import time
from pathlib import Path

from lnas.core.executor import Outcome, OutcomeState

GLANCE = 0.01
"""Seconds between two looks at a file."""


def add(left: int, right: int) -> Outcome:
    """Their sum."""
    return Outcome("done", figures={"sum": left + right})


def answer(state: OutcomeState, reason: str, number: float, text: str) -> Outcome:
    """An outcome of that state and reason, with one figure of each type."""
    return Outcome(state, reason, {"number": number, "text": text, "whole": 2**60, "flag": True, "nothing": None})


def received(text: str, whole: int, real: float, flag: bool, nothing: None, words: tuple[str, ...]) -> Outcome:
    """Each argument as Python writes it, with its type."""
    given = {"text": text, "whole": whole, "real": real, "flag": flag, "nothing": nothing, "words": words}
    return Outcome("done", figures={name: f"{type(value).__name__} {value!r}" for name, value in given.items()})


def fail(words: str) -> Outcome:
    """Raises a ValueError."""
    raise ValueError(words)


def forget() -> None:
    """Returns no outcome."""


def compute(steps: int) -> Outcome:
    """Train a tiny network.

    The figures are a digest of its weights, the number of threads of torch, and whether this is the main thread.
    """
    import torch
    from torch import nn

    from lnas.core.random import seeded, stream

    with seeded(0, "network"):
        network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(2048, 10))
    generator = stream(0, "batches")
    for _ in range(steps):
        x, y = torch.randn(16, 3, 16, 16, generator=generator), torch.randint(10, (16,), generator=generator)
        parameters = list(network.parameters())
        gradients = torch.autograd.grad(nn.functional.cross_entropy(network(x), y), parameters)
        with torch.no_grad():  # the first optimizer of a process imports a compiler, which takes seconds
            for weight, gradient in zip(parameters, gradients, strict=True):
                weight.sub_(gradient, alpha=0.1)
    bits = b"".join(bytes(weight.detach().numpy().data) for weight in network.state_dict().values())
    main = threading.current_thread() is threading.main_thread()
    digest = hashlib.sha256(bits).hexdigest()
    return Outcome("done", figures={"digest": digest, "threads": torch.get_num_threads(), "main": main})


def meet(folder: str, name: str, number: int, limit: float) -> Outcome:
    """Put a file into a folder, and wait there for others until there are so many; the figure is how many there were."""
    Path(folder, name).touch()
    until = time.monotonic() + limit
    while (met := len(os.listdir(folder))) < number and time.monotonic() < until:
        time.sleep(GLANCE)
    return Outcome("done", figures={"met": met})


def wait(path: str, limit: float) -> Outcome:
    """Wait for a file; the figure says whether it came."""
    until = time.monotonic() + limit
    while not os.path.exists(path) and time.monotonic() < until:
        time.sleep(GLANCE)
    return Outcome("done", figures={"came": os.path.exists(path)})


def die(path: str) -> Outcome:
    """Add a line to a file, and be killed, as one is that is out of memory."""
    with open(path, "a", encoding="utf-8") as file:
        file.write("here\n")
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # the signal may take a moment
    return Outcome("done", "it was not killed")


def stay(path: str, limit: float) -> Outcome:
    """Hold a lock on a file until somebody ends this process; the file has a byte in it once the lock is held."""
    with open(path, "wb", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(b"1")
        time.sleep(limit)
    return Outcome("done", "nobody ended it")
