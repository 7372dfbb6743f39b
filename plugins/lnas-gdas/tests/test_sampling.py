"""The samples have the frequencies of softmax(alpha), and the gradient is that of the formula."""

import pytest
import torch
from lnas_gdas.sampling import gumbel, largest, straight_through

import lnas

ALPHA = torch.tensor([[0.7, -1.2, 0.1, 2.0], [0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)


def frequencies(alpha: torch.Tensor, alive: torch.Tensor, draws: int) -> torch.Tensor:
    """Counts over all draws, made at once."""
    many = alpha.expand(draws, *alpha.shape).reshape(-1, alpha.shape[1])
    noise = gumbel(many.shape, lnas.stream(5, "samples"))
    picked = largest(many + noise, alive.repeat(draws, 1))
    return picked.view(draws, *alpha.shape).sum(0)


def test_samples_are_distributed_as_softmax_of_alpha() -> None:
    """Chi-square with 3 degrees of freedom; 16.27 is its 0.999 quantile."""
    draws = 40_000
    counts = frequencies(ALPHA, torch.ones(2, 4, dtype=torch.bool), draws)
    expected = draws * torch.softmax(ALPHA, -1)
    chi_square = ((counts - expected) ** 2 / expected).sum(1)
    assert bool((chi_square < 16.27).all()), chi_square
    assert bool((chi_square > 0.02).all()), "0.02 is the 0.001 quantile: counts that good were not drawn"


def test_samples_are_distributed_over_the_live_paths_alone() -> None:
    draws = 40_000
    alive = torch.tensor([[True, False, True, True], [False, False, True, False]])
    counts = frequencies(ALPHA, alive, draws)
    assert bool((counts[~alive] == 0).all())
    assert int(counts[1, 2]) == draws
    expected = draws * torch.softmax(ALPHA[0, [0, 2, 3]], 0)
    assert float(((counts[0, [0, 2, 3]] - expected) ** 2 / expected).sum()) < 13.82  # 2 degrees of freedom, 0.999


def test_gumbel_noise_has_the_moments_of_its_distribution() -> None:
    """Mean 0.5772 (Euler's constant), variance pi^2/6; kurtosis 5.4, hence the standard errors."""
    noise = gumbel(torch.Size([200_000]), lnas.stream(0, "noise"))
    assert float(noise.mean()) == pytest.approx(0.57722, abs=4 * (1.645 / 200_000) ** 0.5)
    assert float(noise.var()) == pytest.approx(1.64493, abs=4 * 1.64493 * (4.4 / 200_000) ** 0.5)
    assert noise.dtype == torch.float64
    assert bool(noise.isfinite().all())


def test_an_edge_without_a_live_path_samples_none() -> None:
    alive = torch.tensor([[True, False, True, True], [False] * 4])
    paths = largest(ALPHA, alive)
    assert paths.tolist() == [[False, False, False, True], [False] * 4]
    alpha = ALPHA.clone().requires_grad_()
    gates = straight_through(alpha, 0.5, alive, paths)
    assert gates.tolist() == [[0, 0, 0, 1], [0] * 4]
    (slope,) = torch.autograd.grad(gates[0, 3] + 7 * gates[1, 0], alpha)
    assert slope[1].tolist() == [0] * 4
    assert float(slope[0, 1]) == 0
    assert bool((slope[0, [0, 2, 3]] != 0).all())


@pytest.mark.parametrize("temperature", [10.0, 1.0, 0.1])
def test_the_gradient_is_that_of_the_tempered_softmax(temperature: float) -> None:
    """d h_s / d alpha_k = h_s (delta_sk - h_k) / temperature, with h the soft sample, s the hard one."""
    noise = gumbel(ALPHA.shape, lnas.stream(1, "noise"))
    alpha = ALPHA.clone().requires_grad_()
    alive = torch.ones(2, 4, dtype=torch.bool)
    paths = largest(ALPHA + noise, alive)
    gates = straight_through(alpha + noise, temperature, alive, paths)
    assert torch.equal(gates.detach(), paths.double()), "exactly one-hot"
    (slope,) = torch.autograd.grad((torch.tensor([3.0, -2.0], dtype=torch.float64) * gates[paths]).sum(), alpha)
    for edge, worth in enumerate((3.0, -2.0)):
        scaled = [float(value) / temperature for value in ALPHA[edge] + noise[edge]]
        exponents = torch.tensor([value - max(scaled) for value in scaled], dtype=torch.float64).exp()
        soft = exponents / exponents.sum()
        hot = int(paths[edge].nonzero())
        by_hand = [float(worth * soft[hot] * (float(k == hot) - float(soft[k])) / temperature) for k in range(4)]
        assert slope[edge].tolist() == pytest.approx(by_hand, rel=1e-12, abs=1e-13)


def test_gates_are_exactly_one_hot_in_float32_too() -> None:
    alpha = torch.randn(200, 8, generator=lnas.stream(2, "alpha"))
    alive = torch.ones(200, 8, dtype=torch.bool)
    noisy = alpha + gumbel(alpha.shape, lnas.stream(2, "noise")).float()
    gates = straight_through(noisy, 5.0, alive, largest(noisy, alive))
    assert set(gates.flatten().tolist()) == {0.0, 1.0}
