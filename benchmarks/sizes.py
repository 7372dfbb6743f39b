"""How large the measured networks are, and the pictures that go through them."""

from dataclasses import dataclass

import torch
from torch import Tensor

import lnas


@dataclass(frozen=True)
class Size:
    """Channels of the first cell, cells, pictures in a batch, and the side of a picture."""

    channels: int
    layers: int
    batch: int
    side: int = 32

    @property
    def task(self) -> lnas.Task:
        """Colour pictures of ten classes, as CIFAR-10."""
        return lnas.Task((3, self.side, self.side), 10)


SIZES = {"big": Size(16, 8, 64), "small": Size(8, 5, 32), "network": Size(36, 20, 64)}
"""big: DARTS' search on CIFAR-10; small: the same in a tenth of the time; network: DARTS' evaluation network, a smaller batch."""
QUICK = {"big": Size(16, 4, 8), "small": Size(8, 3, 8), "network": Size(36, 5, 8)}


def size_of(name: str, *, quick: bool) -> Size:
    """A size by name, or its stand-in: the same channels and pictures, fewer cells and a smaller batch."""
    return (QUICK if quick else SIZES)[name]


def device() -> torch.device:
    """Where everything is measured: the accelerator where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def pictures(size: Size, seed: int) -> tuple[Tensor, Tensor]:
    """A batch of noise and classes on the device: (B, 3, side, side) float32 and (B,) int64."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(size.batch, *size.task.shape, generator=draws)
    return x.to(device()), torch.randint(size.task.classes, (size.batch,), generator=draws).to(device())
