"""What the rules of search spaces are tried on."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lnas.core.genotype import Genotype
from lnas.core.random import seeded, stream
from lnas.core.space import Gates, Paths, SearchSpace
from lnas.core.types import Task
from lnas.testing.part import PartSuite
from lnas.testing.subjects import TASK, deaths, derived, gates_of, kill, scores_of

SOME = 5
"""Of how many ways to die the costly rules look at."""


class SpaceSubject(PartSuite):
    """A space for a tiny task.

    Attributes:
        task: the shape of one input and the number of classes.
    """

    kind = "space"
    task: ClassVar[Task] = TASK

    def given(self) -> tuple[Any, ...]:
        """The task; a space that is made of something else overrides this."""
        return (self.task,)

    def space(self, seed: int = 0) -> SearchSpace:
        """A fresh space, with theta drawn from a seed, in training mode."""
        with seeded(seed, "space"):
            made: SearchSpace = self.make(*self.given())
            return made

    def inputs(self, count: int = 3, *, seed: int = 0) -> Tensor:
        """`count` inputs of the task, (count, *shape)."""
        return torch.randn(count, *self.task.shape, generator=stream(seed, "inputs"))

    def some_deaths(self) -> list[tuple[str, dict[str, Tensor]]]:
        """The required paths of every edge and node, and random sets."""
        return list(deaths(self.space()))[-SOME:]

    def dying(self) -> Iterator[tuple[str, SearchSpace, dict[str, Tensor]]]:
        """What is dead, a fresh space where that is so, and the masks; nothing is released yet."""
        for what, masks in list(deaths(self.space())):
            space = self.space()
            kill(space, masks)
            yield what, space, masks

    def exercise(self) -> None:
        """Forward and backward, deaths, choices, derived networks, saving and loading."""
        space, x = self.space(), self.inputs()
        state = {key: value.clone() for key, value in space.state_dict().items()}
        space(x, gates_of(space)).sum().backward()
        genotype = space.discretize(scores_of(space))
        space.paths(genotype)
        derived(space, genotype).eval()(x)
        kill(space, space.required(scores_of(space), "edge"))
        space.release()
        space.load_live(state)
        space.eval()(x, gates_of(space), space.required(scores_of(space)))


def output(space: SearchSpace, x: Tensor, gates: Gates, paths: Paths | None = None, *, training: bool = False) -> Tensor:
    """What a space computes in a mode, without a graph."""
    space.train(training)
    with torch.no_grad():
        result: Tensor = space(x, gates) if paths is None else space(x, gates, paths)
    return result


def genes_of(genotype: Genotype) -> dict[str, set[tuple[str, int, int]]]:
    """group -> (operation, source, node) of every gene, whatever its weight."""
    return {group: {(gene.operation, gene.source, gene.node) for gene in genes} for group, genes in genotype.groups.items()}


def named_paths(space: SearchSpace, paths: Paths) -> dict[str, set[tuple[str, int, int]]]:
    """group -> (operation, source, node) of every path that is set, by the names of the space."""
    return {
        group: {(space.operations[group][column], *space.edges[group][row]) for row, column in mask.nonzero().tolist()}
        for group, mask in paths.items()
    }


def learned(module: nn.Module) -> Mapping[str, Tensor]:
    """Parameters and buffers by name, the live ones."""
    return module.state_dict(keep_vars=True)
