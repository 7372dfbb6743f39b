from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import lnas

torch.set_num_threads(1)  # the bits of a convolution depend on the number of threads

TASK = lnas.Task((1, 6, 6), 3)

Pair = tuple[Tensor, Tensor]


class Slope(nn.Module):
    """x -> constant * weight * x, elementwise: a candidate whose effect one can write down."""

    def __init__(self, constant: float) -> None:
        super().__init__()
        self.constant = constant
        self.weight = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.constant * self.weight * x


@pytest.fixture
def cells() -> Callable[..., lnas.CellSpace]:
    """`cells(seed=0, **options)`: a supernet of 3 cells with 2 nodes and 2 channels, in float64."""

    def make(seed: int = 0, **options: object) -> lnas.CellSpace:
        sizes: dict[str, object] = {"channels": 2, "layers": 3, "nodes": 2, "network_channels": 2, "network_layers": 2}
        with lnas.seeded(seed, "space"):
            return lnas.CellSpace(TASK, **{**sizes, **options}).double()

    return make


@pytest.fixture
def choice() -> Callable[..., lnas.ChoiceSpace]:
    """`choice(*constants)`: one edge, whose candidate number k multiplies its input by its constant."""

    def make(*constants: float) -> lnas.ChoiceSpace:
        return lnas.ChoiceSpace(lnas.MixedOp({f"x{k}": Slope(constant) for k, constant in enumerate(constants)}))

    return make


@pytest.fixture
def batches() -> Callable[[int], list[tuple[Pair, Pair]]]:
    """`batches(count)`: (train, val) pairs of 4 pictures in float64, all different."""

    def make(count: int) -> list[tuple[Pair, Pair]]:
        generator = lnas.stream(0, "batches")

        def one() -> Pair:
            pictures = torch.randn(4, *TASK.shape, generator=generator, dtype=torch.float64)
            return pictures, torch.randint(TASK.classes, (4,), generator=generator)

        return [(one(), one()) for _ in range(count)]

    return make
