"""Pictures of 6x6 for runs of a second.  This file is a plugin: `lnas run --plugin benchmarks/chaos/dots.py --data dots`."""

import random
from collections.abc import Mapping
from typing import Any

import numpy
import torch
from torch import Tensor

import lnas

LIGHT = 60
"""How much brighter the square of a class is than that of the class before."""
TRAIN, TEST = 60, 15


class Dots(lnas.Dataset):
    """A dark, a grey or a bright square in noise.

    Training batches are noisy in a way that a data set of others may be: from the global generators of torch, Python and numpy,
    so that a run depends on all of them.
    """

    classes = ("dark", "grey", "bright")
    suggested: Mapping[str, Any] = {}

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        labels = torch.arange(TRAIN + TEST) % 3
        pictures = torch.randint(0, 80, (TRAIN + TEST, 1, 6, 6), generator=generator)
        pictures[:, :, 2:5, 2:5] += LIGHT * labels.view(-1, 1, 1, 1)
        pictures = pictures.to(torch.uint8)
        self._pictures = lnas.Pictures(
            (pictures[:TRAIN], labels[:TRAIN]),
            (pictures[TRAIN:], labels[TRAIN:]),
            classes=self.classes,
            augmentation=lnas.Augmentation(crop=1, flip=True, cutout=0, normalise=True),
        )
        self.task = self._pictures.task

    def size(self, split: Any) -> int:
        return self._pictures.size(split)

    def labels(self, split: Any) -> Tensor:
        return self._pictures.labels(split)

    def batch(self, split: Any, indices: Tensor, augment: torch.Generator | None) -> Any:
        x, y = self._pictures.batch(split, indices, augment)
        if augment is not None:
            x = x + 0.1 * torch.randn_like(x) + 0.1 * random.gauss() + 0.1 * numpy.random.normal()
        return x, y

    def to(self, device: torch.device) -> None:
        self._pictures.to(device)


@lnas.hookimpl
def lnas_datasets(register: lnas.Register) -> None:
    register("dots", f"{__name__}:Dots", summary="75 squares of 3 shades, 1x6x6")
