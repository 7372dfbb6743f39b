"""Tiny networks in double precision, and objectives on them."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lnas

torch.set_num_threads(1)  # the bits of a convolution depend on the number of threads

MakeObjective = Callable[..., lnas.BatchLoss]


def points(*shape: int, classes: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64), torch.arange(shape[0]) % classes


def cross_entropy(network: lnas.Predict, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.cross_entropy(network(batch[0]), batch[1])


@pytest.fixture
def objective() -> MakeObjective:
    """`objective(network, shape)`: the cross entropy of 3 classes on a batch of 6 random inputs of that shape."""

    def make(network: nn.Module, shape: Sequence[int] = (5,), *, seed: int = 0) -> lnas.BatchLoss:
        return lnas.BatchLoss(network, network, points(6, *shape, seed=seed), cross_entropy)

    return make


@pytest.fixture
def network() -> nn.Module:
    """5 -> 4 -> 3 with a smooth nonlinearity, so that second derivatives are all there."""
    with lnas.seeded(0, "network"):
        return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()


@pytest.fixture
def mixture() -> lnas.ChoiceSpace:
    """A choice between four candidates with batch norm and dropout, then one between two."""
    with lnas.seeded(0, "mixture"):
        norm = nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5))
        first = {
            "linear": nn.Linear(5, 5),
            "none": nn.Identity(),
            "norm": norm,
            "tanh": nn.Sequential(nn.Linear(5, 5), nn.Tanh()),
        }
        second = {"a": nn.Linear(5, 3), "b": nn.Sequential(nn.Dropout(0.5), nn.Linear(5, 3))}
        return lnas.ChoiceSpace(nn.Sequential(lnas.MixedOp(first), nn.ReLU(), lnas.MixedOp(second)).double())
