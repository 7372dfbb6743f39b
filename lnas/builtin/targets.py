"""The two things the paper prunes: alpha, the paths of a supernet, and theta, the weights of a network."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.optim import Optimizer

from lnas.builtin.importances import probability
from lnas.core.errors import ConfigError
from lnas.core.learner import Learner, SearchStrategy
from lnas.core.mask import Importance, MaskTarget, Pool, Tensors
from lnas.core.optimizers import drop_parameters, mask_moments


class Alpha(MaskTarget):
    """The architecture parameters of a strategy.  M_alpha is the space's `alive`: a cleared bit kills the path.

    A dead path's alpha is exactly 0 and so are its moments; its operation leaves the space and the optimizers.  Per edge,
    each edge loses `round(p · operations)`, keeps at least one, and never `none` alone; globally, paths compete within
    their group and every node keeps an input.
    """

    name: ClassVar[str] = "alpha"
    stage: ClassVar[Literal["search", "train"]] = "search"
    default_importance: ClassVar[Importance] = staticmethod(probability)

    def __init__(
        self,
        strategy: SearchStrategy,
        *,
        scope: Annotated[Literal["edge", "global"], "paths compete within their edge, or within their kind of cell"] = "edge",
    ) -> None:
        if scope not in ("edge", "global"):
            raise ConfigError(f"scope must be edge or global, not {scope!r}")
        self.strategy = strategy
        self.scope = scope
        self._released: dict[str, Tensor] = {}

    def tensors(self) -> Tensors:
        """group -> (edges, operations): alpha."""
        return self.strategy.alphas()

    def masks(self) -> Tensors:
        """group -> (edges, operations) bool on the CPU: the space's own `alive`."""
        return self.strategy.space.alive

    def pools(self) -> Sequence[Pool]:
        """An edge each, or a group each."""
        alive = self.strategy.space.alive
        if self.scope == "global":
            return [Pool(((group, None),)) for group in sorted(alive)]
        return [Pool(((group, edge),), floor=1) for group in sorted(alive) for edge in range(len(alive[group]))]

    def required(self, scores: Tensors) -> Tensors:
        """The best path of each edge, or of each node, that computes something."""
        return self.strategy.space.required(scores, "edge" if self.scope == "edge" else "node")

    @torch.no_grad()
    def apply(self) -> None:
        """alpha ⊙ M_alpha; dead paths leave the space and the optimizers."""
        space, optimizers = self.strategy.space, self.strategy.optimizers
        for group, alpha in self.strategy.alphas().items():
            alive = space.alive[group].to(alpha.device, non_blocking=True)  # after every step: nothing waits
            alpha.masked_fill_(~alive, 0)
            mask_moments(optimizers, alpha, alive)
        if not all(torch.equal(alive, self._released.get(group, alive[:0])) for group, alive in space.alive.items()):
            before = list(space.parameters())
            space.release()
            kept = {id(parameter) for parameter in space.parameters()}
            drop_parameters(optimizers, [parameter for parameter in before if id(parameter) not in kept])
            self._released = {group: alive.clone() for group, alive in space.alive.items()}


class Theta(MaskTarget):
    """The weights of any network.  A masked weight is exactly 0 after every `apply`, and so are its moments.

    By default these are the weights of convolutions and linear layers: no biases, no normalisation.

    Args:
        module: the network; it is not changed but for the values of masked weights.
        optimizers: optimizers whose moments of masked weights are zeroed too.

    Raises:
        ConfigError: where a glob matches nothing, or nothing is left to prune.
    """

    name: ClassVar[str] = "theta"
    stage: ClassVar[Literal["search", "train"]] = "train"

    def __init__(
        self,
        module: nn.Module,
        optimizers: Sequence[Optimizer] = (),
        *,
        scope: Annotated[Literal["layer", "global"], "weights compete within their layer, or all together"] = "layer",
        include: Annotated[tuple[str, ...], "globs of parameter names to prune instead of conv and linear weights"] = (),
        exclude: Annotated[tuple[str, ...], "globs of parameter names to leave alone"] = (),
        output_rate: Annotated[float, "what a round removes of the last layer, relative to the others, in [0, 1]"] = 1.0,
    ) -> None:
        if scope not in ("layer", "global"):
            raise ConfigError(f"scope must be layer or global, not {scope!r}")
        if not 0 <= output_rate <= 1:
            raise ConfigError(f"output_rate must be in [0, 1], not {output_rate!r}")
        self.module = module
        self.optimizers = tuple(optimizers)
        self.scope = scope
        self.output_rate = output_rate
        self._names = _select(module, include, exclude)
        self._masks = {name: torch.ones_like(tensor, dtype=torch.bool) for name, tensor in self.tensors().items()}

    @classmethod
    def of(cls, learner: Learner) -> "Theta":
        """The weights that a learner trains, with its optimizers."""
        return cls(learner.module, learner.optimizers)

    def tensors(self) -> Tensors:
        """Parameters by name, as the module holds them now: a layer or a parameter that is replaced is masked too."""
        return {name: self.module.get_parameter(name) for name in self._names}

    def masks(self) -> Tensors:
        """Masks by parameter name, on the parameters' devices when they were made."""
        return self._masks

    def pools(self) -> Sequence[Pool]:
        """A layer each, or all but an output layer that has its own rate."""
        *hidden, output = self._names
        last = [Pool(((output, None),), rate=self.output_rate)]
        if self.scope == "layer":
            return [Pool(((name, None),)) for name in hidden] + last
        if self.output_rate == 1:
            return [Pool(tuple((name, None) for name in self._names))]
        return [*([Pool(tuple((name, None) for name in hidden))] if hidden else []), *last]

    @torch.no_grad()
    def apply(self) -> None:
        """theta ⊙ M_theta."""
        for name, tensor in self.tensors().items():
            mask = self._masks[name] = self._masks[name].to(tensor.device)
            tensor.masked_fill_(~mask, 0)
            mask_moments(self.optimizers, tensor, mask)


def _select(module: nn.Module, include: tuple[str, ...], exclude: tuple[str, ...]) -> list[str]:
    """Names of the parameters to prune, in module order; a shared parameter stands once."""
    names = [name for name, _ in module.named_parameters()]
    for pattern in (*include, *exclude):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(f"theta: {pattern!r} matches no parameter; there are e.g. {', '.join(names[:4])}")
    weights = {
        id(part.weight) for part in module.modules() if isinstance(part, _ConvNd | nn.Linear) and isinstance(part.weight, Tensor)
    }
    chosen = [
        name
        for name, parameter in module.named_parameters()
        if (any(fnmatchcase(name, pattern) for pattern in include) if include else id(parameter) in weights)
        and not any(fnmatchcase(name, pattern) for pattern in exclude)
    ]
    if not chosen:
        raise ConfigError("theta: this network has no weights to prune (convolutions and linear layers unless included)")
    return chosen
