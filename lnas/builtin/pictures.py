"""Pictures with one class each, kept whole on the device as bytes and made into batches there."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lnas.builtin.augmentation import Augmentation, moved, outside_cutout
from lnas.core.data import Dataset, Split
from lnas.core.errors import DataError
from lnas.core.types import Task

Labelled: TypeAlias = tuple[Tensor, Tensor]
"""Pictures (N, C, H, W) uint8, and the class of each, (N,) int64."""


class Pictures(Dataset):
    """Pictures of one size.  A batch is `(x, y)`: (B, C, H, W) float32 and (B,) int64, both on the device.

    Everything happens on the device a batch at a time, without a synchronisation; what is random is drawn on the CPU, so
    that a batch depends on the generator and the indices alone, not on the device.

    Args:
        train: the training pictures.  Mean and deviation of `normalise` are theirs.
        test: the test pictures.
        classes: the name of each class, in the order of the labels.
        augmentation: what changes a picture.
        suggested: a fragment of configuration that suits these pictures.

    Raises:
        DataError: pictures or labels of the wrong type or shape, none, or of a class that does not exist.
        ConfigError: a crop or cutout as large as a picture.
    """

    def __init__(
        self,
        train: Labelled,
        test: Labelled,
        *,
        classes: Sequence[str],
        augmentation: Augmentation | None = None,
        suggested: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        for split, (pictures, labels) in (("train", train), ("test", test)):
            _check(split, pictures, labels, len(classes))
        if train[0].shape[1:] != test[0].shape[1:]:
            raise DataError(f"training pictures are {_size(train[0])}, test pictures {_size(test[0])}; make them one size")
        self.classes = tuple(classes)
        self.task = Task(tuple(train[0].shape[1:]), len(self.classes))
        self.suggested = suggested
        self._augmentation = augmentation or Augmentation()
        self._augmentation.fit(*self.task.shape[1:])
        self._labels = {"train": train[1].cpu(), "test": test[1].cpu()}
        self._examples = {"train": train, "test": test}
        none = torch.zeros(1, device=train[0].device), torch.full((1,), 255.0, device=train[0].device)  # 0 to 1
        self._mean, self._deviation = _statistics(train[0]) if self._augmentation.normalise else none

    def size(self, split: Split) -> int:
        """The number of pictures."""
        return len(self._labels[split])

    def labels(self, split: Split) -> Tensor:
        """(size,) int64 on the CPU."""
        return self._labels[split]

    def batch(self, split: Split, indices: Tensor, augment: torch.Generator | None) -> Labelled:
        """`(x, y)` at `indices`; cropped, mirrored and cut out where `augment` is given, as the settings say."""
        pictures, labels = self._examples[split]
        settings = self._augmentation
        height, width = pictures.shape[2:]
        if augment is None:
            at = self._sent(indices)
            return self._scaled(pictures[at]), labels[at]
        draws = settings.draw(len(indices), height, width, augment)
        at, down, right, mirrored, row, column = self._sent(torch.cat([indices[None], draws]))
        x = self._scaled(moved(pictures, at, down, right, mirrored) if settings.crop or settings.flip else pictures[at])
        if settings.cutout:
            x = x * outside_cutout(row, column, side=settings.cutout, height=height, width=width)
        return x, labels[at]

    def to(self, device: torch.device) -> None:
        """Move all pictures and labels to the device."""
        self._examples = {split: (x.to(device), y.to(device)) for split, (x, y) in self._examples.items()}
        self._mean, self._deviation = self._mean.to(device), self._deviation.to(device)

    def _scaled(self, x: Tensor) -> Tensor:
        """(B, C, H, W) uint8 to float32 as `normalise` says."""
        return x.float().sub_(self._mean).div_(self._deviation)

    def _sent(self, numbers: Tensor) -> Tensor:
        """Numbers of the CPU on the device; page-locked first, as only such a copy does not wait for the device."""
        device = self._examples["train"][0].device
        return numbers.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else numbers.to(device)


def _statistics(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation per channel, (C, 1, 1) float32 each, in 0..255; exact up to the last rounding, being counted.

    A channel of one value only has deviation 1, and is therefore 0 after normalisation.
    """
    values = torch.arange(256, dtype=torch.float64, device=pictures.device)
    counts = torch.stack([torch.bincount(channel.reshape(-1), minlength=256) for channel in pictures.unbind(1)])
    share = counts / counts.sum(1, keepdim=True, dtype=torch.float64)  # (C, 256)
    mean = (share * values).sum(1, keepdim=True)
    deviation = (share * (values - mean) ** 2).sum(1, keepdim=True).sqrt()
    deviation[(counts > 0).sum(1) == 1] = 1.0
    return mean[:, :, None].float(), deviation[:, :, None].float()


def _check(split: str, pictures: Tensor, labels: Tensor, classes: int) -> None:
    """Refuse what cannot be one split of pictures."""
    if pictures.dtype != torch.uint8 or pictures.dim() != 4:
        given = f"{str(pictures.dtype).removeprefix('torch.')} of shape {tuple(pictures.shape)}"
        raise DataError(f"the {split} pictures are {given}; they must be uint8 of shape (number, channels, height, width)")
    if labels.dtype != torch.int64 or labels.shape != pictures.shape[:1]:
        given = f"{str(labels.dtype).removeprefix('torch.')} of shape {tuple(labels.shape)}"
        raise DataError(f"the {split} labels are {given}; they must be int64 of shape ({len(pictures)},), one a picture")
    if not pictures.numel():
        raise DataError(f"the {split} pictures are {_size(pictures)}, {len(pictures)} of them; at least one is needed")
    if classes < 2:
        raise DataError(f"there must be at least two classes to tell apart, not {classes}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise DataError(f"the {split} labels go from {low} to {high}; with {classes} classes they must lie in 0..{classes - 1}")


def _size(pictures: Tensor) -> str:
    """Channels, height and width for a message: 3x32x32."""
    return "x".join(str(length) for length in pictures.shape[1:])
