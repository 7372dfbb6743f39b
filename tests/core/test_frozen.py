"""Inside `frozen` no parameter asks for a gradient; afterwards those that did, do."""

import pytest
import torch
from torch import nn

from lnas.core.frozen import frozen


def test_parameters_ask_again_afterwards_whatever_happens() -> None:
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    with pytest.raises(RuntimeError, match="inside"), frozen(module):
        assert not module.weight.requires_grad
        x = torch.ones(1, 2, requires_grad=True)
        module(x).sum().backward()
        assert module.weight.grad is None and x.grad is not None
        raise RuntimeError("inside")
    assert module.weight.requires_grad and not module.bias.requires_grad
