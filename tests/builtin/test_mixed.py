"""The mixed operation runs the open paths, weighs them, and nothing else."""

import pytest
import torch
from torch import nn

from lnas.builtin.mixed import MixedOperation
from lnas.core.errors import ConfigError


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.factor * x


def edge() -> tuple[MixedOperation, Times, Times]:
    two, three = Times(2.0), Times(3.0)
    return MixedOperation({"two": two, "none": nn.Identity(), "three": three}), two, three


GATES = torch.tensor([0.5, 0.25, 0.125])


def test_the_sum_of_the_open_paths_weighted_by_their_gates() -> None:
    mixed, two, three = edge()
    x = torch.tensor([1.0, -2.0])
    for paths, factor, calls in [
        ((True, True, True), 1.0 + 0.375, (1, 1)),
        ((True, False, False), 1.0, (2, 1)),
        ((False, True, True), 0.375, (2, 2)),
    ]:
        total = mixed(x, GATES, paths)
        assert total is not None
        assert total.tolist() == [factor, -2 * factor]
        assert (two.calls, three.calls) == calls


@pytest.mark.parametrize("paths", [(False, False, False), (False, True, False)])
def test_nothing_where_no_open_path_computes(paths: tuple[bool, ...]) -> None:
    mixed, two, three = edge()
    assert mixed(torch.ones(2), GATES, paths) is None
    assert (two.calls, three.calls) == (0, 0)


def test_an_open_path_with_a_gate_of_zero_runs_and_its_gate_gets_a_gradient() -> None:
    mixed, two, _ = edge()
    gates = torch.zeros(3, requires_grad=True)
    total = mixed(torch.tensor([5.0]), gates, (True, False, False))
    assert total is not None
    total.sum().backward()
    assert two.calls == 1
    assert gates.grad is not None
    assert gates.grad.tolist() == [10.0, 0.0, 0.0]
    assert two.factor.grad is not None
    assert two.factor.grad.item() == 0.0


def test_none_is_not_held_and_released_operations_are_gone_for_good() -> None:
    mixed, two, three = edge()
    assert list(mixed.operations) == ["two", "three"]
    assert mixed.names == ("two", "none", "three")
    mixed.release((True, False, False))
    assert list(mixed.operations) == ["two"]
    assert [id(p) for p in mixed.parameters()] == [id(two.factor)]
    mixed.release((True, False, False))
    total = mixed(torch.ones(1), GATES, (True, False, False))
    assert total is not None
    assert total.item() == 1.0
    assert three.calls == 0
    with pytest.raises(ConfigError, match="path of three was deleted and cannot come alive again"):
        mixed.release((True, True, True))
    mixed.release((False, True, False))
    assert list(mixed.parameters()) == []
