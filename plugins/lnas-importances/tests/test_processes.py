"""Two learners that average as two processes would, in two threads, score as one on both batches."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier
from typing import Any

import pytest
import torch
from lnas_importances import grasp, perturbation, snip, synflow, taylor
from torch import Tensor, nn

import lnas

Pair = tuple[Tensor, Tensor]


@dataclass
class Two:
    """Where two threads leave their tensors for each other."""

    barrier: Barrier = field(default_factory=lambda: Barrier(2, timeout=20))
    left: dict[int, Sequence[Tensor]] = field(default_factory=dict)

    def mean(self, rank: int, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        self.left[rank] = [tensor.detach() for tensor in tensors]
        self.barrier.wait()
        means = tuple((a + b) / 2 for a, b in zip(self.left[0], self.left[1], strict=True))
        self.barrier.wait()
        return means


class Mean(torch.autograd.Function):
    """The mean over both, which is its own adjoint: what a learner's `average` is where several processes learn together."""

    @staticmethod
    def forward(ctx: Any, two: Two, rank: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.two, ctx.rank = two, rank
        return two.mean(rank, tensors)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *Mean.apply(ctx.two, ctx.rank, *slopes)


def retraining() -> lnas.Learner:
    with lnas.seeded(0, "processes"):
        return lnas.WeightTraining(nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double(), lnas.cross_entropy)


def searching() -> lnas.Learner:
    with lnas.seeded(0, "processes"):
        first = {"a": nn.Linear(5, 5), "b": nn.Sequential(nn.Linear(5, 5), nn.Tanh()), "c": nn.Identity()}
        model = nn.Sequential(lnas.MixedOp(first), lnas.MixedOp({"a": nn.Linear(5, 3), "b": nn.Linear(5, 3)})).double()
    return lnas.Darts(lnas.ChoiceSpace(model), lnas.cross_entropy)


def pruned(learner: lnas.Learner, importance: lnas.Importance, batch: Pair) -> tuple[lnas.Tensors, dict[str, Tensor]]:
    """Scores, and masks after two rounds before the first step."""
    scores: dict[str, Tensor] = {}

    def noted(tensors: lnas.Tensors, masks: lnas.Tensors, loss: lnas.Objective) -> lnas.Tensors:
        found = importance(tensors, masks, loss)
        scores.update({f"{name} {len(scores)}": score for name, score in found.items()})
        return found

    def make(learner: lnas.Learner) -> lnas.MaskTarget:
        return lnas.Alpha(learner) if isinstance(learner, lnas.SearchStrategy) else lnas.Theta.of(learner)

    target = make(learner)
    rounds = lnas.Rounds(learner, target, lnas.Pruning(make, lnas.Iterative(0.5, rounds=2), noted), k=0, finish=1)
    rounds.step(batch, batch)
    return scores, dict(target.masks())


@pytest.mark.parametrize(
    ("importance", "make"),
    [(snip, retraining), (taylor, retraining), (grasp, retraining), (synflow, retraining), (perturbation, searching)],
    ids=lambda value: value.__name__,
)
def test_two_score_as_one_on_both_batches(importance: lnas.Importance, make: Callable[[], lnas.Learner]) -> None:
    x = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.arange(8) % 3
    expected, masks = pruned(make(), importance, (x, y))
    two, learners = Two(), [make(), make()]  # made here: threads share the global generator that theta_0 is drawn from

    def one(rank: int) -> tuple[lnas.Tensors, dict[str, Tensor]]:
        learner = learners[rank]
        learner.average = lambda tensors: Mean.apply(two, rank, *tensors)
        share = slice(4 * rank, 4 * rank + 4)
        return pruned(learner, importance, (x[share], y[share]))

    with ThreadPoolExecutor(2) as threads:
        both = list(threads.map(one, range(2)))
    for name, score in expected.items():
        assert torch.equal(both[0][0][name], both[1][0][name])
        torch.testing.assert_close(both[0][0][name], score, rtol=1e-10, atol=1e-15)
    for name, mask in masks.items():
        assert torch.equal(both[0][1][name], mask) and torch.equal(both[1][1][name], mask)
        assert not mask.all()
