"""The steps of the yardstick, as the published code takes them: `backward()` through everything, a copied model to unroll.

The alpha step calls `backward()` on the validation loss, which computes the gradients of theta too; the next theta step throws
them away.  The unrolled step copies the model, and takes the mixed second derivative by two more passes at theta ± radius.

What was not made worse: torch's own optimizers as they come, gradients set to None instead of 0, the copy by `deepcopy`
instead of building and drawing a new network, the two passes of the finite difference differentiated by alpha alone.  The
virtual step is plain gradient descent; the momentum and weight decay that the published one has would cost a little more.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.reference import EDGES, OPERATIONS, Network, Supernet

Batch = tuple[Tensor, Tensor]


class Training:
    """SGD with momentum on all of theta, gradients clipped: the theta step, and the training step of the evaluation network."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.optimizer = torch.optim.SGD(network.parameters(), 0.025, momentum=0.9, weight_decay=3e-4)

    def descend(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()


class NetworkTraining(Training):
    """Train the evaluation network."""

    def __init__(self, network: Network) -> None:
        super().__init__(network)

    def step(self, train: Batch) -> None:
        x, y = train
        self.descend(cross_entropy(self.network(x), y))


class Search(Training):
    """Alpha on the validation batch, then theta on the training batch.

    Args:
        network: holds theta; alpha is made on its device and in its dtype.
        radius: of the finite difference: what theta moves by, as a vector norm.
    """

    def __init__(self, network: Supernet, *, radius: float = 0.01) -> None:
        super().__init__(network)
        self.radius = radius
        like = next(network.parameters())
        self.alpha = {
            kind: nn.Parameter(1e-3 * torch.randn(len(EDGES), len(OPERATIONS), dtype=like.dtype, device=like.device))
            for kind in ("normal", "reduce")
        }
        self.alpha_optimizer = torch.optim.Adam(self.alpha.values(), 3e-4, betas=(0.5, 0.999), weight_decay=1e-3)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        x, y = batch
        return cross_entropy(network(x, self.alpha), y)

    def step(self, train: Batch, val: Batch) -> None:
        """One first-order step."""
        self.alpha_optimizer.zero_grad()
        self.loss(self.network, val).backward()
        self.alpha_optimizer.step()
        self.descend(self.loss(self.network, train))

    def unrolled_step(self, train: Batch, val: Batch) -> None:
        """One second-order step."""
        self.alpha_optimizer.zero_grad()
        self.unrolled_backward(train, val)
        self.alpha_optimizer.step()
        self.descend(self.loss(self.network, train))

    def unrolled_backward(self, train: Batch, val: Batch) -> None:
        """Leave ∇_alpha L_val(theta - xi ∇_theta L_train(theta, alpha), alpha) in alpha's gradients."""
        theta = list(self.network.parameters())
        xi = self.optimizer.param_groups[0]["lr"]
        slopes = torch.autograd.grad(self.loss(self.network, train), theta)
        ahead = copy.deepcopy(self.network)
        with torch.no_grad():
            for parameter, slope in zip(ahead.parameters(), slopes, strict=True):
                parameter.sub_(slope, alpha=xi)
        self.loss(ahead, val).backward()
        directions = [parameter.grad for parameter in ahead.parameters()]
        scale = self.radius / torch.cat([direction.flatten() for direction in directions]).norm()

        def moved(factor: float) -> tuple[Tensor, ...]:
            self._move(theta, directions, factor * scale)
            return torch.autograd.grad(self.loss(self.network, train), list(self.alpha.values()))

        above, below = moved(1.0), moved(-2.0)
        self._move(theta, directions, scale)
        for alpha, plus, minus in zip(self.alpha.values(), above, below, strict=True):
            alpha.grad -= xi * (plus - minus) / (2 * scale)

    @staticmethod
    @torch.no_grad()
    def _move(theta: Sequence[Tensor], directions: Sequence[Tensor], scale: Tensor) -> None:
        for parameter, direction in zip(theta, directions, strict=True):
            parameter.add_(scale * direction)
