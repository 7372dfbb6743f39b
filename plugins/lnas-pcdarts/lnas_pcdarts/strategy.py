"""PC-DARTS: DARTS with a share of the channels and normalised edges (Xu et al. 2020)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

import lnas
from lnas_pcdarts.edges import incoming, shares
from lnas_pcdarts.reading import read


class PcDarts(lnas.Darts):
    """DARTS whose gates are softmax(alpha) over an edge times softmax(beta) over the edges into a node (Eq. 3).

    beta has one number an edge and learns as alpha does, by the same optimizer and from the same gradient.  Both rest while
    theta warms up.  The other half of the method, candidates that see a share of the channels, is the space's: cells take
    `partial`, and this strategy suggests 4 of them.

    Args:
        space: the supernet; alpha and beta are made on its device and in its dtype.
        loss: `loss(network, batch)`.
        steps: of the whole search, over which theta's cosine runs and of which `warmup` is a fraction; 0 keeps the learning
            rate as it is and has no warm-up.
        seed: alpha and beta are drawn from this seed's streams "alpha/GROUP" and "beta/GROUP".

    Raises:
        ConfigError: naming the option that is out of range.
    """

    suggested: ClassVar[Mapping[str, Any]] = MappingProxyType({"space": MappingProxyType({"partial": 4})})

    def __init__(
        self,
        space: lnas.SearchSpace,
        loss: lnas.Loss,
        steps: int = 0,
        seed: int = 0,
        *,
        warmup: Annotated[float, "fraction of the steps, the first, in which only theta is updated, in [0, 1)"] = 0.3,
        unrolled: Annotated[
            Literal["no", "exact", "finite"],
            "gradient of alpha and beta: no (first order), or through one step of theta, exact or by finite differences",
        ] = "no",
        lr: Annotated[float, "learning rate of theta at the first step; the paper's 0.1 goes with its batch of 256"] = 0.025,
        lr_min: Annotated[float, "learning rate of theta at the last step"] = 0.001,
        momentum: Annotated[float, "of theta's SGD, in [0, 1)"] = 0.9,
        weight_decay: Annotated[float, "of theta: L2, added to the gradient"] = 3e-4,
        clip: Annotated[float, "largest norm of theta's gradient; 0 does not clip"] = 5.0,
        alpha_optimizer: Annotated[Literal["adam", "sgd"], "of alpha and beta: adam (the paper) or plain sgd"] = "adam",
        alpha_lr: Annotated[float, "learning rate of alpha and beta"] = 6e-4,
        alpha_weight_decay: Annotated[float, "of alpha and beta"] = 1e-3,
    ) -> None:
        if not 0 <= warmup < 1:
            raise lnas.ConfigError(f"warmup must be in [0, 1), not {warmup!r}")
        super().__init__(
            space,
            loss,
            steps,
            seed,
            unrolled=unrolled,
            lr=lr,
            lr_min=lr_min,
            momentum=momentum,
            weight_decay=weight_decay,
            clip=clip,
            alpha_optimizer=alpha_optimizer,
            alpha_lr=alpha_lr,
            alpha_weight_decay=alpha_weight_decay,
        )
        self.first = max(0, min(round(warmup * steps), steps - 1))
        """The step of the first update of alpha."""
        self._into = {group: incoming(edges) for group, edges in space.edges.items()}
        self.beta = {
            group: nn.Parameter(
                (1e-3 * torch.randn(len(alive), generator=lnas.stream(seed, f"beta/{group}"))).to(
                    self.alpha[group].device, self.alpha[group].dtype
                )
            )
            for group, alive in space.alive.items()
        }
        named = {f"beta/{group}": beta for group, beta in self.beta.items()}
        self.alpha |= named  # what the gradient of alpha is taken by, and what is saved
        self.alpha_optimizer.add_param_group({"params": list(named.items())})

    def step(self, train: lnas.Batch, val: lnas.Batch = None) -> lnas.Metrics:
        """An update of alpha and beta on `val`, then one of theta on `train`; while theta warms up, the latter alone."""
        self._follow_mask()
        if self.t >= self.first:
            return super().step(train, val)
        with torch.no_grad():
            gates, paths = self.draw()
        loss = self.loss(lambda x: self.space(x, gates, paths), train)
        self.sgd.descend(loss, self.average)
        self.t += 1
        return {"loss": loss.detach()}

    def shares(self) -> Mapping[str, Tensor]:
        """group -> (edges,): softmax(beta) over the live edges into each node."""
        return {group: shares(beta, self._into[group], self.space.alive[group]) for group, beta in self.beta.items()}

    def gates(self) -> lnas.Gates:
        """softmax(alpha) over the live paths of each edge, times the share of the edge: those of a node sum to 1."""
        of_edges = self.shares()
        return {
            group: lnas.relax(self.alpha[group], alive) * of_edges[group].unsqueeze(1)
            for group, alive in self.space.alive.items()
        }

    def alphas(self) -> lnas.Gates:
        """alpha itself.  Paths of one edge rank by it as by their gates; beta is no matter where paths of several compete."""
        return {group: self.alpha[group] for group in self.space.alive}

    def genotype(self) -> lnas.Genotype:
        """alpha*, read from softmax(alpha) times the shares."""
        return read(self.space, self.alphas(), self.shares())

    @torch.no_grad()
    def _follow_mask(self) -> None:
        """beta and its moments are 0 where an edge is dead."""
        for group, beta in self.beta.items():
            alive = self.space.alive[group].any(1).to(beta.device, non_blocking=True)
            beta.masked_fill_(~alive, 0)
            lnas.mask_moments(self.optimizers, beta, alive)
