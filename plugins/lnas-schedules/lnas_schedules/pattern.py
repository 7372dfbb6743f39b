"""N:M sparsity: of every m consecutive weights along the inputs, n stay (Zhou et al. 2021; 2:4 on GPUs: Mishra et al. 2021)."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from glob import escape
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import lnas

FORWARD = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Weights (outputs, inputs per group, *kernel)."""
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
"""Weights (inputs, outputs per group, *kernel); the inputs of a group stand together."""


class NM(lnas.MaskTarget):
    """The weights of convolutions and linear layers, of which the n most important of every m neighbours always stay.

    Neighbours are m consecutive inputs of one output: of a convolution, m consecutive input channels at one position of the
    kernel.  A layer takes part where m divides its inputs per group.  All other weights stay dense (depthwise convolutions,
    a first layer of 1 or 3 channels), are in `dense` by name, and do not count: the sparsity is that of every layer that
    takes part.  1 - n/m is the largest that there is, and is the pattern exactly; on the way to it, and below it, every
    group keeps at least n.

    Args:
        module: the network; it is not changed but for the values of masked weights.
        optimizers: optimizers whose moments of masked weights are zeroed too.

    Raises:
        ConfigError: where n or m cannot be, a glob matches nothing, or no layer fits.
    """

    name: ClassVar[str] = "nm"
    stage: ClassVar[Literal["search", "train"]] = "train"

    def __init__(
        self,
        module: nn.Module,
        optimizers: Sequence[Optimizer] = (),
        *,
        n: Annotated[int, "how many of every m weights stay, 1 to m - 1"] = 2,
        m: Annotated[int, "how many consecutive inputs make a group, at least 2"] = 4,
        exclude: Annotated[tuple[str, ...], "globs of parameter names to leave dense"] = (),
    ) -> None:
        if isinstance(m, bool) or not isinstance(m, int) or m < 2:
            raise lnas.ConfigError(f"m must be a whole number of at least 2, not {m!r}")
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n < m:
            raise lnas.ConfigError(f"n must be a whole number from 1 to m - 1, here {m - 1}, not {n!r}")
        self.n = n
        self.m = m
        dims = _input_dims(module, m)
        self._check_globs(module, exclude)
        self._dims = {
            name: dim for name, dim in dims.items() if dim is not None and not any(fnmatchcase(name, glob) for glob in exclude)
        }
        self.dense = tuple(name for name in dims if name not in self._dims)
        if not self._dims:
            raise lnas.ConfigError(
                f"nm: no convolution or linear layer that is left has a multiple of m={m} inputs per group; use a smaller m"
            )
        self._theta = lnas.Theta(module, optimizers, include=tuple(map(escape, self._dims)))

    def tensors(self) -> lnas.Tensors:
        """The weights that take part, by parameter name."""
        return self._theta.tensors()

    def masks(self) -> lnas.Tensors:
        """Masks by parameter name."""
        return self._theta.masks()

    def pools(self) -> Sequence[lnas.Pool]:
        """A layer each."""
        return self._theta.pools()

    def required(self, scores: lnas.Tensors) -> dict[str, Tensor]:
        """The n most important of every group among those alive, on the CPU; of equals the later stay, as in `prune`."""
        return {name: self._best(scores[name], mask, self._dims[name]) for name, mask in self.masks().items()}

    def apply(self) -> None:
        """theta ⊙ M."""
        self._theta.apply()

    def _best(self, score: Tensor, mask: Tensor, dim: int) -> Tensor:
        """True for n live entries of every m along `dim`."""
        ranked = score.detach().cpu().double().masked_fill(~mask.cpu(), -torch.inf)
        rows = ranked.movedim(dim, -1)
        groups = rows.reshape(*rows.shape[:-1], -1, self.m)
        best = groups.argsort(stable=True, dim=-1)[..., -self.n :]
        spared = torch.zeros_like(groups, dtype=torch.bool).scatter(-1, best, True)
        return spared.flatten(-2).movedim(-1, dim)

    @staticmethod
    def _check_globs(module: nn.Module, exclude: tuple[str, ...]) -> None:
        names = [name for name, _ in module.named_parameters()]
        for glob in exclude:
            if not any(fnmatchcase(name, glob) for name in names):
                raise lnas.ConfigError(f"exclude: {glob!r} matches no parameter; there are e.g. {', '.join(names[:4])}")


def _input_dims(module: nn.Module, m: int) -> dict[str, int | None]:
    """The dimension along which each layer's weight is grouped, by parameter name; None where m does not divide the inputs."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    dims: dict[str, int | None] = {}
    for layer in module.modules():
        if not isinstance(layer, (*FORWARD, *TRANSPOSED)) or id(layer.weight) not in names:
            continue  # a computed weight is no parameter
        dim = 0 if isinstance(layer, TRANSPOSED) else 1
        inputs = layer.weight.shape[dim] // (layer.groups if isinstance(layer, TRANSPOSED) else 1)
        dims.setdefault(names[id(layer.weight)], dim if inputs % m == 0 else None)
    return dims
