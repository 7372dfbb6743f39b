"""The costs that Table 1 of the paper prints: what NNI's counter says of a masked network."""

import math

from torch import Tensor, nn

from lnas.core.errors import SparsityError
from lnas.cost.forward import Shape, answer, evaluation, zeros

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def nni_compat(network: nn.Module, shape: Shape, sparsity: float) -> int:
    """The figure that NNI's counter gives for a network pruned layer by layer to `sparsity`.  Not an honest cost.

    Every convolution and linear layer is taken to have lost its `int(sparsity * |W|)` smallest weights.  What is left is
    squeezed into whole filters, `nnz // (in_channels * kernel)`, although it lies scattered in all of them.  For a grouped
    convolution that is too few filters by the number of groups: a depthwise one, masked at all, has less than one left and
    counts 0.  A linear layer counts once, however many rows its input has.  At sparsity 0 no layer carries a mask, and NNI
    counts `out_channels`.

    Args:
        network: its weights are not looked at, and not changed.
        shape: of one input, without the batch, or the task.
        sparsity: of every layer, in [0, 1).

    Raises:
        SparsityError: where the sparsity is outside [0, 1).
    """
    if not 0 <= sparsity < 1:
        raise SparsityError(f"sparsity {sparsity!r} is outside [0, 1)")
    counts: list[int] = []

    def count(layer: nn.Module, inputs: object, output: Tensor) -> None:
        weight = layer.get_parameter("weight")
        left = weight.numel() - int(weight.numel() * sparsity)
        if isinstance(layer, nn.Linear):
            filters, size, places, groups = layer.out_features, layer.in_features, 1, 1
        else:
            assert isinstance(layer, CONVOLUTIONS)
            filters, groups, places = layer.out_channels, layer.groups, output.shape[2:].numel()
            size = layer.in_channels * math.prod(layer.kernel_size)
        counts.append((left // size if sparsity else filters) * places * size // groups)

    layers = (layer for layer in network.modules() if isinstance(layer, (*CONVOLUTIONS, nn.Linear)))
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with evaluation(network):
            answer(network, zeros(network, shape))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counts)
