"""DrNAS: DARTS whose gates are drawn from a Dirichlet distribution (Chen et al. 2021)."""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from torch import Tensor

import lnas
from lnas_drnas.dirichlet import anchor_slope, drawn, log_mean
from lnas_drnas.gamma import Noise, noise


class DrNas(lnas.Darts):
    """Each update draws the gates of every edge from Dirichlet(elu(alpha) + 1) over its live paths.

    The gradient of alpha goes through the draw (pathwise), so that alpha descends on the expectation of the validation loss
    over architectures.  A penalty draws the concentrations to 1.  What is derived, and what `predict` computes, is the mean.

    Args:
        space: the supernet; alpha is made on its device and in its dtype.
        loss: `loss(network, batch)`.
        steps: of the whole search, over which theta's cosine runs; 0 keeps the learning rate as it is.
        seed: alpha is drawn from this seed's streams "alpha/GROUP", the gates from its stream "drnas".

    Raises:
        ConfigError: naming the option that is out of range.
    """

    def __init__(
        self,
        space: lnas.SearchSpace,
        loss: lnas.Loss,
        steps: int = 0,
        seed: int = 0,
        *,
        anchor: Annotated[float, "weight of |beta - 1|^2 / 2, the penalty on the concentrations beta; 0 for none"] = 1e-3,
        alternate: Annotated[int, "k alpha updates, then k theta updates; 1 does one of each in every step"] = 1,
        lr: Annotated[float, "learning rate of theta at the first step"] = 0.025,
        lr_min: Annotated[float, "learning rate of theta at the last step"] = 0.001,
        momentum: Annotated[float, "of theta's SGD, in [0, 1)"] = 0.9,
        weight_decay: Annotated[float, "of theta: L2, added to the gradient"] = 3e-4,
        clip: Annotated[float, "largest norm of theta's gradient; 0 does not clip"] = 5.0,
        alpha_optimizer: Annotated[Literal["adam", "sgd"], "adam (the paper) or plain sgd"] = "adam",
        alpha_lr: Annotated[float, "learning rate of alpha"] = 3e-4,
        alpha_weight_decay: Annotated[float, "of alpha; the anchor takes its place"] = 0.0,
    ) -> None:
        if not 0 <= anchor < float("inf"):
            raise lnas.ConfigError(f"anchor must be finite and at least 0, not {anchor!r}")
        super().__init__(
            space,
            loss,
            steps,
            seed,
            alternate=alternate,
            lr=lr,
            lr_min=lr_min,
            momentum=momentum,
            weight_decay=weight_decay,
            clip=clip,
            alpha_optimizer=alpha_optimizer,
            alpha_lr=alpha_lr,
            alpha_weight_decay=alpha_weight_decay,
        )
        self.anchor = anchor
        self.generator = lnas.stream(seed, "drnas")

    def draw(self) -> tuple[lnas.Gates, None]:
        """Gates of one update; every live path is computed."""
        gates: dict[str, Tensor] = {}
        for group, alpha in self.alpha.items():
            made = Noise(*(part.to(alpha.device, non_blocking=True) for part in noise(alpha.shape, self.generator)))
            gates[group] = drawn(alpha, self.space.alive[group], made)
        return gates, None

    def alpha_gradient(self, train: lnas.Batch, val: lnas.Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        """L_val under a draw of the gates, and its gradient by each alpha with that of the anchor; the loss is without it."""
        loss, slopes = super().alpha_gradient(train, val)
        pulls = (self.anchor * anchor_slope(alpha.detach()) for alpha in self.alpha.values())
        return loss, tuple(slope + pull for slope, pull in zip(slopes, pulls, strict=True))

    def gates(self) -> lnas.Gates:
        """The mean of the distribution over the live paths of each edge: beta / Σ beta."""
        return {group: lnas.relax(scores, self.space.alive[group]) for group, scores in self._log_means().items()}

    def probabilities(self) -> lnas.Gates:
        """The same mean, which is what a path weighs."""
        return {group: gates.detach() for group, gates in self.gates().items()}

    def genotype(self) -> lnas.Genotype:
        """What the space reads from the mean."""
        return self.space.discretize(self._log_means())

    def _log_means(self) -> Mapping[str, Tensor]:
        return {group: log_mean(alpha) for group, alpha in self.alpha.items()}

    def state_dict(self) -> lnas.State:
        """That of DARTS, and the random stream of the gates."""
        return {**super().state_dict(), "generator": self.generator.get_state()}

    @torch.no_grad()
    def load_state_dict(self, state: lnas.State) -> None:
        """Go back to a state; paths that have died since stay dead."""
        super().load_state_dict(state)
        self.generator.set_state(state["generator"])
