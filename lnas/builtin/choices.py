"""A choice anywhere in the user's own module: `MixedOp` marks it, `ChoiceSpace` makes the module a search space."""

import copy
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from lnas.builtin.discretize import genes, required, resolved
from lnas.builtin.mixed import MixedOperation
from lnas.core.errors import ConfigError, GenotypeError
from lnas.core.genotype import Gene, Genotype
from lnas.core.space import Gates, Paths, SearchSpace, require_finite

EDGE = (0, 1)
"""Every choice is a group with one edge, from its input to its output."""


class MixedOp(nn.Module):
    """A choice between modules that map one tensor to tensors of one shape.

    Outside a `ChoiceSpace` all candidates weigh the same.  A candidate called "none" is never run and stands for zeros of
    the input's shape.

    Args:
        candidates: module by name; names are what a genotype says.

    Raises:
        ConfigError: where there are fewer than two candidates.
    """

    def __init__(self, candidates: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if len(candidates) < 2:
            raise ConfigError(f"a MixedOp needs at least two candidates, not {list(candidates)}")
        if wrong := [name for name in candidates if not isinstance(name, str) or not name or "." in name]:
            raise ConfigError(f"a candidate's name is text without a dot, not {wrong[0]!r}")
        self.mixed = MixedOperation(candidates)
        self._open: tuple[Tensor, Sequence[bool]] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """The weighted sum of the open candidates."""
        count = len(self.mixed.names)
        alive = [name in self.mixed.operations or name == "none" for name in self.mixed.names]
        gates, paths = self._open or (x.new_full((count,), 1 / sum(alive)), alive)
        total = self.mixed(x, gates, paths)
        return torch.zeros_like(x) if total is None else total


class ChosenSum(nn.Module):
    """Several surviving candidates of one choice: their weighted sum."""

    def __init__(self, operations: Mapping[str, nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self.operations = nn.ModuleDict(operations)
        self.weights = tuple(weights)

    def forward(self, x: Tensor) -> Tensor:
        """Sum of weight · operation(x)."""
        total: Tensor | None = None
        for weight, operation in zip(self.weights, self.operations.values(), strict=True):
            term = operation(x) if weight == 1 else weight * operation(x)
            total = term if total is None else total + term
        assert total is not None  # a choice keeps at least one candidate
        return total


class ChoiceSpace(SearchSpace):
    """Any module that holds `MixedOp`s, as a search space with one group per choice, named by its place in the module.

    The module is used as it is.  theta_0 of a derived network are the values the module has when it is wrapped, so a
    pretrained network stays pretrained.

    Args:
        model: maps one input to one output.
        policy: what is derived: argmax, survivors, gated, or auto (survivors where a path has died, else argmax).

    Raises:
        ConfigError: where the module holds no choice, one within another or one in two places, or the policy does not exist.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        policy: Annotated[
            Literal["auto", "argmax", "survivors", "gated"],
            "what is derived: argmax (the best candidate), survivors (every live one), gated (survivors weighted by "
            "softmax(alpha)), auto (survivors where a path has died, else argmax)",
        ] = "auto",
    ) -> None:
        super().__init__()
        choices: dict[str, MixedOp] = {}
        for place, part in model.named_modules(remove_duplicate=False):
            if isinstance(part, MixedOp):
                name = place or "choice"
                if any(part is other for other in choices.values()):
                    raise ConfigError(f"choice {name!r} stands in several places; give each place a MixedOp of its own")
                if any(part is inner for other in choices.values() for inner in other.modules()):
                    raise ConfigError(f"choice {name!r} lies within another choice; candidates may hold no MixedOp")
                choices[name] = part
        if not choices:
            raise ConfigError("this module holds no MixedOp; put one where a choice should be")
        self.model = model
        self.policy = policy
        self._choices = choices
        self.edges = {name: (EDGE,) for name in choices}
        self.operations = {name: choice.mixed.names for name, choice in choices.items()}
        self.alive = {name: torch.ones(1, len(names), dtype=torch.bool) for name, names in self.operations.items()}
        resolved(policy, self.alive)
        self._initial = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}

    def forward(self, x: Any, gates: Gates, paths: Paths | None = None) -> Any:
        """The module's output with every choice under its gates."""
        opened = self.alive if paths is None else paths
        for name, choice in self._choices.items():
            choice._open = (gates[name][0], opened[name][0].tolist())
        try:
            return self.model(x)
        finally:
            for choice in self._choices.values():
                choice._open = None  # gates hold a graph; a module that holds none can be copied and saved

    def required(self, scores: Gates, per: Literal["node", "edge"] = "node") -> Paths:
        """The best live candidate of every choice."""
        return {
            name: required(scores[name], alive, self.edges[name], self.operations[name], per)
            for name, alive in self.alive.items()
        }

    def discretize(self, scores: Gates, policy: str | None = None) -> Genotype:
        """The best candidate of every choice, or the surviving ones; see `policy`."""
        require_finite(scores, self)
        chosen = resolved(policy or self.policy, self.alive)
        return Genotype(
            {
                name: genes(scores[name], alive, self.edges[name], self.operations[name], policy=chosen, inputs=1)
                for name, alive in self.alive.items()
            }
        )

    def paths(self, genotype: Genotype) -> Paths:
        """The candidates that `genotype` keeps.

        Raises:
            GenotypeError: where it names another choice or candidate.
        """
        self._check(genotype)
        return {
            name: torch.tensor([[name_ in {gene.operation for gene in genotype.groups[name]} for name_ in names]])
            for name, names in self.operations.items()
        }

    def derive(self, genotype: Genotype) -> nn.Module:
        """A copy of the module with every choice replaced by what was chosen, and theta_0 in it.

        Raises:
            GenotypeError: where the genotype does not fit, or a candidate it names has died.
        """
        self._check(genotype)
        network = copy.deepcopy(self.model).cpu()
        initial = dict(self._initial)
        for name, choice in self._choices.items():
            members = genotype.groups[name]
            gone = [gene.operation for gene in members if gene.operation not in choice.mixed.operations]
            if gone:
                raise GenotypeError(f"choice {name!r}: {gone[0]} has been pruned")
            place = "" if choice is self.model else f"{name}."
            copied: MixedOp = network if choice is self.model else network.get_submodule(name)  # type: ignore[assignment]
            chosen = _chosen(copied, members)
            for operation in choice.mixed.names:
                old = f"{place}mixed.operations.{operation}."
                new = f"{place}operations.{operation}." if isinstance(chosen, ChosenSum) else place
                _move(initial, old, new if operation in {gene.operation for gene in members} else None)
            if choice is self.model:
                network = chosen
            else:
                parent, _, attribute = name.rpartition(".")
                setattr(network.get_submodule(parent), attribute, chosen)
        network.load_state_dict(initial)
        return network

    def release(self) -> None:
        """Delete the candidates that have died."""
        for name, choice in self._choices.items():
            choice.mixed.release(self.alive[name][0].tolist())

    def _check(self, genotype: Genotype) -> None:
        for name in set(genotype.groups) ^ set(self.operations):
            raise GenotypeError(
                f"choice {name!r} is not in both the genotype and the module; there are: {', '.join(self.operations)}"
            )
        for name, members in genotype.groups.items():
            for gene in members:
                if gene.operation not in self.operations[name]:
                    raise GenotypeError(
                        f"choice {name!r} has no candidate {gene.operation!r}; there are: {', '.join(self.operations[name])}"
                    )
            if not members:
                raise GenotypeError(f"choice {name!r} keeps no candidate")
            if len({gene.operation for gene in members}) < len(members):
                raise GenotypeError(f"choice {name!r} keeps a candidate twice")


def _chosen(choice: MixedOp, members: Sequence[Gene]) -> nn.Module:
    if len(members) == 1 and members[0].weight == 1:
        return choice.mixed.operations[members[0].operation]
    return ChosenSum(
        {gene.operation: choice.mixed.operations[gene.operation] for gene in members}, [gene.weight for gene in members]
    )


def _move(state: dict[str, Tensor], old: str, new: str | None) -> None:
    """Give the entries under one prefix another, or drop them."""
    for key in [key for key in state if key.startswith(old)]:
        value = state.pop(key)
        if new is not None:
            state[new + key.removeprefix(old)] = value
