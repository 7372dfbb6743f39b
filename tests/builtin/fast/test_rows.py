"""Products of tall matrices, whatever their width, and pictures as rows."""

import pytest
import torch
from torch.autograd import gradcheck

from lnas.builtin.fast.concatenation import concatenated
from lnas.builtin.fast.reduce import halves
from lnas.builtin.fast.rows import batch_sum, crossed, pictures, rows, times


@pytest.mark.parametrize(("m", "n"), [(1, 1), (3, 3), (8, 8), (8, 3), (4, 16), (16, 16), (17, 2)])
@pytest.mark.parametrize("places", [1, 2, 7, 24, 64])
def test_products(m: int, n: int, places: int) -> None:
    torch.manual_seed(0)
    a, b = torch.randn(places, m, dtype=torch.float64), torch.randn(places, n, dtype=torch.float64)
    weight, row = torch.randn(n, m, dtype=torch.float64).t(), torch.randn(n, dtype=torch.float64)
    assert torch.allclose(crossed(a, b), a.t() @ b, rtol=1e-13, atol=1e-13)
    assert torch.allclose(times(a, weight), a @ weight, rtol=1e-13, atol=1e-13)
    assert torch.allclose(times(a, weight, row=row), a @ weight + row, rtol=1e-13, atol=1e-13)
    onto = b.clone()
    assert times(a, weight, onto=onto) is onto
    assert torch.allclose(onto, b + a @ weight, rtol=1e-13, atol=1e-13)


def test_rows_and_pictures_are_inverse_and_views_in_channels_last() -> None:
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    assert rows(x).data_ptr() == x.data_ptr()
    assert torch.equal(pictures(rows(x), x.shape), x)
    assert rows(x)[1 * 20 + 2 * 5 + 3].tolist() == x[1, :, 2, 3].tolist()
    part = rows(x[:, :2])
    assert part.is_contiguous() and torch.equal(pictures(part, (2, 2, 4, 5)), x[:, :2])
    assert torch.allclose(batch_sum(x)[0], x[0] + x[1])


@pytest.mark.parametrize("sides", [(4, 6), (5, 4), (3, 3), (1, 1)])
def test_halves_are_the_pixels_that_a_factorized_reduce_reads(sides: tuple[int, int]) -> None:
    x = torch.randn(2, 2, *sides, dtype=torch.float64, requires_grad=True)
    even, odd = halves(x)
    assert torch.equal(even, x[:, :, ::2, ::2])
    assert torch.equal(odd[:, :, : sides[0] // 2, : sides[1] // 2], x[:, :, 1::2, 1::2])
    assert odd.shape == even.shape
    assert odd.count_nonzero() == x[:, :, 1::2, 1::2].numel()
    assert gradcheck(halves, (x,))


def test_parts_of_a_concatenation_get_gradients_whose_channels_lie_together() -> None:
    parts = [torch.randn(2, channels, 3, 4, dtype=torch.float64, requires_grad=True) for channels in (2, 5)]
    assert torch.equal(concatenated(parts), torch.cat(parts, 1))
    direction = torch.randn(2, 7, 3, 4, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    for part, slope in zip(parts, torch.autograd.grad(concatenated(parts), parts, direction), strict=True):
        assert slope.is_contiguous(memory_format=torch.channels_last) and slope.shape == part.shape
    assert gradcheck(lambda *given: concatenated(given), parts)
