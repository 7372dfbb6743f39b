import sys
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lnas.builtin.cells import CellSpace
from lnas.builtin.genotypes import genotype
from lnas.builtin.network import CellNetwork
from lnas.core.errors import ConfigError
from lnas.core.types import Task
from lnas.cost import Comparison, against_ptflops, multiply_adds, parameters

Backend = Literal["pytorch", "aten"]
BACKENDS: tuple[Backend, ...] = ("pytorch", "aten")
TASK = Task((3, 8, 8), 5)


def by_kind(found: Comparison) -> dict[str, tuple[int, int]]:
    return {row.kind: (row.ours, row.theirs) for row in found.differences}


def plain() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 3, groups=4, bias=True),
        nn.Flatten(),
        nn.Linear(4, 5),
    )


def test_the_terms_that_ptflops_adds_are_told_apart() -> None:
    pytorch, aten = (against_ptflops(plain(), TASK, backend) for backend in BACKENDS)
    convolutions, linear = 4 * 3 * 9 * 36 + 4 * 9, 20
    assert pytorch.ours == aten.ours == convolutions + linear
    biases = {"convolution": (convolutions, convolutions + 4), "linear": (linear, linear + 5)}
    assert by_kind(aten) == biases
    assert aten.theirs == aten.ours + 4 + 5
    maps = 4 * 36  # the values of the map that batch norm, ReLU and pooling read
    assert by_kind(pytorch) == {
        **biases,
        "normalisation": (0, 2 * maps),
        "activation": (0, maps),
        "pooling": (0, maps),
        "function": (0, 2 * maps),  # ReLU and pooling once more
    }
    assert pytorch.theirs == pytorch.ours + 9 + 6 * maps


@pytest.mark.parametrize("backend", BACKENDS)
def test_convolutions_and_linear_layers_without_biases_agree_to_the_digit(backend: Backend) -> None:
    network = nn.Sequential(
        nn.Conv2d(4, 8, 3, groups=2, bias=False),
        nn.Conv2d(8, 8, 3, dilation=2, groups=8, bias=False),
        nn.ConvTranspose2d(8, 6, 3, stride=2, bias=False),
        nn.Flatten(2),
        nn.Linear(81, 7, bias=False),
    )
    found = against_ptflops(network, (4, 10, 10), backend)
    assert found.differences == ()
    assert found.ours == found.theirs == multiply_adds(network, (4, 10, 10)).dense
    assert found.our_parameters == found.their_parameters == parameters(network).total


def test_ptflops_sees_a_functional_convolution_with_one_backend_only() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4, 3, 3, 3))

        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, self.weight)

    count = 108 * 36
    assert by_kind(against_ptflops(Functional(), TASK, "pytorch")) == {"convolution": (count, 0)}
    assert against_ptflops(Functional(), TASK, "aten").differences == ()


def test_ptflops_sees_no_mask() -> None:
    network = nn.Conv2d(3, 4, 3, bias=False)
    nn.init.zeros_(network.weight)
    assert multiply_adds(network, TASK).nonzero == 0
    assert against_ptflops(network, TASK, "aten").theirs == 108 * 36


def test_an_attention_layer() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.layer(x, x, x)[0]
            return found

    found = by_kind(against_ptflops(Attention(), (5, 8), "aten"))
    assert found["bmm"] == (0, 2 * 5 * 5 * 8)  # queries times keys, and times values
    assert found["linear"] == (4 * 5 * 64, 4 * 5 * 64 + 5 * 32)  # and the biases
    whole = by_kind(against_ptflops(Attention(), (5, 8), "pytorch"))
    assert whole["linear"] == (4 * 5 * 64, 0)
    assert whole["multihead_attention"][1] > 4 * 5 * 64


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_differences_add_up(backend: Backend) -> None:
    network = CellNetwork(genotype("DARTS_V2"), TASK, channels=4, layers=3)
    found = against_ptflops(network, TASK, backend)
    assert found.ours == multiply_adds(network, TASK).dense
    assert sum(row.theirs - row.ours for row in found.differences) == found.theirs - found.ours
    assert all(row.reason for row in found.differences)
    if backend == "aten":  # the only biases of the network are those of the classifier
        assert found.theirs == found.ours + TASK.classes


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_search_space_can_be_compared(backend: Backend) -> None:
    space = CellSpace(TASK, channels=2, layers=3, nodes=2)
    found = against_ptflops(space, TASK, backend)
    assert found.ours == multiply_adds(space, TASK).dense
    assert found.our_parameters == found.their_parameters == parameters(space).total


@pytest.mark.parametrize("backend", BACKENDS)
def test_ptflops_is_silent_and_leaves_nothing_behind(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    network = plain().train()
    names = [sorted(vars(module)) for module in network.modules()]
    functions = {name: getattr(F, name) for name in ("relu", "avg_pool2d", "linear", "softmax", "conv2d")}
    operators = (torch.matmul, torch.add, torch.Tensor.matmul, torch.Tensor.add)
    against_ptflops(network, TASK, backend)
    assert capsys.readouterr() == ("", "")
    assert [sorted(vars(module)) for module in network.modules()] == names
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert all(module.training for module in network.modules())
    assert all(getattr(F, name) is function for name, function in functions.items())
    assert (torch.matmul, torch.add, torch.Tensor.matmul, torch.Tensor.add) == operators


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_failure_of_ptflops_alone_is_one_line(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    class Third(nn.Linear):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("the second pass fails")
            return super().forward(x)

    with pytest.raises(ConfigError, match=rf"ptflops \({backend}\) fails on this network: RuntimeError: the second pass fails"):
        against_ptflops(Third(4, 3), (4,), backend)
    assert capsys.readouterr() == ("", "")


def test_a_backend_that_ptflops_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match="it has pytorch and aten"):
        against_ptflops(nn.Linear(4, 3), (4,), "fx")  # type: ignore[arg-type]


def test_without_ptflops_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    blocked: Any = None
    monkeypatch.setitem(sys.modules, "ptflops", blocked)
    with pytest.raises(ConfigError, match="pip install ptflops"):
        against_ptflops(nn.Linear(4, 3), (4,))
