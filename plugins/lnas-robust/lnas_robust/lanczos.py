"""The dominant eigenvalue of a symmetric matrix that is known by its products alone."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor

import lnas

Which: TypeAlias = Literal["magnitude", "largest"]


def dominant_eigenvalue(
    product: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    which: Which = "magnitude",
    iterations: int = 20,
    tolerance: float = 1e-3,
) -> float:
    """The eigenvalue of largest magnitude, with its sign, or the largest: -5 or 3 of the eigenvalues -5, 1 and 3.

    Power iteration that keeps its vectors (Lanczos 1950, orthogonalised in full): of all combinations of the vectors so far it
    takes the best, so that after as many products it is never behind power iteration.  It also tells eigenvalues
    apart that are equal but for the sign, between which power iteration swings for ever.

    Args:
        product: of the matrix and a vector (n,) float64 on the CPU; returns the like.
        start: (n,) float64 on the CPU, not 0; an eigenvector that it is orthogonal to is not seen.
        which: "magnitude" or "largest".
        iterations: the most products that are made; n are enough for any matrix.
        tolerance: there are no more once the eigenvalue is known to this part of itself.

    Raises:
        NumericalError: where a product is not finite.
    """
    basis = (start / torch.linalg.vector_norm(start)).unsqueeze(0)  # (products + 1, n), rows orthonormal
    diagonal: list[float] = []
    beside: list[float] = []
    value = 0.0
    for _ in range(min(iterations, len(start))):
        image = product(basis[-1])
        if not bool(image.isfinite().all()):
            raise lnas.NumericalError("the Hessian of the validation loss by alpha is not finite; its eigenvalue has no value")
        diagonal.append(float(image @ basis[-1]))
        for _ in range(2):  # once is not enough where much cancels
            image = image - (basis @ image) @ basis
        rest = float(torch.linalg.vector_norm(image))
        values, vectors = torch.linalg.eigh(_tridiagonal(diagonal, beside))
        best = int((values.abs() if which == "magnitude" else values).argmax())
        value = float(values[best])
        if rest * abs(float(vectors[-1, best])) <= tolerance * abs(value):  # the norm of H x - value x
            break
        beside.append(rest)
        basis = torch.cat([basis, (image / rest).unsqueeze(0)])
    return value


def _tridiagonal(diagonal: list[float], beside: list[float]) -> Tensor:
    middle, side = (torch.tensor(entries, dtype=torch.float64) for entries in (diagonal, beside))
    return torch.diag(middle) + torch.diag(side, 1) + torch.diag(side, -1)
