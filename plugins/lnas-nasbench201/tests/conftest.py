from collections.abc import Callable, Sequence

import pytest
import torch
from lnas_nasbench201 import NasBench201Space
from torch import Tensor

import lnas

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")  # as the benchmark has them
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def cell() -> Callable[[str], lnas.Genotype]:
    """`cell("3 . | s 1 . p")`: the operations of the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3, by their last letter or kernel."""
    names = {".": OPERATIONS[0], "s": OPERATIONS[1], "1": OPERATIONS[2], "3": OPERATIONS[3], "p": OPERATIONS[4]}

    def made(letters: str) -> lnas.Genotype:
        return of([names[letter] for letter in letters.split()])

    return made


@pytest.fixture(name="of")
def _of() -> Callable[[Sequence[str]], lnas.Genotype]:
    return of


def of(operations: Sequence[str]) -> lnas.Genotype:
    genes = tuple(lnas.Gene(name, *edge) for name, edge in zip(operations, EDGES, strict=True))
    return lnas.Genotype({"cell": genes}, {"cell": (3,)})


@pytest.fixture
def space() -> Callable[..., NasBench201Space]:
    """A small supernet in which no buffer has its first value, and every state is positive and negative."""

    def made(dtype: torch.dtype = torch.float64, **options: object) -> NasBench201Space:
        sizes = {"channels": 3, "cells": 2, "network_channels": 3, "network_cells": 2, **options}
        supernet = NasBench201Space(lnas.Task((1, 8, 8), 4), **sizes)
        for buffer in supernet.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5)
        return supernet.to(dtype)

    return made


@pytest.fixture
def random_alpha() -> Callable[..., Tensor]:
    def made(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.randn(6, 5, generator=torch.Generator().manual_seed(seed), dtype=dtype)

    return made
