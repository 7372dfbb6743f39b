"""A module with one setting that is not the table's is not recognised, and runs as it is."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from lnas.builtin.fast.node import Member, Source, prepared, weighted_sum
from lnas.builtin.fast.recognised import factorized_reduce, pooling, relu_conv_norm, stages
from lnas.builtin.operations import OPERATIONS, FactorizedReduce, ReluConvNorm, operation

CHANNELS = 4


def put(name: str, place: str, part: nn.Module, *, stride: int = 1) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        made = operation(name, CHANNELS, stride=stride, affine=False)
        made.set_submodule(place, part, strict=True)
        return made

    return make


def convolution(kernel: int = 3, **settings: object) -> nn.Conv2d:
    usual = {"padding": kernel // 2, "groups": CHANNELS, "bias": False}
    return nn.Conv2d(CHANNELS, CHANNELS, kernel, **{**usual, **settings})  # type: ignore[arg-type]


REPLACED = {
    "relu": put("dil_conv_3x3", "0", nn.SiLU()),
    "depthwise reflects": put("dil_conv_3x3", "1", convolution(padding_mode="reflect")),
    "depthwise has a bias": put("dil_conv_3x3", "1", convolution(bias=True)),
    "depthwise is grouped": put("dil_conv_3x3", "1", convolution(groups=2)),
    "depthwise is oblong": put("dil_conv_3x3", "1", nn.Conv2d(4, 4, (3, 5), padding=(1, 2), groups=4, bias=False)),
    "depthwise dilates one way": put("dil_conv_3x3", "1", convolution(dilation=(1, 2), padding=(1, 2))),
    "pointwise is 3x3": put("dil_conv_3x3", "2", convolution(groups=1)),
    "pointwise is grouped": put("dil_conv_3x3", "2", convolution(1, groups=2)),
    "pointwise has a bias": put("dil_conv_3x3", "2", convolution(1, groups=1, bias=True)),
    "norm keeps no average": put("dil_conv_3x3", "3", nn.BatchNorm2d(CHANNELS, momentum=None)),
    "norm is of groups": put("dil_conv_3x3", "3", nn.GroupNorm(2, CHANNELS)),
    "second stage": put("sep_conv_3x3", "1.0", nn.SiLU()),
    "max pool of 5": put("max_pool_3x3", "0", nn.MaxPool2d(5, 1, 2)),
    "max pool rounds up": put("max_pool_3x3", "0", nn.MaxPool2d(3, 1, 1, ceil_mode=True)),
    "average counts padding": put("avg_pool_3x3", "0", nn.AvgPool2d(3, 1, 1)),
    "average has a divisor": put("avg_pool_3x3", "0", nn.AvgPool2d(3, 1, 1, count_include_pad=False, divisor_override=5)),
    "average is torch's own": put("avg_pool_3x3", "0", nn.AvgPool2d(3, 1, 1, count_include_pad=False)),
    "pool has a scale": put("avg_pool_3x3", "1", nn.BatchNorm2d(CHANNELS)),
    "reduce has another relu": put("skip_connect", "relu", nn.SiLU(), stride=2),
    "reduce has a bias": put("skip_connect", "even", nn.Conv2d(4, 2, 1, 2), stride=2),
}


@pytest.mark.parametrize("make", REPLACED.values(), ids=REPLACED)
@pytest.mark.parametrize("fused", [False, True])
def test_what_was_replaced_is_what_runs(make: Callable[[], nn.Module], *, fused: bool) -> None:
    torch.manual_seed(0)
    made = make().double()
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    assert not stages(made) and pooling(made) is None and not factorized_reduce(made)
    x = torch.randn(3, CHANNELS, 7, 6, dtype=torch.float64)
    gate = torch.tensor(0.7, dtype=torch.float64)
    expected = gate * made(x)
    assert torch.allclose(
        weighted_sum([Member(made, Source(x), gate)], fused_from=0 if fused else math.inf), expected, rtol=1e-12, atol=1e-13
    )


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_the_table_gives_the_same_either_way(name: str, stride: int, *, affine: bool, fused: bool) -> None:
    torch.manual_seed(0)
    made = operation(name, CHANNELS, stride=stride, affine=affine).double()
    known = bool(stages(made)) or pooling(made) is not None or factorized_reduce(made)
    assert known == (name not in ("none", "conv_7x1_1x7") and (name, stride) != ("skip_connect", 1))
    x = torch.randn(3, CHANNELS, 7, 6, dtype=torch.float64)
    gate = torch.tensor(0.7, dtype=torch.float64)
    expected = gate * made(x)
    assert torch.allclose(
        weighted_sum([Member(made, Source(x), gate)], fused_from=0 if fused else math.inf), expected, rtol=1e-12, atol=1e-13
    )


@pytest.mark.parametrize("make", [ReluConvNorm, FactorizedReduce])
def test_a_cells_input_with_another_relu_runs_as_it_is(make: type[nn.Module]) -> None:
    torch.manual_seed(0)
    made = make(CHANNELS, 6).double()
    x = torch.randn(3, CHANNELS, 7, 6, dtype=torch.float64)
    assert relu_conv_norm(made) or factorized_reduce(made)
    assert torch.allclose(prepared(made, Source(x)).x, made(x), rtol=1e-12, atol=1e-13)
    made.set_submodule("relu" if make is FactorizedReduce else "0", nn.SiLU(), strict=True)
    assert not relu_conv_norm(made) and not factorized_reduce(made)
    assert torch.allclose(prepared(made, Source(x)).x, made(x), rtol=1e-12, atol=1e-13)


def test_a_hook_on_all_modules_sees_all_modules() -> None:
    made = operation("sep_conv_3x3", CHANNELS)
    assert stages(made)
    seen: list[nn.Module] = []
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: seen.append(module))
    try:
        weighted_sum([Member(made, Source(torch.randn(2, CHANNELS, 5, 5)), 1.0)], fused_from=0)
    finally:
        handle.remove()
    assert seen.count(made[1][2]) == 1
