"""Importances from derivatives of the loss by the entries themselves.

g is the gradient of the loss on the current batch and H its Hessian, both by the entries that are pruned and no others.
Gradients by leaves are means over all processes, each of the two in `grasp` too.
"""

import torch
from torch import Tensor

import lnas


def snip(tensors: lnas.Tensors, masks: lnas.Tensors, loss: lnas.Objective) -> lnas.Tensors:
    """|g ⊙ theta|, the connection sensitivity (SNIP: Lee, Ajanthan and Torr 2019).

    It is |∂L/∂c| at c = 1 where each weight is c · theta.  The paper divides by the sum of all, which moves no order.

    Raises:
        ConfigError: where there is no loss, or an entry takes no gradient.
    """
    slopes = _slopes("snip", tensors, loss())
    return {name: (tensor.detach() * slopes[name]).abs() for name, tensor in tensors.items()}


def taylor(tensors: lnas.Tensors, masks: lnas.Tensors, loss: lnas.Objective) -> lnas.Tensors:
    """(g ⊙ theta)^2, the first-order estimate of the squared change of the loss (Molchanov et al. 2019).

    Raises:
        ConfigError: where there is no loss, or an entry takes no gradient.
    """
    slopes = _slopes("taylor", tensors, loss())
    return {name: (tensor.detach() * slopes[name]).square() for name, tensor in tensors.items()}


def grasp(tensors: lnas.Tensors, masks: lnas.Tensors, loss: lnas.Objective) -> lnas.Tensors:
    """theta ⊙ H(g ⊙ M), what a removal takes from the gradient flow |g ⊙ M|^2, by half (Wang, Zhang and Grosse 2020).

    The paper and its code score S(-theta) = -theta ⊙ Hg and remove the weights with the highest S: those without which the
    gradient flow grows most, or falls least.  Here the lowest goes first, so the sign is the other one and the order the
    paper's.  Departures: one batch, whatever its classes, and no temperature of 200 in the softmax, nor fresh values for the
    linear layers.  Of gradients, those of dead entries do not flow and are left out.

    Raises:
        ConfigError: where there is no loss, or an entry takes no gradient.
    """
    slopes = _slopes("grasp", tensors, loss(), create_graph=True)
    flow = sum(
        ((slopes[name].detach() * masks[name].to(slopes[name].device) * slopes[name]).sum() for name in tensors),
        start=torch.zeros(()),
    )
    if not flow.requires_grad:  # the loss is linear in all entries
        return {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    curved = _slopes("grasp", tensors, flow)
    return {name: tensor.detach() * curved[name] for name, tensor in tensors.items()}


def _slopes(importance: str, tensors: lnas.Tensors, value: Tensor, *, create_graph: bool = False) -> dict[str, Tensor]:
    """∂value by each tensor; 0 for what it does not depend on."""
    for name, tensor in tensors.items():
        if not tensor.requires_grad:
            raise lnas.ConfigError(f"importance {importance} differentiates the loss, and {name} takes no gradient; use another")
    if not value.requires_grad:
        raise lnas.ConfigError(f"importance {importance} differentiates the loss, and the loss given here has no gradient")
    slopes = torch.autograd.grad(
        value, list(tensors.values()), create_graph=create_graph, allow_unused=True, materialize_grads=True
    )
    return dict(zip(tensors, slopes, strict=True))
