"""The depthwise convolution is `conv2d`: its values to the bit, its gradients to the last digits, of any order."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lnas.builtin.fast import depthwise as module
from lnas.builtin.fast.depthwise import depthwise, input_gradient, weight_gradient

FORMATS = [torch.contiguous_format, torch.channels_last]
CASES = [*itertools.product((1, 3, 5, 7), (1, 2), (1, 2)), (3, 3, 1), (3, 2, 3), (5, 2, 4)]
"""Kernel, stride, dilation."""
SHAPES = [(1, 1, 8, 8), (2, 8, 9, 11), (2, 36, 2, 5), (3, 16, 1, 1), (1, 144, 4, 4), (2, 64, 13, 4), (0, 4, 8, 8)]


def convolve(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    return functional.conv2d(x, weight, None, stride, dilation * (weight.shape[-1] - 1) // 2, dilation, x.shape[1])


def draw(shape: tuple[int, ...], kernel: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    x, weight = torch.randn(shape, dtype=dtype), torch.randn(shape[1], 1, kernel, kernel, dtype=dtype)
    return x.requires_grad_(), weight.requires_grad_()


def assert_close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Relative to the largest value; on empty tensors only the shape."""
    assert found.shape == expected.shape
    if expected.numel():
        assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize(("kernel", "stride", "dilation"), CASES)
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_those_of_conv2d(kernel: int, stride: int, dilation: int, shape: tuple[int, ...]) -> None:
    for x_format, grad_format in itertools.product(FORMATS, FORMATS):
        x, weight = draw(shape, kernel)
        x = x.detach().to(memory_format=x_format).requires_grad_()
        expected, y = convolve(x, weight, stride, dilation), depthwise(x, weight, stride, dilation)
        assert torch.equal(y, expected)
        assert y.stride() == expected.stride()
        grad = torch.randn_like(y).to(memory_format=grad_format)
        by_x, by_weight = torch.autograd.grad(expected, (x, weight), grad)
        found = torch.autograd.grad(y, (x, weight), grad)
        raw = input_gradient(grad, weight, x.shape, stride, dilation), weight_gradient(grad, x, kernel, stride, dilation)
        for by_x_found, by_weight_found in (found, raw):
            assert_close(by_x_found, by_x, 1e-12)
            assert_close(by_weight_found, by_weight, 1e-12)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 1, 2), (5, 1, 1), (5, 1, 2), (5, 2, 1), (3, 2, 2)])
def test_single_precision_is_as_good_as_that_of_conv2d(kernel: int, stride: int, dilation: int) -> None:
    def gradients(make: Callable[[Tensor, Tensor, int, int], Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
        x, weight = (tensor.detach().to(dtype).requires_grad_() for tensor in draw((16, 16, 16, 16), kernel))
        return torch.autograd.grad(make(x, weight, stride, dilation).square().sum(), (x, weight))

    exact = gradients(convolve, torch.float64)
    for found, expected in zip(gradients(depthwise, torch.float32), exact, strict=True):
        assert_close(found.double(), expected, 1e-5)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 1, 2), (5, 1, 1), (5, 1, 2), (5, 2, 1), (3, 2, 2), (7, 2, 1)])
def test_it_can_be_differentiated_twice(kernel: int, stride: int, dilation: int) -> None:
    x, weight = draw((2, 2, 5, 4), kernel)
    assert torch.autograd.gradcheck(lambda x, weight: depthwise(x, weight, stride, dilation), (x, weight))
    assert torch.autograd.gradgradcheck(lambda x, weight: depthwise(x, weight, stride, dilation), (x, weight))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the gradients that are computed."""
    names: list[str] = []

    def watched(name: str, original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(*args: object) -> Tensor:
            names.append(name)
            return original(*args)

        return call

    for name, original in (("input_gradient", input_gradient), ("weight_gradient", weight_gradient)):
        monkeypatch.setattr(module, name, watched(name, original))
    return names


def test_no_gradient_is_computed_that_is_not_asked_for(calls: list[str]) -> None:
    x, weight = draw((2, 4, 8, 8), 5)
    gate = torch.ones((), dtype=torch.float64, requires_grad=True)
    torch.autograd.grad(depthwise(gate * x, weight).sum(), gate)
    assert calls == ["input_gradient"]
    calls.clear()
    torch.autograd.grad(depthwise(x.detach(), weight).sum(), weight)
    assert calls == ["weight_gradient"]
    calls.clear()
    depthwise(x, weight.detach()).sum().backward()
    assert calls == ["input_gradient"]
    calls.clear()
    depthwise(x, weight).sum().backward()
    assert sorted(calls) == ["input_gradient", "weight_gradient"]


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 1, 2), (5, 1, 1), (5, 1, 2), (7, 1, 2), (5, 2, 1), (5, 4, 2)])
@pytest.mark.parametrize("side", [4, 9, 32])
def test_the_weight_gradient_keeps_to_the_fast_kernel(
    kernel: int, stride: int, dilation: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, widths = module._torch_weight_gradient, list[int]()

    def watched(grad: Tensor, x: Tensor, size: tuple[int, int], strides: tuple[int, int], dilation: int = 1) -> Tensor:
        assert dilation == 1
        assert grad.is_contiguous(memory_format=torch.channels_last)
        assert strides != (1, 1) or x.shape[2] >= size[0]
        widths.append(size[1])
        return original(grad, x, size, strides, dilation)

    monkeypatch.setattr(module, "_torch_weight_gradient", watched)
    x, weight = draw((2, 4, side, side), kernel)
    depthwise(x, weight, stride, dilation).sum().backward()
    assert widths == [3] * (kernel // 2)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, 2), (2, 2), (2, 4)])
def test_the_input_gradient_keeps_to_forward_convolutions(stride: int, dilation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(functional, "conv_transpose2d")
    x, weight = draw((2, 4, 9, 9), 5)
    depthwise(x, weight, stride, dilation).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 1, 1), (3, 1, 2), (5, 1, 1), (5, 2, 1)])
def test_autocast_lowers_it_as_it_lowers_conv2d(kernel: int, stride: int, dilation: int) -> None:
    x, weight = draw((4, 16, 12, 12), kernel, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        expected, y = convolve(x, weight, stride, dilation), depthwise(x, weight, stride, dilation)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, expected)
    for found, wanted in zip(
        torch.autograd.grad(y.sum(), (x, weight)), torch.autograd.grad(expected.sum(), (x, weight)), strict=True
    ):
        assert found.dtype == torch.float32
        assert_close(found, wanted, 2**-7)  # two roundings to eight digits


def test_double_precision_stays_so_under_autocast() -> None:
    x, weight = draw((2, 3, 6, 6), 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(depthwise(x, weight), convolve(x, weight, 1, 1))


@pytest.mark.parametrize(("outputs", "rows", "columns"), [(3, 4, 4), (3, 3, 5), (6, 5, 5)])
def test_other_kernels_are_left_to_conv2d(outputs: int, rows: int, columns: int) -> None:
    x = draw((2, 3, 6, 6), 3)[0]
    weight = torch.randn(outputs, 1, rows, columns, dtype=torch.float64)
    assert torch.equal(depthwise(x, weight), convolve(x, weight, 1, 1))


def test_other_devices_are_left_to_conv2d(calls: list[str]) -> None:
    x, weight = (tensor.detach().to("meta").requires_grad_() for tensor in draw((2, 3, 6, 6), 5))
    depthwise(x, weight, 2).sum().backward()
    assert x.grad is not None and x.grad.shape == x.shape
    assert calls == []
