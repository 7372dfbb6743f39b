"""The gradient of the unrolled objective, ∇_alpha L_val(theta - xi ∇_theta L_train(theta, alpha), alpha) (Eq. 6).

`exact` differentiates through the inner step; `finite` replaces the second derivative by a central difference (DARTS,
Eq. 7 and 8).  The virtual step is plain gradient descent, as the paper writes it, without momentum or weight decay.

Where several processes learn together, L_train and L_val are means over all of them, and so must every gradient be: that
of the virtual step is averaged before the step is taken, and `exact` differentiates through that average.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lnas.core.frozen import frozen
from lnas.core.learner import Average, alone
from lnas.core.types import Batch

Objective = Callable[[Batch], Tensor]
"""The differentiable loss on a batch, at the current theta and alpha."""


def gradients(
    loss: Tensor, tensors: Sequence[Tensor], *, create_graph: bool = False, average: Average = alone
) -> tuple[Tensor, ...]:
    """`autograd.grad` with zeros for what the loss does not depend on; means over all processes."""
    if not loss.requires_grad:
        return average([torch.zeros_like(tensor) for tensor in tensors])
    return average(torch.autograd.grad(loss, tensors, create_graph=create_graph, allow_unused=True, materialize_grads=True))


def exact(
    module: nn.Module,
    objective: Callable[[Callable[..., Tensor], Batch], Tensor],
    alphas: Sequence[Tensor],
    xi: float,
    train: Batch,
    val: Batch,
    average: Average = alone,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """L_val after the virtual step, and its gradient by alpha, through double backward.

    Args:
        module: holds theta.
        objective: `objective(call, batch)`: the loss where `call(*args)` stands for the module.
        alphas: leaves to differentiate by.
        xi: learning rate of the virtual step.
        train: batch of the inner loss.
        val: batch of the outer loss.
        average: of the learner: the mean over all processes.

    The loss that is returned is that of this process.
    """

    def at(parameters: Mapping[str, Tensor]) -> Callable[..., Tensor]:
        return lambda *args: functional_call(module, dict(parameters), args)

    theta = {name: value for name, value in module.named_parameters() if value.requires_grad}
    inner = gradients(objective(at(theta), train), list(theta.values()), create_graph=True, average=average)
    ahead = {name: value - xi * slope for (name, value), slope in zip(theta.items(), inner, strict=True)}
    outer = objective(at(ahead), val)
    return outer.detach(), gradients(outer, alphas, average=average)


def finite(
    module: nn.Module,
    objective: Objective,
    alphas: Sequence[Tensor],
    xi: float,
    train: Batch,
    val: Batch,
    average: Average = alone,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """As `exact`, with the mixed second derivative from two more gradients at theta ± epsilon ∇_theta' L_val.

    epsilon times the norm of ∇_theta' L_val is 2 · eps^(1/3) of the dtype, where truncation and rounding of a central
    difference balance: 0.01 in float32, as DARTS uses.  theta is put back bitwise.
    """
    theta: list[Tensor] = [value for value in module.parameters() if value.requires_grad]
    saved = [value.detach().clone() for value in theta]
    radius = 2 * torch.finfo(theta[0].dtype).eps ** (1 / 3)

    @torch.no_grad()
    def move(direction: Sequence[Tensor], scale: Tensor | float) -> None:
        torch._foreach_copy_(theta, saved)
        torch._foreach_add_(theta, list(torch._foreach_mul(list(direction), scale)))

    try:
        move(gradients(objective(train), theta, average=average), -xi)
        outer = objective(val)
        slopes = gradients(outer, [*alphas, *theta], average=average)
        direct, ahead = slopes[: len(alphas)], slopes[len(alphas) :]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(ahead))))
        epsilon = radius / norm.clamp_min(torch.finfo(norm.dtype).tiny)
        with frozen(module):
            move(ahead, epsilon)
            above = gradients(objective(train), alphas, average=average)
            move(ahead, -epsilon)
            below = gradients(objective(train), alphas, average=average)
    finally:
        with torch.no_grad():
            torch._foreach_copy_(theta, saved)
    return outer.detach(), tuple(d - xi * (a - b) / (2 * epsilon) for d, a, b in zip(direct, above, below, strict=True))
