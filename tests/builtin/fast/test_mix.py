"""The fused mix against the formula written with torch's own convolutions and batch norm."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lnas.builtin.fast import mix as mix_module
from lnas.builtin.fast.mix import Convolution, Mixture, mix
from lnas.builtin.fast.rows import batch_sum

EPS = 1e-5
KINDS = ((3, 1), (5, 1), (3, 2), (5, 2))
"""(kernel, dilation) of the depthwise convolutions that a cell has."""


class Inputs(NamedTuple):
    """All tensors of one mix, as leaves."""

    xs: list[Tensor]
    depthwise: list[Tensor]
    pointwise: list[Tensor]
    scale: Tensor
    shift: Tensor
    values: list[Tensor]
    gates: list[Tensor]

    def leaves(self) -> list[Tensor]:
        return [*self.xs, *self.depthwise, *self.pointwise, self.scale, self.shift, *self.values, *self.gates]


def inputs(
    kinds: Sequence[tuple[int, int]] = KINDS,
    *,
    batch: int = 2,
    channels: int = 3,
    outputs: int = 4,
    sides: tuple[int, int] = (7, 6),
    stride: int = 1,
    plain: int = 2,
    dtype: torch.dtype = torch.float64,
) -> Inputs:
    torch.manual_seed(0)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=dtype, requires_grad=True)

    out = [-(-side // stride) for side in sides]
    return Inputs(
        xs=[leaf(batch, channels, *sides) for _ in kinds],
        depthwise=[leaf(channels, 1, kernel, kernel) for kernel, _ in kinds],
        pointwise=[leaf(outputs, channels, 1, 1) for _ in kinds],
        scale=leaf(len(kinds), outputs),
        shift=leaf(outputs),
        values=[leaf(batch, outputs, *out) for _ in range(plain)],
        gates=[leaf() for _ in range(plain)],
    )


def fused(
    given: Inputs, kinds: Sequence[tuple[int, int]] = KINDS, *, stride: int = 1, relu: bool = False, shift: bool = True
) -> Mixture:
    convolutions = [
        Convolution(x, batch_sum(x), depthwise, pointwise, stride, dilation, EPS)
        for x, depthwise, pointwise, (_, dilation) in zip(given.xs, given.depthwise, given.pointwise, kinds, strict=True)
    ]
    plain = list(zip(given.values, given.gates, strict=True))
    return mix(convolutions, given.scale, given.shift if shift else None, plain, relu=relu)


def written_out(
    given: Inputs, kinds: Sequence[tuple[int, int]] = KINDS, *, stride: int = 1, relu: bool = False, shift: bool = True
) -> Mixture:
    total: Tensor | float = given.shift[:, None, None] if shift else 0.0
    means, variances, places = [], [], 0
    for k, (kernel, dilation) in enumerate(kinds):
        padding = dilation * (kernel - 1) // 2
        x, weight = given.xs[k], given.depthwise[k]
        y = functional.conv2d(x, weight, None, stride, padding, dilation, groups=x.shape[1])
        y = functional.conv2d(y, given.pointwise[k])
        means.append(y.mean((0, 2, 3)))
        variances.append(y.var((0, 2, 3), correction=0))
        places = y.numel() // y.shape[1]
        total = total + given.scale[k, :, None, None] * functional.batch_norm(y, None, None, training=True, eps=EPS)
    for value, gate in zip(given.values, given.gates, strict=True):
        total = total + gate * value
    assert isinstance(total, Tensor)
    return Mixture(total.relu() if relu else total, torch.stack(means), torch.stack(variances), places)


def far(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to the largest entry of the expected."""
    return ((a - b).abs().max() / b.abs().max()).item()


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_values_statistics_and_every_gradient(*, relu: bool, shift: bool, stride: int) -> None:
    given = inputs(stride=stride)
    ours = fused(given, stride=stride, relu=relu, shift=shift)
    theirs = written_out(given, stride=stride, relu=relu, shift=shift)
    assert far(ours.value, theirs.value) < 1e-13
    assert far(ours.mean, theirs.mean) < 1e-13
    assert far(ours.variance, theirs.variance) < 1e-13
    assert ours.places == theirs.places
    assert not ours.mean.requires_grad and not ours.variance.requires_grad
    direction = torch.randn_like(ours.value)
    leaves = [leaf for leaf in given.leaves() if shift or leaf is not given.shift]
    expected = torch.autograd.grad(theirs.value, leaves, direction)
    for leaf, got, wanted in zip(leaves, torch.autograd.grad(ours.value, leaves, direction), expected, strict=True):
        assert got.shape == leaf.shape
        assert far(got, wanted) < 1e-12


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("sides", [(1, 2), (2, 1), (5, 5)])
def test_a_batch_of_one_and_sides_below_the_kernel(batch: int, sides: tuple[int, int]) -> None:
    given = inputs(batch=batch, sides=sides)
    ours, theirs = fused(given).value, written_out(given).value
    assert far(ours, theirs) < 1e-12
    direction = torch.randn_like(ours)
    for got, wanted in zip(
        torch.autograd.grad(ours, given.leaves(), direction), torch.autograd.grad(theirs, given.leaves(), direction), strict=True
    ):
        assert (got - wanted).abs().max() < 1e-9 * direction.abs().max() / EPS**0.5  # few values: variances near 0


def test_the_second_derivative() -> None:
    kinds = ((3, 1), (3, 2))
    given = inputs(kinds, batch=1, channels=2, outputs=2, sides=(3, 2), plain=1)
    ours, theirs = fused(given, kinds, relu=True).value, written_out(given, kinds, relu=True).value
    directions = [torch.randn_like(leaf) for leaf in given.leaves()]

    def twice(value: Tensor) -> tuple[Tensor, ...]:
        first = torch.autograd.grad((value**2).sum(), given.leaves(), create_graph=True)
        along = sum((slope * direction).sum() for slope, direction in zip(first, directions, strict=True))
        return torch.autograd.grad(along, given.leaves())

    for got, wanted in zip(twice(ours), twice(theirs), strict=True):
        assert far(got, wanted) < 1e-10


def test_an_input_that_depends_on_another_gets_its_own_share_of_the_second_derivative() -> None:
    kinds = ((3, 1), (3, 1))
    given = inputs(kinds, plain=0)

    def twice(make: object) -> Tensor:
        chained = given._replace(xs=[given.xs[0], given.xs[0].sin()])
        value = make(chained, kinds).value  # type: ignore[operator]
        (first,) = torch.autograd.grad((value**3).sum(), given.xs[0], create_graph=True)
        return torch.autograd.grad((first**2).sum(), given.xs[0])[0]

    assert far(twice(fused), twice(written_out)) < 1e-10


def test_gradients_that_nobody_wants_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    given = inputs()
    for tensor in (*given.depthwise, *given.pointwise, given.xs[0]):
        tensor.requires_grad_(False)
    calls: list[str] = []
    for name in ("input_gradient", "weight_gradient"):
        real = getattr(mix_module, name)
        monkeypatch.setattr(mix_module, name, lambda *args, name=name, real=real: calls.append(name) or real(*args))
    fused(given).value.sum().backward()
    assert calls == ["input_gradient"] * 3
    assert given.xs[0].grad is None and given.xs[1].grad is not None


def test_float32_stays_close_where_the_mean_is_far_above_the_deviation() -> None:
    given = inputs(batch=8, sides=(16, 16), dtype=torch.float32, plain=0)
    with torch.no_grad():
        for x in given.xs:
            x.add_(100)
    exact = Inputs(*([t.detach().double() for t in part] if isinstance(part, list) else part.detach().double() for part in given))
    ours, theirs = (
        far(fused(given).value.double(), written_out(exact).value),
        far(written_out(given).value.double(), written_out(exact).value),
    )
    assert ours < 2 * theirs


def test_autocast_to_bf16_is_as_exact_as_the_formula_under_autocast() -> None:
    given = inputs(batch=8, sides=(16, 16), channels=8, outputs=8, dtype=torch.float32)
    exact = written_out(given).value.detach()
    direction = torch.randn_like(exact)
    slopes = torch.autograd.grad(written_out(given).value, given.leaves(), direction)

    def errors(make: object) -> list[float]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = make(given).value  # type: ignore[operator]
        got = torch.autograd.grad(value, given.leaves(), direction.to(value.dtype))
        assert [g.dtype for g in got] == [torch.float32] * len(got)
        return [far(value.float(), exact), *(far(g, wanted) for g, wanted in zip(got, slopes, strict=True))]

    assert fused(given).value.dtype == torch.float32
    ours, theirs = errors(fused), errors(written_out)
    assert max(ours) < 1.5 * max(theirs)


def test_one_value_per_channel_has_no_variance() -> None:
    given = inputs(batch=1, sides=(1, 1), plain=0)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        fused(given)


def test_what_is_kept_for_the_backward_pass_is_the_inputs() -> None:
    given = inputs(batch=4, sides=(16, 16), plain=1)
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        fused(given)
    large = given.xs[0].untyped_storage().nbytes() // 2
    own = {x.untyped_storage().data_ptr() for x in (*given.xs, *given.values)}
    assert {address for address, size in kept.items() if size > large} == own
