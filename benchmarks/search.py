"""Both searches at a size, ours and the reference: each as one step that is ready to be called."""

from typing import Literal

import torch
from torch import Tensor

import lnas
from benchmarks.reference import Supernet
from benchmarks.reference_search import Search
from benchmarks.sizes import Size, device, pictures
from benchmarks.timing import Call

Unrolled = Literal["no", "exact", "finite"]
SPACING = 0.02
"""Between two ranks of alpha: more than a short search moves it by."""


def strategy(size: Size, *, steps: int = 0, unrolled: Unrolled = "no", checkpointing: bool = False) -> lnas.Darts:
    """DARTS on our supernet, whose alpha is `-SPACING * preferences(...)`: what a pruning kills is not the luck of a draw."""
    torch.manual_seed(0)
    space = lnas.CellSpace(size.task, channels=size.channels, layers=size.layers, activation_checkpointing=checkpointing)
    darts = lnas.Darts(space.to(device()), lnas.cross_entropy, steps, unrolled=unrolled)
    with torch.no_grad():
        for alpha in darts.alpha.values():
            alpha.copy_(-SPACING * preferences(*alpha.shape))
    return darts


def preferences(edges: int, operations: int) -> Tensor:
    """(edges, operations): the rank of each operation on each edge, 0 for the one that is pruned last.

    The operations after `none`, the first, are in the order of the columns, and each edge begins at the next one; `none` stands
    among them where it comes to be in each half equally often.  So with half of the paths, half of each operation is left, and
    with one path an edge, each of the seven that compute something twice on 14 edges.
    """
    ranks = torch.empty(edges, operations)
    for edge in range(edges):
        order = [1 + (edge + shift) % (operations - 1) for shift in range(operations - 1)]
        order.insert((edge % (operations - 1) + operations // 2 * (edge // (operations - 1))) % operations, 0)
        ranks[edge, order] = torch.arange(float(operations))
    return ranks


def ours(size: Size, *, sparsity: float = 0.0, unrolled: Unrolled = "no", checkpointing: bool = False) -> Call:
    """A step of our search, after pruning alpha to `sparsity`."""
    darts = strategy(size, unrolled=unrolled, checkpointing=checkpointing)
    if sparsity:
        lnas.prune(lnas.Alpha(darts), sparsity, importance=lnas.probability)
    train, val = pictures(size, 1), pictures(size, 2)
    return lambda: darts.step(train, val)


def reference(size: Size, *, unrolled: bool = False) -> Call:
    """A step of the reference."""
    torch.manual_seed(0)
    search = Search(Supernet(size.task, size.channels, size.layers).to(device()))
    train, val = pictures(size, 1), pictures(size, 2)
    return lambda: (search.unrolled_step if unrolled else search.step)(train, val)
