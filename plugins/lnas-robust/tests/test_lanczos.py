"""The dominant eigenvalue of matrices whose eigenvalues are known."""

from collections.abc import Callable

import pytest
import torch
from lnas_robust import dominant_eigenvalue
from torch import Tensor

import lnas


def symmetric(eigenvalues: list[float]) -> Tensor:
    """A dense matrix with these eigenvalues."""
    noise = torch.randn(len(eigenvalues), len(eigenvalues), generator=lnas.stream(0, "axes"), dtype=torch.float64)
    axes, _ = torch.linalg.qr(noise)
    return axes @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ axes.T


def counted(matrix: Tensor) -> tuple[Callable[[Tensor], Tensor], list[int]]:
    calls: list[int] = []

    def product(vector: Tensor) -> Tensor:
        calls.append(1)
        return matrix @ vector

    return product, calls


START = torch.randn(200, generator=lnas.stream(0, "start"), dtype=torch.float64)


@pytest.mark.parametrize(
    ("eigenvalues", "magnitude", "largest"),
    [
        ([-5.0, 1.0, 3.0], -5.0, 3.0),
        ([5.0, 1.0, -3.0, 0.0], 5.0, 5.0),
        ([-2.0, -1.0, -7.0], -7.0, -1.0),
        ([4.0], 4.0, 4.0),
        ([1e-9, -3e-9, 2e-9], -3e-9, 2e-9),
        ([2.0, 2.0, 2.0], 2.0, 2.0),
        ([0.0, 0.0], 0.0, 0.0),
    ],
)
def test_known_eigenvalues(eigenvalues: list[float], magnitude: float, largest: float) -> None:
    matrix, start = symmetric(eigenvalues), START[: len(eigenvalues)]
    for which, expected in (("magnitude", magnitude), ("largest", largest)):
        got = dominant_eigenvalue(matrix.matmul, start, which=which, tolerance=1e-12)
        assert got == pytest.approx(expected, rel=1e-10, abs=1e-15)


def test_opposite_eigenvalues_of_equal_magnitude_are_told_apart() -> None:
    """Power iteration swings between the two and finds neither."""
    got = dominant_eigenvalue(symmetric([5.0, -5.0, 1.0, 0.5]).matmul, START[:4], tolerance=1e-12)
    assert abs(got) == pytest.approx(5.0, rel=1e-12)


def test_it_is_never_behind_power_iteration() -> None:
    eigenvalues = torch.linspace(-0.9, 1.0, 200, dtype=torch.float64).tolist()
    matrix = symmetric(eigenvalues)
    for products in (2, 5, 10, 20):
        vector = START
        for _ in range(products - 1):
            vector = matrix @ vector
        power = float(vector @ matrix @ vector / (vector @ vector))
        got = dominant_eigenvalue(matrix.matmul, START, which="largest", iterations=products, tolerance=0.0)
        assert power < got <= 1.0 + 1e-12
    assert got > 0.99 > power


def test_no_more_products_are_made_than_allowed_or_needed() -> None:
    product, calls = counted(symmetric(torch.linspace(-1, 1, 200, dtype=torch.float64).tolist()))
    dominant_eigenvalue(product, START, iterations=7, tolerance=0.0)
    assert len(calls) == 7
    product, calls = counted(symmetric([3.0, *[0.01] * 199]))
    assert dominant_eigenvalue(product, START, iterations=50) == pytest.approx(3.0, rel=1e-6)
    assert len(calls) == 2, "two different eigenvalues are known after two products"
    product, calls = counted(symmetric([1.0, 2.0, 3.0]))
    dominant_eigenvalue(product, START[:3], iterations=50, tolerance=0.0)
    assert len(calls) == 3


def test_the_tolerance_bounds_the_error() -> None:
    matrix = symmetric(torch.linspace(-0.95, 1.0, 200, dtype=torch.float64).tolist())
    for tolerance in (1e-2, 1e-4, 1e-8):
        got = dominant_eigenvalue(matrix.matmul, START, iterations=200, tolerance=tolerance)
        assert got == pytest.approx(1.0, rel=tolerance)


def test_a_hessian_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(lnas.NumericalError, match="the Hessian of the validation loss by alpha is not finite"):
        dominant_eigenvalue(lambda vector: vector * torch.nan, START)
