"""The Dirichlet distribution of an edge over its live paths: concentrations, mean, and draws with a pathwise gradient."""

import torch
from torch import Tensor

import lnas
from lnas_drnas.gamma import Noise, log_gamma, log_slope


def log_mean(alpha: Tensor) -> Tensor:
    """ln beta: its softmax over the live paths of an edge is the mean of the distribution, beta / Σ beta."""
    return torch.where(alpha > 0, alpha.clamp_min(0).log1p(), alpha)


def concentration(alpha: Tensor) -> Tensor:
    """beta = elu(alpha) + 1, above 0: alpha + 1, or exp(alpha) where alpha is below 0, which is not lost next to 1."""
    return log_mean(alpha).exp()


def drawn(alpha: Tensor, alive: Tensor, noise: Noise) -> Tensor:
    """Gates ~ Dirichlet(beta) over the live paths of each edge, differentiable by alpha.

    Gammas of the shapes beta, divided by their sum.  The gradient goes through each gamma along its quantile, so that it is
    that of the expectation, on the average.

    Args:
        alpha: (edges, operations) float.
        alive: (edges, operations) bool, on any device.
        noise: for gammas of that shape, on alpha's device.

    Returns:
        (edges, operations): rows sum to 1, a dead path is exactly 0, an edge with no live path is all 0.
    """
    beta = concentration(alpha.double())
    log_z = log_gamma(beta, noise)
    if beta.requires_grad:
        log_z = log_z + log_slope(beta, log_z) * (beta - beta.detach())  # the bracket is exactly 0
    return lnas.relax(log_z, alive).to(alpha.dtype)


def anchor_slope(alpha: Tensor) -> Tensor:
    """The gradient of |beta - 1|^2 / 2 by alpha: the distance to Dirichlet(1, ..., 1), the uniform one."""
    return (concentration(alpha) - 1) * alpha.clamp_max(0).exp()
