"""The tiny things that parts are tried on: spaces, networks, batches, gates, and ways for paths to die.

All of it is drawn from streams of the seed 0, so that every run of a suite sees the same.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from lnas.builtin.cells import CellSpace
from lnas.builtin.choices import ChoiceSpace, MixedOp
from lnas.core.genotype import Genotype
from lnas.core.random import seeded, stream
from lnas.core.space import Gates, Paths, SearchSpace, relax
from lnas.core.types import Task

TASK = Task((1, 8, 8), 3)
"""Grey pictures of 8x8, 3 classes."""
OPERATIONS = ("none", "skip_connect", "sep_conv_3x3")
SAMPLES = 4
"""How many random sets of dead paths are tried of a space."""

Batches = list[tuple[Tensor, Tensor]]


def tiny_cells(**options: object) -> CellSpace:
    """A supernet of 3 cells with 2 nodes, 2 channels and 3 candidate operations: 10 edges, 30 paths."""
    sizes: dict[str, object] = {"channels": 2, "layers": 3, "nodes": 2, "network_channels": 2, "network_layers": 3}
    with seeded(0, "cells"):
        return CellSpace(TASK, **{**sizes, "operations": OPERATIONS, **options})  # type: ignore[arg-type]


def tiny_choices() -> ChoiceSpace:
    """A convolutional network with two choices of three candidates; one of them is `none`."""
    with seeded(0, "choices"):
        first = {"wide": nn.Conv2d(2, 2, 3, padding=1), "narrow": nn.Conv2d(2, 2, 1), "none": nn.Identity()}
        second = {"keep": nn.Identity(), "mix": nn.Conv2d(2, 2, 1), "blur": nn.AvgPool2d(3, 1, 1)}
        return ChoiceSpace(
            nn.Sequential(
                nn.Conv2d(1, 2, 3, padding=1), MixedOp(first), nn.BatchNorm2d(2), nn.ReLU(),
                MixedOp(second), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(8, TASK.classes),
            )
        )  # fmt: skip


def tiny_network() -> nn.Module:
    """A convolutional network with batch norm, one hidden and one output layer; it has a `task`."""
    with seeded(0, "network"):
        network = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1),
            nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, TASK.classes),
        )  # fmt: skip
    network.task = TASK  # type: ignore[assignment]
    return network


def derived_network() -> nn.Module:
    """The network of an architecture of `tiny_cells`."""
    space = tiny_cells()
    generator = stream(0, "architecture")
    scores = {group: torch.rand(mask.shape, generator=generator) for group, mask in space.alive.items()}
    return derived(space, space.discretize(scores, "argmax"))


def derived(space: SearchSpace, genotype: Genotype, seed: int = 0) -> nn.Module:
    """The space's network of a genotype, with the theta_0 of a seed."""
    with seeded(seed, "derived"):
        return space.derive(genotype)


def batches(count: int, task: Task = TASK, *, size: int = 4, name: str = "train") -> Batches:
    """`count` different batches of pictures and classes in float32; `name` is the stream that they are drawn from."""
    generator = stream(0, f"batches/{name}")
    return [
        (torch.randn(size, *task.shape, generator=generator), torch.randint(task.classes, (size,), generator=generator))
        for _ in range(count)
    ]


def moved(batch: object, *, dtype: torch.dtype | None = None, device: str | None = None) -> object:
    """A nested batch with its floating tensors in a dtype, and all of its tensors on a device."""
    if isinstance(batch, Tensor):
        return batch.to(device=device, dtype=dtype if batch.is_floating_point() else None)
    if isinstance(batch, Mapping):
        return {key: moved(value, dtype=dtype, device=device) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        return type(batch)(moved(value, dtype=dtype, device=device) for value in batch)
    return batch


def scores_of(space: SearchSpace, seed: int = 0, *, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """group -> (edges, operations): random scores without ties, in (0, 1)."""
    generator = stream(seed, "scores")
    ranks = {group: torch.randperm(mask.numel(), generator=generator).view(mask.shape) for group, mask in space.alive.items()}
    return {group: ((rank + 1) / (rank.numel() + 1)).to(dtype) for group, rank in ranks.items()}


def gates_of(space: SearchSpace, seed: int = 0, *, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Softmax of random scores over the live paths of each edge: leaves on the space's device."""
    like = next(space.parameters(), torch.zeros(()))
    gates = {g: relax(3 * score, space.alive[g]) for g, score in scores_of(space, seed, dtype=dtype).items()}
    return {group: gate.to(like.device).requires_grad_() for group, gate in gates.items()}


def plain_gates(gates: Gates) -> dict[str, Tensor]:
    """The same values without a graph."""
    return {group: gate.detach() for group, gate in gates.items()}


def kill(space: SearchSpace, masks: Paths) -> None:
    """Clear the bits of `alive` that are not set in `masks`, in place, as `prune` does."""
    for group, alive in space.alive.items():
        alive.logical_and_(masks[group])


def deaths(space: SearchSpace, seed: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Ways for paths to die that leave every node an input, each with its name; `space` stays as it is.

    Every subset of the last edge of each group; all but the required paths of every edge, and of every node; random sets.
    """
    full = {group: torch.ones_like(alive) for group, alive in space.alive.items()}
    yield "nothing is dead", full
    for number in range(1, 2 ** max(alive.shape[1] for alive in full.values())):
        masks = {group: _without(alive, number) for group, alive in full.items()}
        kept = [f"{_kept(space, group, mask)} on edge {space.edges[group][-1]} of {group}" for group, mask in masks.items()]
        if leaves_inputs(space, masks):
            yield f"there is {' and '.join(kept)}", masks
    for per in ("edge", "node"):
        spared = space.required(scores_of(space, seed), per)
        yield f"all but the required paths of every {per} are dead", {group: mask.clone() for group, mask in spared.items()}
    generator = stream(seed, "deaths")
    for number in range(SAMPLES):
        drawn = {g: torch.rand(a.shape, generator=generator) < (number + 1) / (SAMPLES + 1) for g, a in full.items()}
        spared = space.required(scores_of(space, seed + number))
        yield f"random set {number} of paths is dead", {group: mask | spared[group] for group, mask in drawn.items()}


def _without(alive: Tensor, number: int) -> Tensor:
    """All paths but those of the last edge whose bit is set in `number`."""
    bits = torch.tensor([number >> column & 1 for column in range(alive.shape[1])], dtype=torch.bool)
    mask = torch.ones_like(alive)
    mask[-1] = ~bits
    return mask


def _kept(space: SearchSpace, group: str, mask: Tensor) -> str:
    names = [name for name, lives in zip(space.operations[group], mask[-1].tolist(), strict=True) if lives]
    return ", ".join(names) or "nothing"


def leaves_inputs(space: SearchSpace, masks: Paths) -> bool:
    """Whether every node would keep a path that computes something, going by the space's own `required`."""
    before = {group: alive.clone() for group, alive in space.alive.items()}
    try:
        for group, alive in space.alive.items():
            alive.copy_(masks[group])
        spared = space.required(scores_of(space))
    finally:
        for group, alive in space.alive.items():
            alive.copy_(before[group])
    nodes = {group: {node for _, node in edges} for group, edges in space.edges.items()}
    fed = {
        group: {node for (_, node), row in zip(space.edges[group], spared[group].tolist(), strict=True) if any(row)}
        for group in nodes
    }
    return nodes == fed
