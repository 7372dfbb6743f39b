"""The average pooling is `avg_pool2d` without the padding in its counts."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lnas.builtin.fast.pooling import average_pool

FORMATS = [torch.contiguous_format, torch.channels_last]


def pool(x: Tensor, stride: int) -> Tensor:
    return functional.avg_pool2d(x, 3, stride, 1, count_include_pad=False)


def test_a_window_counts_the_pixels_within_the_picture() -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    assert average_pool(x).tolist() == [[[[3.0, 3.0], [3.0, 3.0]]]]
    assert average_pool(torch.tensor([[[[4.0, 8.0, 3.0]]]])).tolist() == [[[[6.0, 5.0, 5.5]]]]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 1, 6), (2, 16, 2, 2), (2, 8, 7, 5), (1, 36, 8, 8)])
def test_values_and_gradients_are_those_of_avg_pool2d(
    stride: int, memory_format: torch.memory_format, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64).to(memory_format=memory_format).requires_grad_()
    y, expected = average_pool(x, stride), pool(x, stride)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-14)
    assert y.stride() == expected.stride()
    grad = torch.randn_like(y)
    found, wanted = (torch.autograd.grad(out, x, grad)[0] for out in (y, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("stride", [1, 2])
def test_it_can_be_differentiated_twice(stride: int) -> None:
    x = torch.randn(2, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: average_pool(x, stride).square(), x)
    assert torch.autograd.gradgradcheck(lambda x: average_pool(x, stride).square(), x)


def test_autocast_leaves_the_precision_alone() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 6, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = average_pool(x)
        (by_x,) = torch.autograd.grad(y.sum(), x)
    assert y.dtype == by_x.dtype == torch.float32
    torch.testing.assert_close(y, pool(x, 1))
    torch.testing.assert_close(by_x, torch.autograd.grad(pool(x, 1).sum(), x)[0])


def test_lower_precision_rounds_once() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 6, dtype=torch.bfloat16)
    assert torch.equal(average_pool(x), pool(x, 1))
