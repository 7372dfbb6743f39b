from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import lnas

torch.set_num_threads(1)

Pair = tuple[Tensor, Tensor]


@pytest.fixture
def make_space() -> Callable[..., lnas.CellSpace]:
    """`make_space(**options)`: a supernet of 3 cells with 3 nodes and 4 channels in float64."""

    def make(**options: object) -> lnas.CellSpace:
        sizes: dict[str, object] = {"channels": 4, "layers": 3, "nodes": 3, "partial": 4}
        with lnas.seeded(0, "space"):
            space = lnas.CellSpace(lnas.Task((1, 6, 6), 3), **{**sizes, "network_channels": 4, "network_layers": 3, **options})
        return space.double()

    return make


@pytest.fixture
def pairs() -> list[tuple[Pair, Pair]]:
    """Eight pairs of batches, all different."""
    generator = torch.Generator().manual_seed(1)

    def one() -> Pair:
        return torch.randn(4, 1, 6, 6, generator=generator, dtype=torch.float64), torch.randint(3, (4,), generator=generator)

    return [(one(), one()) for _ in range(8)]
