"""Gamma draws against the distribution function, and their derivative against 30 digits and an implicit difference."""

import math

import pytest
import torch
from lnas_drnas.gamma import Noise, log_gamma, log_slope, noise

import lnas

# d ln z / d a, summed from the power series of the incomplete gamma function with 40 digits and more (mpmath).
REFERENCE = [
    (0.001, math.log(7.0), 126.9895036569917),
    (0.05, math.log(7.0), 2.873359596480505),
    (1.0, 1.90796630015999, 0.3881961137870265),
    (4.0, 1.776453745864484, 0.21308877332776022),
    (9.0, 2.1599570173405476, 0.11531178706692324),
    (20.0, 2.979019138405625, 0.05084116831247387),
    (50.0, 3.9053489203618126, 0.020133836161663313),
    (300.0, 5.759878642846339, 0.0032425146027557673),
    (1000.0, 6.9074219271289135, 0.0010003333962909497),
]


def wide(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


@pytest.mark.parametrize(("a", "log_z", "slope"), REFERENCE)
def test_the_derivative_agrees_with_forty_digits(a: float, log_z: float, slope: float) -> None:
    assert float(log_slope(wide(a), wide(log_z))) == pytest.approx(slope, rel=1e-11)


@pytest.mark.parametrize("a", [0.2, 0.4, 1.0, 3.0, 7.0, 9.0, 30.0, 200.0])
def test_the_distribution_function_is_constant_along_the_derivative(a: float) -> None:
    """P(a + h, z e^(h slope)) - P(a - h, z e^(-h slope)) is 0 but for O(h^3) and rounding, relative to z p(z)."""
    h = 1e-4 * min(a, 1.0)
    spread = 1 / math.sqrt(a)
    log_z = torch.tensor([math.log(a) + k * spread / 2 for k in range(-5, 3)], dtype=torch.float64)
    shape = torch.full_like(log_z, a)
    slope = log_slope(shape, log_z)
    p = [torch.special.gammainc(shape + s * h, (log_z + s * h * slope).exp()) for s in (1, -1)]
    density = (shape * log_z - log_z.exp() - torch.lgamma(shape)).exp()  # z p(z)
    assert bool(((p[0] - p[1]).abs() / (2 * h * density) < 1e-6 * slope).all())
    rival = [torch.special.gammainc(shape + s * h, (log_z + 1.001 * s * h * slope).exp()) for s in (1, -1)]
    assert bool(((rival[0] - rival[1]).abs() / (2 * h * density) > 5e-4 * slope).all()), "a thousandth off is seen"


def test_both_ways_to_compute_it_meet_where_they_change() -> None:
    shape = torch.tensor([0.01, 0.5, 1.0, 6.0, 8.0, 8.5, 9.0, 40.0, 500.0], dtype=torch.float64)
    border = torch.full_like(shape, math.log(8.0))
    torch.testing.assert_close(log_slope(shape, border - 1e-13), log_slope(shape, border + 1e-13), rtol=1e-11, atol=0)


def test_the_derivative_of_a_draw_too_small_for_a_float_is_its_limit() -> None:
    """z -> 0: ln z ~ (ln U + lgamma(a + 1)) / a, so the slope is (ψ(a + 1) - ln z) / a."""
    for a, log_z in ((0.002, -2000.0), (0.3, -900.0)):
        limit = (float(torch.digamma(wide(a + 1))) - log_z) / a
        assert float(log_slope(wide(a), wide(log_z))) == pytest.approx(limit, rel=1e-13)


@pytest.mark.parametrize("a", [0.02, 0.5, 1.0, 2.5, 12.0])
def test_draws_follow_the_gamma_distribution(a: float) -> None:
    """Kolmogorov and Smirnov: sqrt(n) sup |P_n - P| is above 1.95 with probability 0.001."""
    n = 40_000
    log_z = log_gamma(torch.full((n,), a, dtype=torch.float64), noise(torch.Size([n]), lnas.stream(3, f"gamma/{a}")))
    p = torch.special.gammainc(torch.full_like(log_z, a), log_z.exp()).sort().values
    below = torch.arange(n, dtype=torch.float64) / n
    distance = float(torch.maximum((p - below).abs(), (p - below - 1 / n).abs()).max())
    assert math.sqrt(n) * distance < 1.95
    psi, variance = float(torch.digamma(wide(a))), float(torch.polygamma(1, wide(a)))
    assert float(log_z.mean()) == pytest.approx(psi, abs=4 * math.sqrt(variance / n))


def test_the_first_proposal_that_is_taken_counts() -> None:
    """a = 1/3: d = 1, and proposal e is (1 + e/3)^3, taken where ln u < e^2/2 + 1 - v + ln v."""
    normal = torch.tensor([[-4.0, 1.0, 0.3, 2.0]], dtype=torch.float64)  # -4 gives a root below 0
    uniform = torch.tensor([[0.001, 1.0, 0.5, 0.5]], dtype=torch.float64)
    v = (1 + 1.0 / 3) ** 3
    assert math.log(1.0) > 0.5 + 1 - v + math.log(v), "the second is refused"
    got = log_gamma(wide(1 / 3), Noise(normal, uniform, wide(0.25)))
    assert float(got) == pytest.approx(3 * math.log(1 + 0.3 / 3) + 3 * math.log(0.25), rel=1e-14)


def test_as_much_noise_is_drawn_whatever_the_shape_is() -> None:
    made = noise(torch.Size([50, 8]), lnas.stream(0, "noise"))
    assert [part.shape for part in made] == [(50, 8, 12), (50, 8, 12), (50, 8)]
    assert all(part.dtype == torch.float64 for part in made)
    assert bool((made.uniform > 0).all() and (made.uniform <= 1).all() and (made.boost > 0).all())
    tiny, large = (log_gamma(torch.full((50, 8), a, dtype=torch.float64), made) for a in (1e-9, 1e4))
    assert bool(tiny.isfinite().all() and large.isfinite().all())
