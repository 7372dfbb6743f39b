"""Random search with shared weights (Li and Talwalkar 2019): the baseline that every search must beat."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from torch import Tensor

from lnas.builtin.annealed_sgd import AnnealedSGD, Annealing, Clip, Lr, LrMin, Momentum, WeightDecay
from lnas.core.buffers import preserved_buffers
from lnas.core.errors import ConfigError, NumericalError
from lnas.core.genotype import Genotype
from lnas.core.learner import SearchStrategy
from lnas.core.random import stream
from lnas.core.space import Gates, Paths, SearchSpace
from lnas.core.types import Batch, Loss, Metrics, State


class RandomSearch(SearchStrategy):
    """Each step trains the shared weights of one architecture, drawn uniformly, and scores it by its validation loss.

    alpha is the mean reward (minus the validation loss) of the architectures that used a path, less the mean of all: 0
    where a path was never used.  alpha* is the best of the latest `candidates`, or, once paths have died, what the space
    reads from alpha.

    Args:
        space: the supernet.
        loss: `loss(network, batch)`.
        steps: length of theta's cosine; 0 keeps the learning rate as it is.
        seed: architectures are drawn from this seed's stream "random search".
    """

    def __init__(
        self,
        space: SearchSpace,
        loss: Loss,
        steps: int = 0,
        seed: int = 0,
        *,
        candidates: Annotated[int, "how many of the latest architectures compete"] = 100,
        lr: Lr = 0.025,
        lr_min: LrMin = 0.001,
        momentum: Momentum = 0.9,
        weight_decay: WeightDecay = 3e-4,
        clip: Clip = 5.0,
    ) -> None:
        if candidates < 1:
            raise ConfigError(f"candidates must be at least 1, not {candidates!r}")
        self.space = self.module = space
        self.loss = loss
        self.candidates = candidates
        self.generator = stream(seed, "random search")
        self.sgd = AnnealedSGD(space.named_parameters(), steps, Annealing(lr, lr_min, momentum, weight_decay, clip))
        self.optimizers = (self.sgd.optimizer,)
        like = next(space.parameters(), torch.zeros(()))
        self.totals = {group: like.new_zeros(mask.shape) for group, mask in space.alive.items()}
        self.counts = {group: like.new_zeros(mask.shape) for group, mask in space.alive.items()}
        self.tried: list[tuple[Genotype, Tensor]] = []

    def step(self, train: Batch, val: Batch = None) -> Metrics:
        """Draw an architecture, update its weights on `train`, score it on `val`."""
        genotype = self._draw()
        paths = self.space.paths(genotype)
        loss = self.loss(lambda x: self._run(x, paths), train)
        self.sgd.descend(loss, self.average)
        with torch.no_grad(), preserved_buffers(self.space):
            [reward] = self.average([-self.loss(lambda x: self._run(x, paths), val)])  # it ranks architectures
        for group, used in paths.items():
            used = used.to(reward.device, non_blocking=True)
            self.totals[group] += used * reward
            self.counts[group] += used
        self.tried = [*self.tried, (genotype, reward)][-self.candidates :]
        return {"loss": loss.detach(), "alpha_loss": -reward}

    def _draw(self) -> Genotype:
        """Uniform scores make every architecture of the space equally likely."""
        scores = {group: torch.rand(mask.shape, generator=self.generator) for group, mask in self.space.alive.items()}
        return self.space.discretize(scores, "argmax")

    def _run(self, x: Any, paths: Paths) -> Any:
        like = next(self.space.parameters())
        gates = {group: open_.to(like.device, like.dtype, non_blocking=True) for group, open_ in paths.items()}
        return self.space(x, gates, paths)

    def predict(self, x: Any) -> Any:
        """The output of alpha* with the shared weights; of all live paths, equally weighted, before the first step."""
        if self.tried:
            return self._run(x, self.space.paths(self.genotype()))
        return self._run(x, self.space.alive)

    def alphas(self) -> Gates:
        """Mean reward of each path, less the mean of all."""
        used = sum((count.sum() for count in self.counts.values()), start=torch.zeros(()))
        mean = sum((total.sum() for total in self.totals.values()), start=torch.zeros(())) / used.clamp_min(1)
        return {
            group: torch.where(count > 0, self.totals[group] / count.clamp_min(1) - mean.to(count.device), 0.0)
            * self.space.alive[group].to(count.device, non_blocking=True)
            for group, count in self.counts.items()
        }

    def genotype(self) -> Genotype:
        """The best of the latest candidates; once paths have died, what the space reads from alpha.

        Raises:
            ConfigError: where nothing has been tried yet.
            NumericalError: where the loss of a candidate is not finite.
        """
        if not self.tried:
            raise ConfigError("random search has tried no architecture yet; take at least one step")
        if all(bool(mask.all()) for mask in self.space.alive.values()):
            rewards = torch.stack([reward for _, reward in self.tried])
            if not rewards.isfinite().all():
                raise NumericalError("the loss of a candidate is not finite; no architecture can be chosen by it")
            return self.tried[int(rewards.argmax())][0]
        return self.space.discretize(self.alphas())

    def state_dict(self) -> State:
        """theta and its optimizer, the table of rewards, the candidates and the random stream."""
        return {
            "space": self.space.state_dict(),
            "sgd": self.sgd.state_dict(),
            "totals": self.totals,
            "counts": self.counts,
            "tried": [[genotype.to_json(), reward] for genotype, reward in self.tried],
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: State) -> None:
        """Go back to a state; paths that have died since stay dead."""
        self.space.load_live(state["space"])
        self.sgd.load_state_dict(state["sgd"])
        _copy(self.totals, state["totals"])
        _copy(self.counts, state["counts"])
        self.tried = [(Genotype.from_json(document), reward.clone()) for document, reward in state["tried"]]
        self.generator.set_state(state["generator"])


def _copy(to: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> None:
    for name, tensor in to.items():
        tensor.copy_(source[name])
