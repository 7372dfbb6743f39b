"""Batches as a data set, so that a run draws them as it draws examples."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lnas.core.data import Dataset, Split
from lnas.core.types import Batch
from lnas.testing.subjects import TASK


class Recorded(Dataset):
    """Each example is a whole batch, of whatever kind; it is drawn with a batch size of 1.

    Args:
        batches: the training split; the first of them is the test split.
    """

    task = TASK
    classes = ("a batch",)

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches = batches

    def size(self, split: Split) -> int:
        """All of them, or one."""
        return len(self._batches) if split == "train" else 1

    def labels(self, split: Split) -> Tensor:
        """All the same."""
        return torch.zeros(self.size(split), dtype=torch.int64)

    def batch(self, split: Split, indices: Tensor, augment: torch.Generator | None) -> Batch:
        """The batch of that number, as it is."""
        return self._batches[int(indices[0])]

    def to(self, device: torch.device) -> None:
        """They stay on the CPU."""
