"""SynFlow: the flow through the network that is made of absolute weights, without data.

R = 1ᵀ ∏ |theta_l| 1 is what the network answers, summed, where every weight is positive and the input is all ones.  The score
of a weight is |theta| ∂R/∂|theta|: what of R goes through it.  In a network of rectifiers without biases and normalisation the
scores of every layer sum to R, and what enters a hidden unit leaves it (Tanaka et al. 2020, Theorems 1 and 2).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

import lnas


@lnas.only_for("train")
def synflow(tensors: lnas.Tensors, masks: lnas.Tensors, loss: lnas.Objective) -> lnas.Tensors:
    """|theta| ⊙ ∂R/∂|theta| (Tanaka et al. 2020), in float64.

    The network runs once in evaluation mode and in double precision (R grows with depth beyond what float32 holds), on one
    input of ones, with copies of its parameters and buffers; the network itself is left as it is.  Biases are made positive
    too, as in the authors' code.  A departure: running means count as 0, where the code subtracts their absolute values,
    which can stop the flow; before training both are 0.  The loss is never computed: it is run up to its call of the network,
    which says what an input looks like.

    Raises:
        ConfigError: where the network is not known, or is a search space, or an entry is none of its parameters, or its input
            cannot be made of ones.
    """
    network = loss.module
    if isinstance(network, lnas.SearchSpace):
        raise lnas.ConfigError("importance synflow scores the weights of a network, not the paths of a space; use it with theta")
    absolute = {name: value.detach().abs().double() for name, value in network.named_parameters()}
    names = {id(value): name for name, value in network.named_parameters()}
    for name, tensor in tensors.items():
        if id(tensor) not in names:
            raise lnas.ConfigError(
                f"importance synflow scores parameters of the network, and {name} is none of them; use it with theta"
            )
    leaves = {name: absolute[names[id(tensor)]].requires_grad_() for name, tensor in tensors.items()}
    args, kwargs = _ones(*_call(loss))
    with torch.enable_grad(), _evaluating(network):
        flow = _total(functional_call(network, {**absolute, **_buffers(network)}, args, kwargs))
        if not flow.requires_grad:
            raise lnas.ConfigError("importance synflow: the network's output does not depend on the weights that are pruned")
        slopes = torch.autograd.grad(flow, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return {name: leaf.detach() * slope for (name, leaf), slope in zip(leaves.items(), slopes, strict=True)}


def _buffers(network: nn.Module) -> dict[str, Tensor]:
    """Copies, positive and in double precision where they are floating; running means are 0."""
    copies = {}
    for name, value in network.named_buffers():
        copy = value.detach().clone()
        if copy.is_floating_point():
            copy = torch.zeros_like(copy) if name.rpartition(".")[2] == "running_mean" else copy.abs()
            copy = copy.double()
        copies[name] = copy
    return copies


class _Called(BaseException):
    """Carries the arguments of the network out of a loss, past whatever it catches."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.arguments = args, kwargs


def _call(loss: lnas.Objective) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the loss calls the network with.  The network does not run."""

    def stop(network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raise _Called(args, kwargs)

    handle = loss.module.register_forward_pre_hook(stop, prepend=True, with_kwargs=True)
    try:
        with torch.no_grad():
            loss()
    except _Called as called:
        return called.arguments
    finally:
        handle.remove()
    raise lnas.ConfigError("importance synflow cannot see an input: the loss does not call the network")


def _ones(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The same arguments for a batch of one: floating tensors as ones, other tensors by their first example."""
    if not any(isinstance(value, Tensor) and value.is_floating_point() for value in (*args, *kwargs.values())):
        raise lnas.ConfigError("importance synflow sends ones through the network, which takes no floating tensor as its input")

    def one(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.dim():
            return value
        first = value[:1]
        return torch.ones_like(first, dtype=torch.float64) if first.is_floating_point() else first

    return tuple(map(one, args)), {name: one(value) for name, value in kwargs.items()}


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, and afterwards each part in its own mode again, whatever is raised."""
    modes = [(part, part.training) for part in network.modules()]
    try:
        network.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training


def _total(output: Any) -> Tensor:
    """The sum of all floating tensors in what a network returned."""
    if isinstance(output, Tensor):
        return output.sum() if output.is_floating_point() else output.new_zeros((), dtype=torch.float64)
    if isinstance(output, Mapping):
        return _total(tuple(output.values()))
    if isinstance(output, list | tuple):
        return sum(map(_total, output), start=torch.zeros((), dtype=torch.float64))
    return torch.zeros((), dtype=torch.float64)
