"""A factorized reduce as one convolution.

Its two strided 1x1 convolutions read the pixels (2i, 2j) and (2i + 1, 2j + 1).  Both are 2x2 convolutions of stride 2 with one
tap that is not 0, hence one convolution with the weights stacked: no shifted copy of x is made, and no zeros are filled in and
added for its gradient.
"""

from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

from lnas.builtin.fast.norms import watched
from lnas.builtin.operations import FactorizedReduce


def reduces(operation: nn.Module) -> TypeGuard[FactorizedReduce]:
    """Whether it is a factorized reduce that `reduced` can stand in for."""
    if type(operation) is not FactorizedReduce:
        return False
    return not watched(operation, *operation.children()) and type(operation.even) is type(operation.odd) is nn.Conv2d


def reduced(operation: FactorizedReduce, positive: Tensor) -> Tensor:
    """(B, inputs, H, W), behind its ReLU -> (B, outputs, ceil(H / 2), ceil(W / 2)), normalised by the operation's own norm."""
    even = functional.pad(operation.even.weight, (0, 1, 0, 1))  # (outputs / 2, inputs, 2, 2)
    odd = functional.pad(operation.odd.weight, (1, 0, 1, 0))
    height, width = positive.shape[-2:]
    whole = functional.pad(positive, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else positive
    value: Tensor = operation.norm(functional.conv2d(whole, torch.cat([even, odd]), stride=2))
    return value
