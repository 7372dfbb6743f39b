"""Importances: what goes first, by hand."""

import math

import pytest
import torch
from torch import Tensor

from lnas.builtin.importances import magnitude, probability, random


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
