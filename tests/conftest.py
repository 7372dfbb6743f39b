"""The tiny things that most tests share: a task, its supernet, its batches and its loss."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lnas.builtin.cells import CellSpace
from lnas.core.types import Loss, Predict, Task

torch.set_num_threads(1)  # the bits of a convolution depend on the number of threads

TASK = Task((1, 6, 6), 3)

Pair = tuple[Tensor, Tensor]
MakeSpace = Callable[..., CellSpace]
MakeBatches = Callable[..., list[tuple[Pair, Pair]]]


@pytest.fixture
def task() -> Task:
    """Grey pictures of 6x6, 3 classes."""
    return TASK


@pytest.fixture
def make_space() -> MakeSpace:
    """`make_space(seed=0, **options)`: a supernet of 3 cells with 2 nodes and 2 channels; theta is drawn from the seed."""

    def make(seed: int = 0, **options: object) -> CellSpace:
        sizes: dict[str, object] = {"channels": 2, "layers": 3, "nodes": 2, "network_channels": 2, "network_layers": 3}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return CellSpace(TASK, **{**sizes, **options})  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_batches() -> MakeBatches:
    """`make_batches(count, size=4, dtype=torch.float32)`: (train, val) pairs, all different, the same in every test."""

    def make(count: int, size: int = 4, dtype: torch.dtype = torch.float32) -> list[tuple[Pair, Pair]]:
        generator = torch.Generator().manual_seed(1234)

        def one() -> Pair:
            pictures = torch.randn(size, *TASK.shape, generator=generator, dtype=torch.float64).to(dtype)
            return pictures, torch.randint(TASK.classes, (size,), generator=generator)

        return [(one(), one()) for _ in range(count)]

    return make


@pytest.fixture
def loss() -> Loss:
    """Cross entropy of (pictures, labels)."""

    def cross_entropy(network: Predict, batch: Pair) -> Tensor:
        pictures, labels = batch
        return torch.nn.functional.cross_entropy(network(pictures), labels)

    return cross_entropy
