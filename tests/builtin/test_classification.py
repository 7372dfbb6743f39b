import math

import pytest
import torch
from torch import Tensor

from lnas.builtin.classification import correct, cross_entropy

X = torch.zeros(2, 1)
Y = torch.tensor([0, 1])
EVEN = torch.zeros(2, 2)  # loss log 2
SURE = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)]])  # probability 1/4 and 3/4 of the right class


def test_cross_entropy_is_the_mean() -> None:
    assert cross_entropy(lambda x: EVEN, (X, Y)).item() == pytest.approx(math.log(2), rel=1e-6)
    loss = cross_entropy(lambda x: SURE, (X, Y))
    assert loss.shape == ()
    assert loss.item() == pytest.approx((math.log(4) + math.log(4 / 3)) / 2, rel=1e-6)


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_the_auxiliary_head_is_added_with_its_weight(weight: float) -> None:
    first, second = cross_entropy(lambda x: EVEN, (X, Y)).item(), cross_entropy(lambda x: SURE, (X, Y)).item()
    both = cross_entropy(lambda x: (EVEN, SURE), (X, Y), auxiliary=weight).item()
    assert both == pytest.approx(first + weight * second, rel=1e-6)


def test_the_weight_of_the_auxiliary_head_is_that_of_darts() -> None:
    given = cross_entropy(lambda x: (EVEN, SURE), (X, Y), auxiliary=0.4)
    assert torch.equal(cross_entropy(lambda x: (EVEN, SURE), (X, Y)), given)


def test_both_heads_get_a_gradient() -> None:
    logits, side = torch.zeros(2, 2, requires_grad=True), torch.zeros(2, 2, requires_grad=True)
    cross_entropy(lambda x: (logits, side), (X, Y), auxiliary=0.5).backward()
    assert logits.grad is not None and side.grad is not None
    assert torch.allclose(side.grad, 0.5 * logits.grad)
    assert logits.grad.tolist() == [[-0.25, 0.25], [0.25, -0.25]]


def test_correct_counts_hits() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 5.0], [0.0, 1.0, 0.0]])
    weight = torch.ones(3, requires_grad=True)
    batch = (torch.zeros(3, 1), torch.tensor([0, 1, 1]))

    def network(x: Tensor) -> Tensor:
        return logits * weight

    hits, number = correct(network, batch)
    assert (hits.item(), number) == (2, 3)
    assert hits.shape == () and hits.dtype == torch.int64 and not hits.requires_grad


def test_correct_counts_the_first_output() -> None:
    hits, number = correct(lambda x: (SURE, SURE.flip(1)), (X, Y))
    assert (hits.item(), number) == (1, 2)
    hits, _ = correct(lambda x: (SURE, SURE), (X, torch.tensor([1, 1])))
    assert hits.item() == 2
