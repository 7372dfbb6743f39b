"""What the rules of mask targets are tried on."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lnas.builtin.classification import cross_entropy
from lnas.builtin.darts import Darts
from lnas.builtin.weights import WeightTraining
from lnas.core.errors import SparsityError
from lnas.core.learner import Learner
from lnas.core.mask import MaskTarget, Tensors, check_feasible, prune
from lnas.core.random import stream
from lnas.core.types import Batch, Predict
from lnas.testing.part import PartSuite
from lnas.testing.states import copied
from lnas.testing.subjects import batches, derived_network, tiny_cells, tiny_choices, tiny_network

LEVELS = (0.25, 0.5, 0.75)
"""Sparsities that a target is pruned to, one after the other; those that it refuses are left out."""


class TargetSubject(PartSuite):
    """A target of a learner: of a strategy where its stage is "search", of the training of a network where it is "train"."""

    kind = "target"

    def modules(self) -> Mapping[str, Callable[[], nn.Module]]:
        """Makers of fresh, equal modules by name: search spaces for the stage "search", networks for "train"."""
        if self.searches():
            return {"cells": tiny_cells, "choices": tiny_choices}
        return {"a network of cells": derived_network, "a network of layers": tiny_network}

    def loss(self, network: Predict, batch: Batch) -> Tensor:
        """The loss that is learned with."""
        return cross_entropy(network, batch)

    def pairs(self, count: int) -> list[tuple[Batch, Batch]]:
        """`count` different pairs of a training and a validation batch."""
        return list(zip(batches(count), batches(count, name="val"), strict=True))

    def learner(self, module: nn.Module) -> Learner:
        """What learns with that module: its optimizers have moments from the first step on."""
        if self.searches():
            return Darts(module, self.loss)  # type: ignore[arg-type]
        return WeightTraining(module, self.loss)

    def target(self, learner: Learner) -> MaskTarget:
        """The target of that learner, with the options of the suite."""
        subject = (learner,) if self.searches() else (learner.module, learner.optimizers)
        made: MaskTarget = self.make(*subject)
        return made

    def given(self) -> tuple[Any, ...]:
        """The strategy; or the network and the optimizers."""
        learner = self.learner(next(iter(self.modules().values()))())
        return (learner,) if self.searches() else (learner.module, learner.optimizers)

    def searches(self) -> bool:
        """Whether the subject is a strategy."""
        return getattr(self.loaded(), "stage", None) == "search"

    def fresh(self, steps: int = 1) -> Iterator[tuple[str, Learner, MaskTarget]]:
        """The name of each module, a fresh learner of it, and its target, after some steps."""
        for name, make in self.modules().items():
            learner = self.learner(make())
            target = self.target(learner)
            for train, val in self.pairs(steps):
                learner.step(train, val)
                target.apply()
            yield name, learner, target

    def exercise(self) -> None:
        """Prune, step, apply, compact."""
        for _, learner, target in self.fresh():
            for _ in pruned(target):
                target.required(scores_of(target))
                learner.step(*self.pairs(1)[0])
                target.apply()
            if not self.searches():
                target.compact(learner.module)


def scores_of(target: MaskTarget, seed: int = 0) -> dict[str, Tensor]:
    """Random scores without ties, of the shapes of the target's tensors, on the CPU."""
    generator = stream(seed, "scores of a target")
    total = sum(tensor.numel() for tensor in target.tensors().values())
    ranks = torch.randperm(total, generator=generator).double()
    parts = torch.split(ranks, [tensor.numel() for tensor in target.tensors().values()])
    return {name: part.view(tensor.shape) for (name, tensor), part in zip(target.tensors().items(), parts, strict=True)}


def by_scores(seed: int = 0) -> Callable[[Tensors, Tensors, object], Tensors]:
    """An importance that is random and without ties, and the same for equal names and shapes."""

    def importance(tensors: Tensors, masks: Tensors, loss: object) -> Tensors:
        return {
            name: torch.randperm(tensor.numel(), generator=stream(seed, f"importance/{name}")).double().view(tensor.shape)
            for name, tensor in tensors.items()
        }

    return importance


def equal_scores(tensors: Tensors, masks: Tensors, loss: object) -> Tensors:
    """An importance to which everything is equal."""
    return {name: torch.zeros(tensor.shape) for name, tensor in tensors.items()}


def pruned(target: MaskTarget, seed: int = 0) -> Iterator[tuple[float, list[float]]]:
    """Prune to each of `LEVELS` that is feasible; yields the sparsity, after it was reached, and those before it."""
    earlier: list[float] = []
    for sparsity in LEVELS:
        if feasible(target, sparsity, earlier):
            prune(target, sparsity, importance=by_scores(seed), earlier=earlier)
            yield sparsity, list(earlier)
            earlier.append(sparsity)


def feasible(target: MaskTarget, sparsity: float, earlier: list[float]) -> bool:
    """Whether `prune` would do it."""
    try:
        check_feasible(target, sparsity, earlier=earlier)
    except SparsityError:
        return False
    return True


def everything(learner: Learner, target: MaskTarget) -> dict[str, Any]:
    """A copy of the learner's state, the masks and what they are for."""
    return copied({"learner": learner.state_dict(), "masks": dict(target.masks()), "tensors": dict(target.tensors())})  # type: ignore[no-any-return]
