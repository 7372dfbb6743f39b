"""Gamma draws from noise that does not depend on their shape, and their derivative by the shape.

torch's own draws use its global generators.  Here all noise is drawn on the CPU from a stream of the caller's, and as much of
it whatever the shapes are: a seed then stands for the same draws on every device, and no step waits for one.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

PROPOSALS = 12
"""Of Marsaglia and Tsang's rejection, made at once.  Each is taken with a probability of at least 0.95, so that all are refused
with one of less than 0.05^12, 2.5e-16: no draw of any run."""

_TERMS = 64
_NODES = 80


class Noise(NamedTuple):
    """What one draw of each of n gammas needs, in float64.

    Attributes:
        normal: (..., PROPOSALS), standard normal.
        uniform: (..., PROPOSALS), in (0, 1].
        boost: (...), in (0, 1].
    """

    normal: Tensor
    uniform: Tensor
    boost: Tensor


def noise(shape: torch.Size, generator: torch.Generator) -> Noise:
    """Noise for gammas of this shape, from a generator of the CPU."""
    many = (*shape, PROPOSALS)
    normal = torch.randn(many, generator=generator, dtype=torch.float64)
    uniform, boost = (1 - torch.rand(size, generator=generator, dtype=torch.float64) for size in (many, shape))
    return Noise(normal, uniform, boost)


@torch.no_grad()
def log_gamma(shape: Tensor, drawn: Noise) -> Tensor:
    """ln z with z ~ Gamma(shape, 1) (Marsaglia and Tsang 2000), exact also where z itself is too small for a float.

    A Gamma(a + 1) by rejection, times U^(1/a), is a Gamma(a).

    Args:
        shape: (...) float64, above 0.
        drawn: noise of that shape, on the same device.
    """
    d = (shape + 2 / 3).unsqueeze(-1)  # (a + 1) - 1/3
    root = 1 + drawn.normal / (9 * d).sqrt()
    log_v = 3 * root.clamp_min(torch.finfo(root.dtype).tiny).log()
    taken = (root > 0) & (drawn.uniform.log() < drawn.normal**2 / 2 + d * (1 - log_v.exp() + log_v))
    first = taken.to(torch.int8).argmax(-1, keepdim=True)
    return d.squeeze(-1).log() + log_v.gather(-1, first).squeeze(-1) + drawn.boost.log() / shape


@torch.no_grad()
def log_slope(shape: Tensor, log_z: Tensor) -> Tensor:
    """d ln z / d shape along the quantile: -(dP/da) / (z p), with P and p the distribution and the density of Gamma(a, 1).

    This is the pathwise gradient of a gamma by its shape (Figurnov, Mohamed and Mnih 2018), whatever made the draw.  Below
    z = 8 it is summed as the derivative of the series of P; from there on the integral of dp/da is taken from z to where p is
    small, on the side where its integrand has one sign.  Both are good to 1e-11 relative for shapes up to 1000.

    Args:
        shape: (...) float64, above 0.
        log_z: (...) float64, any real number.
    """
    border = math.log(8)
    return torch.where(log_z < border, _series(shape, log_z.clamp_max(border)), _integral(shape, log_z.clamp_min(border)))


def _series(a: Tensor, log_z: Tensor) -> Tensor:
    """Σ_n z^n Γ(a) / Γ(a + n + 1) (ψ(a + n + 1) - ln z).  Terms of both signs cost a factor of e^z in precision.

    Γ and ψ by their recurrences, whose sums are products with a triangle: torch's own running sum has no order on a GPU.
    """
    n = torch.arange(_TERMS, dtype=torch.float64, device=a.device)
    until = torch.ones(_TERMS, _TERMS, dtype=torch.float64, device=a.device).triu()
    log_z, steps = log_z.unsqueeze(-1), a.unsqueeze(-1) + n
    term = (n * log_z - steps.log() @ until).exp()
    psi = torch.digamma(a + 1).unsqueeze(-1) + (1 / steps[..., 1:]) @ until[1:]
    return (term * (psi - log_z)).sum(-1)


def _integral(a: Tensor, log_z: Tensor) -> Tensor:
    """∫ exp(±a w - z (e^±w - 1)) (|ψ(a) - ln z| + w) dw over w > 0: the integral over t = z e^±w, up where ln z > ψ(a).

    By the trapezoidal rule in x, where w = exp(x - e^-x) / sqrt(z): it converges exponentially (Takahasi and Mori 1974).
    """
    x = torch.linspace(-3.7, 4.3, _NODES, dtype=torch.float64, device=a.device)
    unit, weight = (x - (-x).exp()).exp(), (1 + (-x).exp()) * (8.0 / (_NODES - 1))
    z = log_z.exp()
    w = unit / z.sqrt().unsqueeze(-1)
    distance = (torch.digamma(a) - log_z).unsqueeze(-1)
    upwards = torch.where(distance < 0, 1.0, -1.0).to(torch.float64) * w
    exponent = a.unsqueeze(-1) * upwards - z.unsqueeze(-1) * torch.expm1(upwards)
    return (exponent.exp() * (distance.abs() + w) * w) @ weight
