"""Masks, and the one function that prunes.

A mask is data beside the model, never a wrapper around it.  A target says what its entries are and which of them compete
(its pools); a schedule says how many must go; an importance says which.  `prune` puts the three together.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from lnas.core.errors import ContractError, NumericalError, SparsityError
from lnas.core.objective import Objective, objective

Tensors: TypeAlias = Mapping[str, Tensor]
"""What can be pruned, its masks or its scores, by name."""

Importance: TypeAlias = Callable[[Tensors, Tensors, Objective], Tensors]
"""`importance(tensors, masks, loss)`: a finite score for every entry, least important first.

`tensors` are the target's own (leaves, so `torch.autograd.grad(loss(), ...)` works), `masks` are boolean and of the same
shapes, and live: those of `alpha` steer what a supernet computes.  `loss()` is the differentiable loss on the current batch,
and `loss.module`, `loss.predict` and `loss.batch` say of what (`Objective`).  Scores of dead entries are ignored.
"""


_Scored = TypeVar("_Scored", bound=Importance)


def only_for(stage: Literal["search", "train"]) -> Callable[[_Scored], _Scored]:
    """Says that an importance scores the targets of one stage alone: for another it is refused before the run begins.

    @lnas.only_for("search")
    def perturbation(tensors, masks, loss): ...
    """

    def say(importance: _Scored) -> _Scored:
        importance.stage = stage  # type: ignore[attr-defined]
        return importance

    return say


def magnitude(tensors: Tensors, masks: Tensors, loss: Objective) -> Tensors:
    """|x| (Han et al. 2015; Algorithms 1 to 3: "smallest magnitude")."""
    return {name: tensor.detach().abs() for name, tensor in tensors.items()}


@dataclass(frozen=True)
class Pool:
    """Entries that compete with each other.

    `members` are (name, row) pairs: row i of that tensor, or all of it where row is None.  `rate` scales what a round
    removes of the survivors (1/2 for the output layer of a lottery ticket).  `floor` entries always stay.
    """

    members: tuple[tuple[str, int | None], ...]
    rate: float = 1.0
    floor: int = 0


class MaskTarget(ABC):
    """What is pruned, and its masks.  Masks belong here and not to the learner: else rewinding would un-prune."""

    name: ClassVar[str]
    """The word a user types: alpha, theta, ..."""
    stage: ClassVar[Literal["search", "train"]]
    """Where it applies: its subject is a strategy while searching, a network while training."""
    default_importance: ClassVar[Importance] = staticmethod(magnitude)
    """What goes first where nobody says: `magnitude`, unless a target says otherwise."""

    @abstractmethod
    def tensors(self) -> Tensors:
        """What can be pruned, by name."""

    @abstractmethod
    def masks(self) -> Tensors:
        """The live masks: bool, True where an entry is kept, of the shapes of `tensors`."""

    @abstractmethod
    def apply(self) -> None:
        """x <- x ⊙ M, for the moments of the optimizer too.  Idempotent; called after every learner step."""

    def pools(self) -> Sequence[Pool]:
        """Which entries compete.  All of them, unless a target says otherwise."""
        return [Pool(tuple((name, None) for name in sorted(self.tensors())))]

    def required(self, scores: Tensors) -> Tensors:
        """Entries that must be spared, as masks by name.  None, unless a target says otherwise."""
        return {}

    def compact(self, network: nn.Module) -> nn.Module:
        """The finished network without what was masked, where the target can make it physically smaller."""
        return network


def prune(
    target: MaskTarget,
    sparsity: float,
    *,
    importance: Importance | None = None,
    loss: Objective | Callable[[], Tensor] | None = None,
    earlier: Sequence[float] = (),
) -> None:
    """Clear the least important bits until `round(sparsity * N)` of the N entries of each pool are clear; then apply.

    A pool with a rate or a floor of its own loses fewer.
    Only entries alive can go, so masks are nested; ties fall by name and index; required entries are spared.

    Args:
        target: what to prune; its masks are changed in place.
        sparsity: the fraction removed in all, counted from the first, in [0, 1).
        importance: the least important go first; the target's own choice unless given.
        loss: the loss on the current batch, for importances that need gradients; an `Objective` such as `BatchLoss` for those
            that need the network too.
        earlier: sparsities of earlier rounds.  They matter only to pools with a rate of their own.

    Raises:
        SparsityError: where the sparsity is outside [0, 1) or cuts entries that the target must keep.
        NumericalError: where a score is not finite.
        ContractError: where the importance returns anything but a tensor of the same shape for every name it was given.
        ConfigError: where the importance needs more than `loss` says.
    """
    _check_range(sparsity)
    masks = target.masks()
    tensors = target.tensors()
    scores = _checked((importance or type(target).default_importance)(tensors, masks, objective(loss)), tensors, masks)
    cleared = _cleared(target, sparsity, earlier, scores)
    for name, mask in masks.items():
        mask.copy_(cleared[name])
    target.apply()


def sparsity_of(masks: Tensors) -> float:
    """The fraction of entries that are masked; 0 where there are none."""
    total = sum(mask.numel() for mask in masks.values())
    return sum(int((~mask).sum()) for mask in masks.values()) / total if total else 0.0


def check_feasible(target: MaskTarget, sparsity: float, *, earlier: Sequence[float] = ()) -> None:
    """Raise the `SparsityError` that `prune` would raise for the same arguments, and change nothing."""
    _check_range(sparsity)
    _cleared(target, sparsity, earlier, {name: torch.zeros(tensor.shape) for name, tensor in target.tensors().items()})


def _check_range(sparsity: float) -> None:
    if not 0 <= sparsity < 1:
        raise SparsityError(f"sparsity {sparsity!r} is outside [0, 1)")


def _checked(scores: object, tensors: Tensors, masks: Tensors) -> dict[str, Tensor]:
    """Scores on the CPU, after checking that every live entry has one that is finite."""
    if not isinstance(scores, Mapping):
        raise _breach(f"it returned {type(scores).__name__}")
    if missing := [name for name in tensors if name not in scores]:
        raise _breach(f"{missing[0]!r} is missing")
    if more := [name for name in scores if name not in tensors]:
        raise _breach(f"{more[0]!r} is none of the names")
    for name, tensor in tensors.items():
        score = scores[name]
        if not isinstance(score, Tensor) or score.is_complex():
            raise _breach(f"that of {name} is {'complex' if isinstance(score, Tensor) else type(score).__name__}")
        if score.shape != tensor.shape:
            raise _breach(f"that of {name} has shape {tuple(score.shape)}, not {tuple(tensor.shape)}")
    on_cpu = {name: score.detach().cpu() for name, score in scores.items()}
    on_cpu = {name: score if score.is_floating_point() else score.double() for name, score in on_cpu.items()}  # ranks, counts
    for name, score in on_cpu.items():
        if not score[masks[name].cpu()].isfinite().all():
            raise NumericalError(f"the importance of {name} is not finite; nothing was pruned")
    return on_cpu


def _breach(found: str) -> ContractError:
    return ContractError(
        "importance", f"an importance must return one score for every entry, a tensor of its shape by each name; {found}"
    )


class _Contest:
    """One pool, flat and on the CPU, its entries in the order in which ties fall: by name, then by index."""

    def __init__(self, pool: Pool, masks: Tensors, spared: Tensors, sparsity: float) -> None:
        self.members = sorted(pool.members, key=lambda member: (member[0], -1 if member[1] is None else member[1]))
        self.alive = self.flat(masks)
        keep = self.flat({n: spared[n].cpu() if n in spared else torch.zeros_like(masks[n]) for n, _ in self.members})
        self.free = (self.alive & ~keep).nonzero().flatten()
        self.total = self.alive.numel()
        self.gone = self.total - int(self.alive.sum())
        self.most = self.gone + self.free.numel()
        """How many can be gone at all."""
        self.aim = min(round(sparsity * self.total), self.total - pool.floor)

    def flat(self, tensors: Tensors) -> Tensor:
        return torch.cat([(tensors[n] if row is None else tensors[n][row]).flatten() for n, row in self.members])

    def clear(self, scores: Tensors, masks: Tensors) -> None:
        """Clear the bits of the least important until `aim` are clear."""
        order = self.flat(scores)[self.free].argsort(stable=True)
        bits = self.alive.index_fill(0, self.free[order[: max(self.aim - self.gone, 0)]], False)
        start = 0
        for name, row in self.members:
            place = masks[name] if row is None else masks[name][row]
            place.copy_(bits[start : start + place.numel()].view_as(place))
            start += place.numel()


def _cleared(target: MaskTarget, sparsity: float, earlier: Sequence[float], scores: Tensors) -> Tensors:
    """Copies of the masks, on the CPU, in which as many bits are clear as `sparsity` asks for."""
    masks = {name: mask.cpu().clone() for name, mask in target.masks().items()}
    spared = target.required(scores)
    pools = target.pools()
    contests = [_Contest(pool, masks, spared, _of_pool(sparsity, earlier, pool.rate)) for pool in pools]
    if any(contest.aim > contest.most for contest in contests):
        raise SparsityError(_infeasible(target.name, sparsity, contests))
    for contest in contests:
        contest.clear(scores, masks)
    return masks


def _infeasible(name: str, sparsity: float, contests: Sequence[_Contest]) -> str:
    """What was asked, and the largest sparsity that no pool refuses, cut to three digits so that it can be typed."""
    total = sum(contest.total for contest in contests)
    aim = sum(contest.aim for contest in contests)
    stay = sum(contest.total - contest.most for contest in contests)
    tightest = min((contest for contest in contests if contest.total), key=lambda contest: contest.most / contest.total)
    largest = 1000 * tightest.most // tightest.total / 1000
    most = sum(min(round(tightest.most / tightest.total * contest.total), contest.most) for contest in contests)
    return (
        f"{name} sparsity {sparsity:g} would remove {aim} of {total} entries, but {stay} must stay;"
        f" at most {largest:.3f} ({most} of {total}) is feasible"
    )


def _of_pool(sparsity: float, earlier: Sequence[float], rate: float) -> float:
    """The sparsity of a pool of which each round removes `rate` times the usual fraction of the survivors."""
    if rate == 1:
        return sparsity
    left, before = 1.0, 1.0
    for after in (1 - s for s in (*earlier, sparsity)):
        left *= 1 - rate * (1 - after / before)
        before = after
    return 1 - left
