"""Importances: what goes first, by hand."""

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from lnas.builtin.importances import magnitude, probability, random, shuffled
from lnas.builtin.targets import Theta
from lnas.core.mask import prune


def no_loss() -> Tensor:
    raise AssertionError("none of these looks at the loss")


def whole(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.bool)


def test_magnitude_is_the_absolute_value() -> None:
    scores = magnitude({"a": torch.tensor([[-3.0, 2.0], [0.0, -0.5]], requires_grad=True)}, {"a": whole(2, 2)}, no_loss)
    assert scores["a"].tolist() == [[3, 2], [0, 0.5]]
    assert not scores["a"].requires_grad


def test_probability_is_the_share_of_a_living_path_in_its_edge() -> None:
    alpha = torch.tensor([[0.0, math.log(3.0), 9.0], [math.log(4.0), 0.0, 0.0]], requires_grad=True)
    alive = torch.tensor([[True, True, False], [True, True, True]])
    scores = probability({"normal": alpha}, {"normal": alive}, no_loss)["normal"]
    assert scores.flatten().tolist() == pytest.approx([0.25, 0.75, 0, 4 / 6, 1 / 6, 1 / 6])
    assert not scores.requires_grad


def test_a_strongly_rejected_path_goes_first_by_probability_and_last_by_magnitude() -> None:
    tensors, masks = {"a": torch.tensor([[-5.0, 0.1, 1.0]])}, {"a": whole(1, 3)}
    assert int(probability(tensors, masks, no_loss)["a"].argmin()) == 0
    assert int(magnitude(tensors, masks, no_loss)["a"].argmin()) == 1
    assert int(magnitude(tensors, masks, no_loss)["a"].argmax()) == 0


def test_random_depends_on_seed_name_and_shape_alone() -> None:
    tensors = {"a": torch.zeros(3, 4), "b": torch.ones(3, 4), "c": torch.ones(2)}
    masks = {name: torch.ones_like(tensor, dtype=torch.bool) for name, tensor in tensors.items()}
    torch.manual_seed(0)
    first = random(tensors, masks, no_loss, seed=3)
    after = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(1), after)  # the global generator was not touched
    other = {name: tensor + 7 for name, tensor in reversed(tensors.items())}
    again = random(other, {name: ~mask for name, mask in masks.items()}, no_loss, seed=3)
    assert {name: score.shape for name, score in first.items()} == {name: tensor.shape for name, tensor in tensors.items()}
    for name, score in first.items():
        assert torch.equal(score, again[name])
        assert ((score >= 0) & (score < 1)).all()
    assert not torch.equal(first["a"], first["b"])
    assert not torch.equal(first["a"], random(tensors, masks, no_loss, seed=4)["a"])
    assert torch.equal(random(tensors, masks, no_loss)["a"], random(tensors, masks, no_loss, seed=0)["a"])


def pruned(importance: Any, scope: str, sparsities: Sequence[float], seed: int = 0) -> list[dict[str, Tensor]]:
    """Masks after each round of a network whose layers have weights of very different sizes."""
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Linear(5, 6), torch.nn.Linear(6, 3))
    with torch.no_grad():
        network[1].weight.mul_(0.3)
        network[2].weight[0] = network[2].weight[1]  # ties
    target = Theta(network, scope=scope)  # type: ignore[arg-type]
    rounds = []
    for sparsity in sparsities:
        prune(target, sparsity, importance=importance)
        rounds.append({name: mask.clone() for name, mask in target.masks().items()})
    return rounds


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("seed", range(5))
def test_shuffled_prunes_as_many_of_each_layer_as_magnitude(scope: str, seed: int) -> None:
    [by_size] = pruned(magnitude, scope, [0.6], seed)
    [by_chance] = pruned(partial(shuffled, seed=seed), scope, [0.6], seed)
    kept = {name: int(mask.sum()) for name, mask in by_size.items()}
    assert {name: int(mask.sum()) for name, mask in by_chance.items()} == kept
    assert sum(kept.values()) == {"global": 83 - 50, "layer": (35 - 21) + (30 - 18) + (18 - 11)}[scope]
    assert any(not mask.equal(by_size[name]) for name, mask in by_chance.items())


def test_shuffled_masks_are_nested_and_depend_on_the_seed() -> None:
    for scope in ("layer", "global"):
        rounds = pruned(partial(shuffled, seed=1), scope, [0.3, 0.6, 0.8])
        for before, after in pairwise(rounds):
            assert all(bool((before[name] | ~after[name]).all()) for name in before)
        assert all(mask.equal(rounds[0][name]) for name, mask in pruned(partial(shuffled, seed=1), scope, [0.3])[0].items())
        assert any(not mask.equal(rounds[0][name]) for name, mask in pruned(partial(shuffled, seed=2), scope, [0.3])[0].items())


def test_shuffled_deals_out_the_magnitudes_of_the_living() -> None:
    x = torch.tensor([[-3.0, 9.0, 0.5], [2.0, -7.0, 1.0]])
    alive = torch.tensor([[True, False, True], [True, False, True]])
    dealt = {seed: shuffled({"a": x}, {"a": alive}, no_loss, seed=seed)["a"] for seed in range(20)}
    for scores in dealt.values():
        assert sorted(scores[alive].tolist()) == [0.5, 1, 2, 3]
        assert scores[~alive].tolist() == [9, 7]
    assert len({tuple(scores[alive].tolist()) for scores in dealt.values()}) > 10
    assert not shuffled({"b": x}, {"b": alive}, no_loss)["b"].equal(dealt[0]), "each name has a stream of its own"
