"""What the rules of strategies are tried on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from lnas.builtin.classification import cross_entropy
from lnas.builtin.targets import Alpha
from lnas.core.errors import LnasError
from lnas.core.learner import SearchStrategy
from lnas.core.space import Paths, SearchSpace
from lnas.core.types import Batch, Loss, Metrics, Predict
from lnas.testing.part import PartSuite
from lnas.testing.subjects import batches, kill, moved, tiny_cells, tiny_choices

STEPS = 4
"""The length of a search on a tiny space."""

Pairs = Sequence[tuple[Batch, Batch]]


class StrategySubject(PartSuite):
    """A strategy on tiny spaces, with batches and a loss.

    Attributes:
        draws: whether the strategy draws anything from its seed.
    """

    kind = "strategy"
    draws: ClassVar[bool] = True

    def spaces(self) -> Mapping[str, Callable[[], SearchSpace]]:
        """Makers of fresh, equal spaces by name: tiny cells, and a tiny network with two choices; override it for others."""
        return {"cells": tiny_cells, "choices": tiny_choices}

    def pairs(self, count: int, name: str = "") -> Pairs:
        """`count` different pairs of a training and a validation batch; `name` is the stream that they are drawn from."""
        return list(zip(batches(count, name=f"train{name}"), batches(count, name=f"val{name}"), strict=True))

    def loss(self, network: Predict, batch: Batch) -> Tensor:
        """The loss that is searched with, for the batches of `pairs`."""
        return cross_entropy(network, batch)

    def given(self) -> tuple[Any, ...]:
        """A space, a loss, steps and a seed."""
        return next(iter(self.spaces().values()))(), self.loss, STEPS, 0

    def strategy(self, space: SearchSpace, *, steps: int = STEPS, seed: int = 0, loss: Loss | None = None) -> SearchStrategy:
        """The strategy, with the options of the suite."""
        made: SearchStrategy = self.make(space, loss or self.loss, steps, seed)
        return made

    def fresh(self) -> Iterator[tuple[str, SearchStrategy]]:
        """A fresh strategy on each of the spaces, with the name of the space."""
        for name, make in self.spaces().items():
            yield name, self.strategy(make())

    def exercise(self) -> None:
        """A search with dead paths, saved, restored, and looked at."""
        for _, strategy in self.fresh():
            first, *others = self.pairs(3)
            walk(strategy, [first])
            state = strategy.state_dict()
            die(strategy, strategy.space.required(strategy.alphas(), "edge"))
            walk(strategy, others)
            strategy.alphas()
            strategy.genotype()
            self.loss(strategy.predict, first[0])
            strategy.load_state_dict(state)


def walk(strategy: SearchStrategy, pairs: Pairs) -> list[Metrics]:
    """One step for each pair; what they reported."""
    return [strategy.step(train, val) for train, val in pairs]


def die(strategy: SearchStrategy, masks: Paths) -> Alpha:
    """Let the paths die that are not set in `masks`, as a round does; the target, to be applied after each step."""
    kill(strategy.space, masks)
    target = Alpha(strategy)
    target.apply()
    return target


def on(pairs: Pairs, *, dtype: torch.dtype | None = None, device: str | None = None) -> Pairs:
    """The same pairs in another dtype or on another device."""
    return [(moved(train, dtype=dtype, device=device), moved(val, dtype=dtype, device=device)) for train, val in pairs]


def genotype_or_none(strategy: SearchStrategy) -> Any:
    """The genotype, or None where the strategy says with an `LnasError` that it has none yet."""
    try:
        return strategy.genotype()
    except LnasError:
        return None
