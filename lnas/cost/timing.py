"""Latency: what a forward pass takes on this machine, now."""

import statistics
import time

import torch
from torch import nn

from lnas.core.errors import ConfigError
from lnas.cost.figures import Latency
from lnas.cost.forward import Shape, answer, evaluation, zeros


def latency(
    network: nn.Module,
    shape: Shape,
    *,
    device: torch.device | str | None = None,
    batch: int = 1,
    repeats: int = 20,
    warmup: int = 5,
) -> Latency:
    """Measure the median time of a forward pass in evaluation mode, on one batch of noise.

    Args:
        network: runs with the number of threads and the settings that torch has now.
        shape: of one input, without the batch, or the task.
        device: where to measure; the network goes there and comes back.  Unless given, where the network is.
        batch: inputs at once, at least 1.
        repeats: passes that are timed, at least 1.
        warmup: passes before them that are not.

    Raises:
        ConfigError: where a number is too small or the device is not there.
    """
    for name, value, least in (("batch", batch, 1), ("repeats", repeats, 1), ("warmup", warmup, 0)):
        if value < least:
            raise ConfigError(f"{name} must be at least {least}, not {value}")
    home = zeros(network, shape).device
    there = _available(home if device is None else device)
    seconds = []
    try:
        network.to(there)
        with evaluation(network):
            x = zeros(network, shape, batch)
            x = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).to(x)
            for _ in range(warmup + repeats):
                _wait(there)
                start = time.perf_counter()
                answer(network, x)
                _wait(there)
                seconds.append(time.perf_counter() - start)
    finally:
        network.to(home)
    return Latency(1000 * statistics.median(seconds[warmup:]), str(there), torch.get_num_threads(), batch, repeats)


def _available(device: torch.device | str) -> torch.device:
    """The device, with its index.  A network that went to the meta device would lose its weights."""
    try:
        found = torch.zeros(1, device=device).device
    except (RuntimeError, AssertionError) as error:  # torch raises either, after the device
        raise ConfigError(f"there is no device {str(device)!r} here: {str(error).splitlines()[0]}") from error
    if found.type == "meta":
        raise ConfigError("nothing runs on the meta device; measure on cpu or an accelerator")
    return found


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
