"""DARTS: gradient descent on alpha and theta in turn (Liu, Simonyan and Yang 2019; the inner loop of Algorithms 1 to 3)."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from lnas.builtin.annealed_sgd import AnnealedSGD, Annealing, Clip, Lr, LrMin, Momentum, WeightDecay
from lnas.builtin.unrolled import exact, finite, gradients
from lnas.core.buffers import preserved_buffers
from lnas.core.errors import ConfigError
from lnas.core.frozen import frozen
from lnas.core.genotype import Genotype
from lnas.core.learner import SearchStrategy
from lnas.core.optimizers import load_optimizer_state, optimizer_state
from lnas.core.random import stream
from lnas.core.space import Gates, Paths, SearchSpace, relax
from lnas.core.types import Batch, Loss, Metrics, State


class Darts(SearchStrategy):
    """Owns alpha, one tensor per group, and descends on it with the validation batch, on theta with the training batch.

    A step is an alpha update and then a theta update.  With `alternate=k` above 1, it is one of the two: k alpha updates,
    then k theta updates, and so on, as Algorithms 1 to 3 print it, each on its own batch of the two.

    Args:
        space: the supernet; alpha is made on its device and in its dtype.
        loss: `loss(network, batch)`.
        steps: of the whole search, over which theta's cosine runs; 0 keeps the learning rate as it is.
        seed: alpha is drawn from this seed's streams "alpha/GROUP".

    Raises:
        ConfigError: naming the option that is out of range.
    """

    def __init__(
        self,
        space: SearchSpace,
        loss: Loss,
        steps: int = 0,
        seed: int = 0,
        *,
        unrolled: Annotated[
            Literal["no", "exact", "finite"],
            "gradient of alpha: no (first order), or through one step of theta, exact or by finite differences",
        ] = "no",
        alternate: Annotated[int, "k alpha updates, then k theta updates; 1 does one of each in every step"] = 1,
        lr: Lr = 0.025,
        lr_min: LrMin = 0.001,
        momentum: Momentum = 0.9,
        weight_decay: WeightDecay = 3e-4,
        clip: Clip = 5.0,
        alpha_optimizer: Annotated[Literal["adam", "sgd"], "adam (DARTS) or plain sgd (the paper's text)"] = "adam",
        alpha_lr: Annotated[float, "learning rate of alpha"] = 3e-4,
        alpha_weight_decay: Annotated[float, "of alpha"] = 1e-3,
    ) -> None:
        if unrolled not in ("no", "exact", "finite"):
            raise ConfigError(f"unrolled must be no, exact or finite, not {unrolled!r}")
        if alternate < 1:
            raise ConfigError(f"alternate must be at least 1, not {alternate!r}")
        self.space = self.module = space
        self.loss = loss
        self.unrolled = unrolled
        self.alternate = alternate
        self.t = 0
        like = next(space.parameters(), torch.zeros(()))
        self.alpha = {
            group: nn.Parameter(
                (1e-3 * torch.randn(mask.shape, generator=stream(seed, f"alpha/{group}"))).to(like.device, like.dtype)
            )
            for group, mask in space.alive.items()
        }
        turns = steps if alternate == 1 else sum((t // alternate) % 2 for t in range(steps))  # updates of theta
        if steps and not turns:
            raise ConfigError(f"alternate={alternate} leaves no update of theta in {steps} steps; use at most {steps - 1}")
        self.sgd = AnnealedSGD(space.named_parameters(), turns, Annealing(lr, lr_min, momentum, weight_decay, clip))
        self.alpha_optimizer = _alpha_optimizer(alpha_optimizer, self.alpha, alpha_lr, alpha_weight_decay)
        self.optimizers = (self.sgd.optimizer, self.alpha_optimizer)

    def step(self, train: Batch, val: Batch = None) -> Metrics:
        """An alpha update on `val`, then a theta update on `train`; with `alternate` above 1, the one that is due."""
        both, alpha_turn = self.alternate == 1, (self.t // self.alternate) % 2 == 0
        metrics: dict[str, Tensor] = {}
        if both or alpha_turn:
            metrics["alpha_loss"] = self._update_alpha(train, val)
        if both or not alpha_turn:
            metrics["loss"] = self._update_theta(train)
        self.t += 1
        return metrics

    def _update_alpha(self, train: Batch, val: Batch) -> Tensor:
        """alpha <- alpha - eta ∇_alpha L_val(theta - xi ∇_theta L_train(theta, alpha), alpha)."""
        loss, slopes = self.alpha_gradient(train, val)
        for alpha, slope in zip(self.alpha.values(), slopes, strict=True):
            alpha.grad = slope
        self.alpha_optimizer.step()
        self.alpha_optimizer.zero_grad(set_to_none=True)
        return loss

    def _update_theta(self, train: Batch) -> Tensor:
        """theta <- theta - xi ∇_theta L_train(theta, alpha)."""
        with torch.no_grad():
            gates, paths = self.draw()
        loss = self.loss(lambda x: self.space(x, gates, paths), train)
        if loss.requires_grad:  # all that was drawn may be `none`, and then nothing depends on theta
            self.sgd.descend(loss, self.average)
        return loss.detach()

    def alpha_gradient(self, train: Batch, val: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        """L_val and its gradient by each alpha; theta, buffers and moments stay bitwise as they are."""
        alphas = list(self.alpha.values())
        with preserved_buffers(self.space):
            if self.unrolled == "exact":
                return exact(self.space, self._objective, alphas, self.sgd.lr, train, val, self.average)
            if self.unrolled == "finite":
                return finite(self.space, self._present, alphas, self.sgd.lr, train, val, self.average)
            with frozen(self.space):
                loss = self._objective(self.space, val)
                return loss.detach(), gradients(loss, alphas, average=self.average)

    def _present(self, batch: Batch) -> Tensor:
        return self._objective(self.space, batch)

    def _objective(self, network: Callable[..., Any], batch: Batch) -> Tensor:
        gates, paths = self.draw()
        return self.loss(lambda x: network(x, gates, paths), batch)

    def draw(self) -> tuple[Gates, Paths | None]:
        """The gates and the open paths of one update, the same however often the loss runs the network.

        These are `gates()`, and None: every live path.  A strategy that samples draws here, once for each update; theta's
        update asks without recording a gradient.
        """
        return self.gates(), None

    def gates(self) -> Gates:
        """softmax(alpha) over the live paths of each edge (Eq. 4 and 7)."""
        return {group: relax(alpha, self.space.alive[group]) for group, alpha in self.alpha.items()}

    def predict(self, x: Any) -> Any:
        """The supernet's output under the present gates."""
        return self.space(x, self.gates())

    def alphas(self) -> Gates:
        """alpha itself."""
        return self.alpha

    def genotype(self) -> Genotype:
        """alpha*: what the space reads from alpha."""
        return self.space.discretize(self.alpha)

    def state_dict(self) -> State:
        """theta, alpha, both optimizers and the number of steps."""
        return {
            "space": self.space.state_dict(),
            "alpha": {group: alpha.detach() for group, alpha in self.alpha.items()},
            "sgd": self.sgd.state_dict(),
            "alpha_optimizer": optimizer_state(self.alpha_optimizer),
            "t": self.t,
        }

    @torch.no_grad()
    def load_state_dict(self, state: State) -> None:
        """Go back to a state; paths that have died since stay dead."""
        self.space.load_live(state["space"])
        for group, alpha in self.alpha.items():
            alpha.copy_(state["alpha"][group])
        self.sgd.load_state_dict(state["sgd"])
        load_optimizer_state(self.alpha_optimizer, state["alpha_optimizer"])
        self.t = state["t"]


def _alpha_optimizer(name: str, alpha: dict[str, nn.Parameter], lr: float, weight_decay: float) -> torch.optim.Optimizer:
    for key, value in {"alpha_lr": lr, "alpha_weight_decay": weight_decay}.items():
        if not 0 <= value < float("inf"):
            raise ConfigError(f"{key} must be finite and at least 0, not {value!r}")
    if name == "adam":
        return torch.optim.Adam(alpha.items(), lr, betas=(0.5, 0.999), weight_decay=weight_decay)
    if name == "sgd":
        return torch.optim.SGD(alpha.items(), lr, weight_decay=weight_decay)
    raise ConfigError(f"alpha_optimizer must be adam or sgd, not {name!r}")
