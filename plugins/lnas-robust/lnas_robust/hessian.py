"""Products of the Hessian of the validation loss by alpha with vectors, through double backward."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call

import lnas


def hessian_product(strategy: lnas.Darts, val: lnas.Batch) -> Callable[[Tensor], Tensor]:
    """v -> ∇²_alpha L_val(theta, alpha) v, at the present theta and alpha; both stay bitwise as they are, and so do buffers.

    One forward and one backward pass here, whose graph is kept as long as the function; one backward pass through both at each
    call.

    Returns:
        A function of (n,) float64 on the CPU, n being the number of entries of all alphas, group by group; the mean over all
        processes.
    """
    space = strategy.space
    fixed = {
        **{name: parameter.detach() for name, parameter in space.named_parameters()},
        **{name: buffer.clone() for name, buffer in space.named_buffers()},
    }
    alphas = list(strategy.alpha.values())
    gates = strategy.gates()
    loss = strategy.loss(lambda x: functional_call(space, fixed, (x, gates)), val)
    slopes: tuple[Tensor, ...] = ()
    if loss.requires_grad:
        slopes = torch.autograd.grad(loss, alphas, create_graph=True, allow_unused=True, materialize_grads=True)
    curved = [index for index, slope in enumerate(slopes) if slope.requires_grad]

    def product(vector: Tensor) -> Tensor:
        images = tuple(torch.zeros_like(alpha) for alpha in alphas)
        if curved:
            parts = [part.view_as(alpha).to(alpha) for part, alpha in zip(torch.split(vector, sizes), alphas, strict=True)]
            images = torch.autograd.grad(
                [slopes[index] for index in curved],
                alphas,
                [parts[index] for index in curved],
                retain_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
        return torch.cat([image.detach().flatten().cpu().double() for image in strategy.average(images)])

    sizes = [alpha.numel() for alpha in alphas]
    return product
