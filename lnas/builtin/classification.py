"""Classification: the loss that is trained, and the count of hits that is reported."""

import torch
from torch import Tensor
from torch.nn import functional

from lnas.core.errors import ContractError
from lnas.core.types import Batch, Predict


def cross_entropy(network: Predict, batch: Batch, *, auxiliary: float = 0.4) -> Tensor:
    """The mean cross entropy of a batch `(x, y)`.

    A network that returns `(logits, auxiliary logits)` gets `auxiliary` times the loss of the second on top (the
    auxiliary head of GoogLeNet, Szegedy et al. 2014, with the weight of DARTS).

    Raises:
        ContractError: where an output is not one row of logits for each example.
    """
    x, y = batch
    output = network(x)
    if not isinstance(output, tuple):
        return functional.cross_entropy(_logits(output, y), y)
    logits, side = output
    return functional.cross_entropy(_logits(logits, y), y) + auxiliary * functional.cross_entropy(_logits(side, y), y)


@torch.no_grad()
def correct(network: Predict, batch: Batch) -> tuple[Tensor, int]:
    """How many of a batch `(x, y)` have their class as the largest logit, (0-d int64, on the device), and how many there are.

    Of a network that returns a tuple, its first output counts.  The caller chooses evaluation mode.
    """
    x, y = batch
    output = network(x)
    logits = _logits(output[0] if isinstance(output, tuple) else output, y)
    return (logits.argmax(1) == y).sum(), len(y)


def _logits(output: object, y: Tensor) -> Tensor:
    """The output, where it has the shape of logits; the space is whose networks these are."""
    if not isinstance(output, Tensor) or output.dim() != 2 or len(output) != len(y):
        gave = f"a tensor of shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise ContractError("space", f"a network must give ({len(y)}, classes) logits for {len(y)} examples, not {gave}")
    return output
