"""What a data set must offer: a number of examples, and batches of them by index."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lnas.core.types import Batch, Task

Split: TypeAlias = Literal["train", "test"]


class Dataset(ABC):
    """Examples for training and for one final test.  The host decides which indices, the data set what a batch is.

    The validation split is held out of "train" by the host; "test" is read once, at the end.
    """

    task: Task
    classes: tuple[str, ...]
    suggested: Mapping[str, Any]
    """A fragment of configuration that suits these data, {} for none; the user's own settings win."""

    @abstractmethod
    def size(self, split: Split) -> int:
        """The number of examples."""

    @abstractmethod
    def labels(self, split: Split) -> Tensor:
        """(size,) int64 on the CPU: the class of each example, for splits that keep every class."""

    @abstractmethod
    def batch(self, split: Split, indices: Tensor, augment: torch.Generator | None) -> Batch:
        """The examples at `indices` (int64, on the CPU), on the device; augmented from the stream `augment`, or not at all."""

    @abstractmethod
    def to(self, device: torch.device) -> None:
        """Move the examples to where the training runs."""
