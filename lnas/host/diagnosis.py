"""How a search goes, at the end of each of its epochs: what it would derive, how decided it is, how long that has stood."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from lnas.core.errors import ConfigError
from lnas.core.genotype import Genotype
from lnas.core.learner import SearchStrategy
from lnas.core.pipeline import Pipeline
from lnas.core.stages import genotype_of
from lnas.core.types import State
from lnas.host.collapse import ParameterFree, parameter_free
from lnas.host.runtime import undisturbed

IN_A_ROW = 2
"""So many epochs must end with a collapsed architecture before it is said; at the end of the search, one."""


@dataclass(frozen=True)
class Diagnosis:
    """Of one group of the space after one epoch.

    What has no value is None: the architecture's part where the strategy has none yet, what is said of alpha where the
    strategy learns none, and of an edge what takes two live paths to be said.
    """

    found: ParameterFree | None
    architecture_still: int | None
    """For how many epochs the same paths would have been derived."""
    entropy: tuple[float, ...] | None
    """Of each edge, over its live paths, in nats."""
    normalised_entropy: tuple[float | None, ...] | None
    """Of each edge, divided by the logarithm of the number of its live paths: 1 is an even choice."""
    ranking_still: tuple[int | None, ...] | None
    """For how many epochs alpha has ranked the live paths of each edge the same."""

    def figures(self) -> dict[str, float]:
        """What an observer is told, one number each: of the entropies the mean, of the rankings the one that moved last."""
        found, entropy = self.found, self.entropy
        still = [epochs for epochs in self.ranking_still or () if epochs is not None]
        return {
            **({} if found is None else {"parameter_free": found.parameter_free, "edges_without_weights": len(found.empty)}),
            **({} if self.architecture_still is None else {"architecture_still": self.architecture_still}),
            **({"entropy": sum(entropy) / len(entropy)} if entropy else {}),
            **({"ranking_still": min(still)} if still else {}),
        }


@dataclass
class Past:
    """Of one group, from one epoch to the next; all of it plain data."""

    architecture: list[list[Any]] | None = None
    """[operation, source, node] of each gene."""
    architecture_still: int = 0
    ranking: list[list[int]] = field(default_factory=list)
    """Of each edge, the columns of the live paths from the largest alpha to the least."""
    ranking_still: list[int] = field(default_factory=list)
    since: int | None = None
    """The epoch from which on all epochs ended with a collapsed architecture."""
    told: bool = False
    """Whether it was said once."""
    last: dict[str, int] | None = None
    """Of the architecture: its operations, those without weights, its edges, those without weights."""


@dataclass
class Course:
    """The course of a search, by group: what its diagnosis needs of the epochs before.  Saved with a run."""

    groups: dict[str, Past] = field(default_factory=dict)

    def after_epoch(self, strategy: SearchStrategy, *, epoch: int, last: bool) -> tuple[dict[str, Diagnosis], tuple[str, ...]]:
        """Diagnose every group at the end of an epoch, the `last` one of the search or not; the strategy stays as it is.

        Returns:
            By group; and the groups of which it is to be said now that they have collapsed: each once in a search.

        Raises:
            NumericalError: where alpha is not finite.
        """
        space = strategy.space
        if epoch == 1:
            self.groups = {}
        with undisturbed(), torch.no_grad():
            genotype = _genotype(strategy)
            alphas, gates = strategy.alphas(), strategy.probabilities()
            learned = all(again is alphas[group] for group, again in strategy.alphas().items())
        diagnoses, said = {}, []
        for group in space.edges:
            past = self.groups.setdefault(group, Past())
            found = None
            if genotype is not None and group in genotype.groups:
                found = parameter_free(genotype, group, space.operations[group])
                _remember(past, genotype, found, epoch)
            entropy = normalised = ranking = None
            if learned and group in alphas:
                alive = space.alive[group].cpu()
                entropy, normalised = entropies(gates[group], alive)
                ranking = _rank(past, alphas[group], alive)
            diagnoses[group] = Diagnosis(found, None if found is None else past.architecture_still, entropy, normalised, ranking)
            if past.since is not None and not past.told and (last or epoch - past.since + 1 >= IN_A_ROW):
                past.told = True
                said.append(group)
        return diagnoses, tuple(said)

    def summary(self) -> dict[str, dict[str, Any]]:
        """Where the search stands or ended: of each group with more than one edge, its counts and since when it is collapsed."""
        return {
            group: {**past.last, "share": past.last["edges_without_weights"] / past.last["edges"], "since": past.since}
            for group, past in self.groups.items()
            if past.last is not None and past.last["edges"] > 1
        }

    def state_dict(self) -> State:
        """A state for a checkpoint."""
        return {group: asdict(past) for group, past in self.groups.items()}

    def load_state_dict(self, state: State) -> None:
        """Go back to a state."""
        self.groups = {group: Past(**entries) for group, entries in state.items()}


def diagnosed(pipeline: Pipeline, course: Course, *, epoch: int) -> tuple[dict[str, Diagnosis], tuple[str, ...]]:
    """What `Course.after_epoch` says of the stage that is open; nothing where that is no search."""
    strategy = pipeline.rounds.learner
    return (
        course.after_epoch(strategy, epoch=epoch, last=pipeline.rounds.done) if isinstance(strategy, SearchStrategy) else ({}, ())
    )


def entropies(probabilities: Tensor, alive: Tensor) -> tuple[tuple[float, ...], tuple[float | None, ...]]:
    """-Σ p ln p over the live paths of each edge, and the same divided by the logarithm of their number.

    Args:
        probabilities: (edges, operations) float; rows sum to 1 over the live paths.
        alive: (edges, operations) bool, on the CPU.

    Returns:
        One of each an edge; 0 where fewer than two paths live, and then None for the second.
    """
    p = probabilities.detach().cpu().double().masked_fill(~alive, 0)
    p = p / p.sum(-1, keepdim=True).clamp_min(torch.finfo(p.dtype).tiny)  # those of single precision sum to 1 but for 1e-7
    nats = (-torch.special.xlogy(p, p)).sum(-1).clamp_min(0)
    edges = list(zip(nats.tolist(), alive.sum(-1).tolist(), strict=True))
    normalised = tuple(value / math.log(live) if live > 1 else None for value, live in edges)
    return tuple(value if live > 1 else 0.0 for value, live in edges), normalised


def rankings(alpha: Tensor, alive: Tensor) -> list[list[int]]:
    """Of each edge, the columns of the live paths from the largest alpha to the least; of equals, the first comes first."""
    order = alpha.detach().cpu().double().masked_fill(~alive, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    return [row[:live] for row, live in zip(order.tolist(), alive.sum(-1).tolist(), strict=True)]


def _genotype(strategy: SearchStrategy) -> Genotype | None:
    try:
        return genotype_of(strategy)
    except ConfigError:  # nothing was tried yet, or it was forgotten when the search was rewound to its beginning
        return None


def _remember(past: Past, genotype: Genotype, found: ParameterFree, epoch: int) -> None:
    """Weights of genes move with alpha; the architecture is the same as long as its paths are."""
    architecture: list[list[Any]] = sorted([gene.operation, gene.source, gene.node] for gene in genotype.groups[found.group])
    past.architecture_still = past.architecture_still + 1 if architecture == past.architecture else 0
    past.architecture = architecture
    past.last = {
        "operations": found.count,
        "parameter_free": found.parameter_free,
        "edges": found.edges,
        "edges_without_weights": len(found.empty),
    }
    past.since = (past.since or epoch) if found.collapsed else None


def _rank(past: Past, alpha: Tensor, alive: Tensor) -> tuple[int | None, ...]:
    """A path that has died does not move those that live."""
    now = rankings(alpha, alive)
    before = past.ranking if len(past.ranking) == len(now) else [[]] * len(now)
    still = past.ranking_still if len(past.ranking_still) == len(now) else [0] * len(now)
    left = [[path for path in old if path in new] for old, new in zip(before, now, strict=True)]
    past.ranking_still = [count + 1 if old == new else 0 for count, old, new in zip(still, left, now, strict=True)]
    past.ranking = now
    return tuple(count if len(new) > 1 else None for count, new in zip(past.ranking_still, now, strict=True))
