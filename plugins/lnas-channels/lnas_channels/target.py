"""Channels: the mask target whose entries are whole channels."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import lnas
from lnas_channels.copies import difference, random_inputs, trial_copy
from lnas_channels.cuts import cuts, dead_channels, without
from lnas_channels.groups import Group, groups_of
from lnas_channels.layers import NORMS, ROOTS, UNTOUCHED
from lnas_channels.magnitudes import norms
from lnas_channels.rehearsal import rehearse


class Channels(lnas.MaskTarget):
    """Whole channels of a network, with all that depends on them.  `compact` leaves a physically smaller network.

    Channels that depend on each other, as where two layers are added, are one entry of one group; a group is named by the
    first layer that makes its channels.  The channels of the input and of every output stay, and those that no exact cut
    is known for: layer normalisation, attention, recurrent layers, embeddings, shared or parametrised weights, and what
    `forward` itself divides by numbers.  After every `apply` whatever belongs to a dead channel is exactly 0, and so
    are its moments: weights on both sides, biases, scale, shift and running mean of normalisations.

    At the beginning a copy with random weights is cut by half and compared with its masked self, so that a network for
    which this fails is refused before it is trained.

    Args:
        module: the network; it is not changed but for the values of dead channels.
        optimizers: optimizers whose moments of dead channels are zeroed too.
        example: what the network is called with, one tensor or several, with a batch dimension; values do not matter.
            Zeros of `module.task.shape` unless given.

    Raises:
        ConfigError: where there is no example, an option is out of range, a glob matches nothing, or nothing can go.
        PluginError: where the network cannot be traced, or a smaller one would not compute the same.
    """

    name: ClassVar[str] = "channels"
    stage: ClassVar[Literal["search", "train"]] = "train"

    def __init__(
        self,
        module: nn.Module,
        optimizers: Sequence[Optimizer] = (),
        example: Tensor | Sequence[Tensor] | None = None,
        *,
        scope: Annotated[Literal["layer", "global"], "channels compete within their group, or all together"] = "layer",
        floor: Annotated[int, "channels that stay in each group, at least 1"] = 1,
        coupled_rate: Annotated[
            float, "what a round removes where several layers are added, relative to the others, in [0, 1]"
        ] = 1.0,
        exclude: Annotated[tuple[str, ...], "globs of layers whose channels stay"] = (),
    ) -> None:
        if scope not in ("layer", "global"):
            raise lnas.ConfigError(f"scope must be layer or global, not {scope!r}")
        if isinstance(floor, bool) or not isinstance(floor, int) or floor < 1:
            raise lnas.ConfigError(f"floor must be a whole number of at least 1, not {floor!r}")
        if not 0 <= coupled_rate <= 1:
            raise lnas.ConfigError(f"coupled_rate must be in [0, 1], not {coupled_rate!r}")
        self.module = module
        self.optimizers = tuple(optimizers)
        self.scope = scope
        self.floor = floor
        self.coupled_rate = coupled_rate
        self._inputs = random_inputs(_example(module, example))
        self._groups = {group.name: group for group in _prunable(module, self._inputs, exclude)}
        self._masks = {name: torch.ones(len(group.entries), dtype=torch.bool) for name, group in self._groups.items()}
        self._applied = {name: mask.clone() for name, mask in self._masks.items()}
        self._dead: list[tuple[nn.Module, str, Tensor]] = []
        rehearse(module, list(self._groups.values()), self._inputs)

    @property
    def groups(self) -> Mapping[str, Group]:
        """What goes together, by the names of `masks`."""
        return dict(self._groups)

    def tensors(self) -> lnas.Tensors:
        """group -> (entries,): the L2 norm of all convolution and linear weights that go with an entry.

        They are computed, and no leaves: an importance can read them, but the loss has no gradient by them.
        """
        return norms(self.module, self._groups.values())

    def masks(self) -> lnas.Tensors:
        """group -> (entries,) bool, on the CPU."""
        return self._masks

    def pools(self) -> Sequence[lnas.Pool]:
        """A group each; or all groups together, but those that are coupled apart where they have a rate of their own."""
        rates = {name: self.coupled_rate if len(group.producers) > 1 else 1.0 for name, group in self._groups.items()}
        if self.scope == "layer":
            return [lnas.Pool(((name, None),), rate, self.floor) for name, rate in rates.items()]
        return [
            lnas.Pool(tuple((name, None) for name, its in rates.items() if its == rate), rate)
            for rate in sorted(set(rates.values()))
        ]

    def required(self, scores: lnas.Tensors) -> lnas.Tensors:
        """The best entries of each group, as many as must stay."""
        spared = {}
        for name, alive in self._masks.items():
            ranked = scores[name].detach().cpu().masked_fill(~alive, -torch.inf).argsort(descending=True, stable=True)
            spared[name] = torch.zeros_like(alive).index_fill(0, ranked[: self.floor], True) & alive
        return spared

    @torch.no_grad()
    def apply(self) -> None:
        """Whatever belongs to a dead channel becomes 0, in the moments too."""
        if any(not torch.equal(mask, self._applied[name]) for name, mask in self._masks.items()):  # on the CPU: no waiting
            layers = dict(self.module.named_modules())
            found = cuts(layers, dead_channels(self._groups.values(), self._masks))
            self._dead = [(layers[cut.layer], cut.tensor, cut.mask()) for cut in found if cut.tensor not in UNTOUCHED]
            self._applied = {name: mask.clone() for name, mask in self._masks.items()}
        for number, (layer, name, dead) in enumerate(self._dead):
            tensor = getattr(layer, name)
            if dead.device != tensor.device:
                dead = dead.to(tensor.device)
                self._dead[number] = (layer, name, dead)
            tensor.masked_fill_(dead, 0)
            lnas.mask_moments(self.optimizers, tensor, ~dead.expand_as(tensor))

    def compact(self, network: nn.Module) -> nn.Module:
        """A copy of the network without its dead channels: the same layers, names and outputs, but smaller.

        Args:
            network: the module, or one like it; its dead channels must be 0, as `apply` leaves them.

        Raises:
            SparsityError: where a layer would not have the channels that the masks leave.
            PluginError: where the copy does not compute what the network does, in evaluation mode and double precision.
        """
        small = without(network, dead_channels(self._groups.values(), self._masks))
        found = difference(trial_copy(network), trial_copy(small), self._inputs)
        if found:
            raise lnas.PluginError(f"channels: the smaller network does not compute what the masked one does: {found}")
        return small


def _example(module: nn.Module, example: Tensor | Sequence[Tensor] | None) -> Sequence[Tensor]:
    if example is None:
        task = getattr(module, "task", None)
        if not isinstance(task, lnas.Task):
            raise lnas.ConfigError(
                f"channels must know what {type(module).__name__} is called with; give example=, a tensor with a batch"
                " dimension, or the network an attribute `task`, a lnas.Task"
            )
        example = torch.zeros(1, *task.shape)
    given = (example,) if isinstance(example, Tensor) else tuple(example)
    if not given or not all(isinstance(x, Tensor) and x.dim() and len(x) for x in given):
        raise lnas.ConfigError("channels: the example must be a tensor with a batch dimension, or several")
    return given


def _prunable(module: nn.Module, inputs: Sequence[Tensor], exclude: Sequence[str]) -> list[Group]:
    """The groups of a network that no glob excludes."""
    names = [name for name, layer in module.named_modules() if isinstance(layer, (*ROOTS, *NORMS))]
    for pattern in exclude:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise lnas.ConfigError(f"channels: {pattern!r} matches no layer; there are e.g. {', '.join(names[:4]) or 'none'}")
    groups = [
        group
        for group in groups_of(trial_copy(module), inputs)
        if not any(fnmatchcase(layer, pattern) for layer, side in group.ports if side == "out" for pattern in exclude)
    ]
    if not groups:
        raise lnas.ConfigError(f"channels: {type(module).__name__} has no channels that can go, or all are excluded")
    return groups
