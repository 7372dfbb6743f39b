"""The candidate operations: shapes, sizes and the zero that is never hidden in a value."""

import pytest
import torch
from torch import Tensor, nn

from lnas.builtin.operations import CANDIDATES, NONE, OPERATIONS, PARAMETER_FREE, FactorizedReduce, operation
from lnas.core.errors import UnknownNameError

C = 4
DILATED_OR_DEPTHWISE = {"dil_conv_3x3": 9, "dil_conv_5x5": 25}
TWICE = {"sep_conv_3x3": 9, "sep_conv_5x5": 25, "sep_conv_7x7": 49}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [(6, 6), (7, 5), (1, 2)])
def test_an_operation_keeps_the_channels_and_rounds_up_the_sides(name: str, stride: int, side: tuple[int, int]) -> None:
    torch.manual_seed(0)
    out = operation(name, C, stride=stride)(torch.randn(3, C, *side))
    assert out.shape == (3, C, -(-side[0] // stride), -(-side[1] // stride))
    assert out.isfinite().all()


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("affine", [False, True])
def test_parameters_counted_by_hand(name: str, affine: bool) -> None:
    norm = 2 * C * affine
    expected = {
        **{name: C * k + C * C + norm for name, k in DILATED_OR_DEPTHWISE.items()},
        **{name: 2 * (C * k + C * C + norm) for name, k in TWICE.items()},
        "conv_7x1_1x7": 2 * 7 * C * C + norm,
    }.get(name, 0)
    assert sum(p.numel() for p in operation(name, C, affine=affine).parameters()) == expected
    strided_skip = C * C + norm if name == "skip_connect" else expected
    assert sum(p.numel() for p in operation(name, C, stride=2, affine=affine).parameters()) == strided_skip


def test_the_candidates_in_the_order_of_the_paper() -> None:
    assert CANDIDATES == (
        "none",
        "max_pool_3x3",
        "avg_pool_3x3",
        "skip_connect",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "dil_conv_3x3",
        "dil_conv_5x5",
    )
    assert set(CANDIDATES) <= set(OPERATIONS)
    free = {name for name in OPERATIONS if not any(isinstance(p, nn.Conv2d) for p in operation(name, C).modules())}
    assert free == PARAMETER_FREE


def test_none_is_zero_even_of_what_is_not_finite() -> None:
    for stride in (1, 2):
        assert operation(NONE, C, stride=stride)(torch.full((1, C, 4, 4), torch.nan)).eq(0).all()


def test_average_pooling_does_not_count_the_padding() -> None:
    pool = operation("avg_pool_3x3", 1).eval()
    assert torch.allclose(pool(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4), atol=1e-4)


def test_dilation_reaches_as_far_as_it_should() -> None:
    """A single pixel spreads over 5x5 with holes for a dilated 3x3, and over 5x5 for two separable 3x3."""
    for name, reach, points in [
        ("dil_conv_3x3", 2, 9),
        ("dil_conv_5x5", 4, 25),
        ("sep_conv_3x3", 2, 25),
        ("sep_conv_5x5", 4, 81),
    ]:
        torch.manual_seed(0)
        module = operation(name, 1, affine=False).eval()
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                part.weight.data.abs_()
        x = torch.zeros(1, 1, 15, 15)
        x[0, 0, 7, 7] = 1.0
        hit: Tensor = module(x)[0, 0] > 0
        assert int(hit.sum()) == points, name
        assert hit.nonzero().min() == 7 - reach
        assert hit.nonzero().max() == 7 + reach


def test_a_factorized_reduction_sees_two_grids_one_pixel_apart() -> None:
    reduction = FactorizedReduce(1, 2, affine=False).eval()
    for part in (reduction.even, reduction.odd):
        nn.init.ones_(part.weight)
    x = torch.arange(1.0, 26.0).view(1, 1, 5, 5)
    out = reduction(x)[0] * (1 + 1e-5) ** 0.5
    assert torch.allclose(out[0], x[0, 0, ::2, ::2])
    expected = torch.zeros(3, 3)  # an odd side has no last odd pixel
    expected[:2, :2] = x[0, 0, 1::2, 1::2]
    assert torch.allclose(out[1], expected)


def test_an_unknown_operation_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="unknown operation 'sep_conv_3x'; did you mean 'sep_conv_3x3'"):
        operation("sep_conv_3x", C)
