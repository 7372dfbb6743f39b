"""What an importance is tried on: a tiny network or supernet, a target on it, and a loss that notes whether it is used."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lnas.builtin.classification import cross_entropy
from lnas.builtin.darts import Darts
from lnas.builtin.importances import random
from lnas.builtin.targets import Alpha, Theta
from lnas.builtin.weights import WeightTraining
from lnas.core.errors import ConfigError
from lnas.core.learner import Learner
from lnas.core.mask import MaskTarget, Tensors, prune
from lnas.core.types import Batch, Predict, State
from lnas.testing.states import copied
from lnas.testing.subjects import batches, moved, tiny_cells, tiny_network

SPARSITY = 0.5


@dataclass
class Watched:
    """An `lnas.Objective` that notes whether it was asked for anything but its batch."""

    learner: Learner
    batch: Batch
    used: bool = field(default=False, init=False)

    @property
    def module(self) -> nn.Module:
        """The learner's."""
        self.used = True
        return self.learner.module

    @property
    def predict(self) -> Predict:
        """The learner's."""
        self.used = True
        return self.learner.predict

    def __call__(self) -> Tensor:
        """Cross entropy on the batch."""
        self.used = True
        return cross_entropy(self.learner.predict, self.batch)


@dataclass
class Subject:
    """What an importance scores, and all that it could change."""

    learner: Learner
    target: MaskTarget
    loss: Watched

    @property
    def masks(self) -> Tensors:
        """The live masks."""
        return self.target.masks()

    def state(self) -> State:
        """Values, gradients, flags and modes, copied."""
        module, tensors = self.learner.module, self.target.tensors()
        every = {**dict(module.named_parameters()), **{f"{self.target.name}/{name}": tensor for name, tensor in tensors.items()}}
        return {
            "values": copied({**module.state_dict(), **tensors}),
            "masks": copied(self.masks),
            "gradients": {name: copied(tensor.grad) for name, tensor in every.items()},
            "requires_grad": {name: tensor.requires_grad for name, tensor in every.items()},
            "training": {name: part.training for name, part in module.named_modules()},
        }


def made(target: str, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Subject:
    """A tiny network with its weights as the target, or a tiny supernet with its paths."""
    learner: Learner
    if target == "theta":
        learner = WeightTraining(tiny_network().to(device, dtype), cross_entropy)
        found: MaskTarget = Theta.of(learner)
    elif target == "alpha":
        learner = Darts(tiny_cells().to(device, dtype), cross_entropy)
        found = Alpha(learner)
    else:
        raise ConfigError(f"targets must be theta, alpha or both, not {target!r}")
    return Subject(learner, found, Watched(learner, moved(batches(1)[0], dtype=dtype, device=device)))


def pruned(target: str) -> Subject:
    """Half of the entries are dead."""
    subject = made(target)
    prune(subject.target, SPARSITY, importance=random)
    return subject


def emptied(target: str) -> Subject:
    """All entries of the second layer, or of the first edge, are dead."""
    subject = made(target)
    masks = list(subject.masks.values())
    (masks[1] if target == "theta" else masks[0][0]).fill_(False)
    subject.target.apply()
    return subject
