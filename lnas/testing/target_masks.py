"""Rules about what a mask target is, and what `prune` does with it."""

from functools import partial

import torch

from lnas.core.errors import SparsityError
from lnas.core.mask import MaskTarget, Pool, Tensors, prune
from lnas.host.spec import NAME
from lnas.testing.states import copied, difference
from lnas.testing.suite import require
from lnas.testing.target_subject import TargetSubject, equal_scores, everything, feasible, pruned, scores_of


class TargetMasks(TargetSubject):
    """Rules about tensors, masks, pools, and `prune`."""

    def test_it_says_what_it_is(self) -> None:
        """It is a MaskTarget whose class says the name that users type, and the stage: "search" or "train"."""
        part = self.loaded()
        name, stage = getattr(part, "name", None), getattr(part, "stage", None)
        require(isinstance(name, str) and bool(NAME.fullmatch(name)), f"the class attribute `name` is {name!r}; it is a word")
        require(stage in ("search", "train"), f'the class attribute `stage` is {stage!r}; it is "search" or "train"')
        for _, _, target in self.fresh(0):
            require(isinstance(target, MaskTarget), f"it is a {type(target).__name__}, not a lnas.MaskTarget")

    def test_masks_fit_the_tensors(self) -> None:
        """Masks are bool, all True at first, with the names and shapes of `tensors`, which are finite."""
        for name, _, target in self.fresh(0):
            tensors, masks = target.tensors(), target.masks()
            require(bool(tensors), f"there is nothing to prune in {name}")
            shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
            found = {key: tuple(mask.shape) for key, mask in masks.items()}
            require(found == shapes, f"masks() of {name} has the shapes {found}, tensors() {shapes}")
            for key, mask in masks.items():
                require(mask.dtype == torch.bool, f"the mask of {key} is {mask.dtype}; it is bool")
                require(bool(mask.all()), f"{int((~mask).sum())} entries of {key} are masked before anything was pruned")
                require(bool(tensors[key].isfinite().all()), f"tensors()[{key!r}] is not finite")

    def test_masks_are_live(self) -> None:
        """A bit that is cleared in place is cleared: `masks()` gives the masks themselves, and `apply` goes by them."""
        for name, _, target in self.fresh():
            key, index = _free(target)
            target.masks()[key].view(-1)[index] = False
            require(
                not bool(target.masks()[key].view(-1)[index]),
                f"a bit of masks()[{key!r}] of {name} that was cleared in place is set again; return the masks, not copies",
            )
            target.apply()
            value = float(target.tensors()[key].detach().reshape(-1)[index])
            require(value == 0, f"entry {index} of {key} of {name} is {value} after its bit was cleared and apply() was called")

    def test_tensors_follow_the_subject(self) -> None:
        """`tensors()` is what the subject holds now: it moves with every step."""
        for name, learner, target in self.fresh():
            before = copied(dict(target.tensors()))
            learner.step(*self.pairs(2)[1])
            now = dict(target.tensors())
            require(bool(difference(before, now)), f"tensors() of {name} is the same before and after a step; it was copied")

    def test_pools_are_disjoint(self) -> None:
        """`pools` names entries that there are, each at most once, with a rate in [0, 1] and a floor of at least 0."""
        for name, _, target in self.fresh(0):
            seen: dict[str, torch.Tensor] = {key: torch.zeros(mask.shape) for key, mask in target.masks().items()}
            for pool in target.pools():
                require(isinstance(pool, Pool), f"pools() of {name} holds a {type(pool).__name__}, not a lnas.Pool")
                require(0 <= pool.rate <= 1, f"a pool of {name} has the rate {pool.rate}; it is in [0, 1]")
                require(pool.floor >= 0, f"a pool of {name} has the floor {pool.floor}; it is at least 0")
                for key, row in pool.members:
                    there = key in seen and (row is None or 0 <= row < len(seen[key]))
                    require(there, f"a pool of {name} has the member ({key!r}, {row}), which is not in tensors()")
                    (seen[key] if row is None else seen[key][row]).add_(1)
            twice = [key for key, count in seen.items() if (count > 1).any()]
            require(not twice, f"entries of {', '.join(twice[:3])} of {name} stand in several pools")

    def test_a_round_removes_exactly_what_it_should(self) -> None:
        """Of the N entries of a pool `round(sparsity * N)` are gone, fewer by its rate or floor; masks are nested."""
        reached = 0
        for name, _, target in self.fresh():
            before = copied(dict(target.masks()))
            for sparsity, earlier in pruned(target):
                reached += 1
                masks = target.masks()
                for key, mask in masks.items():
                    again = int((mask & ~before[key]).sum())
                    require(not again, f"{again} entries of {key} of {name} came back at sparsity {sparsity}; masks are nested")
                for pool in target.pools():
                    total, gone = _counted(pool, masks)
                    aim = min(round(_share(sparsity, earlier, pool.rate) * total), total - pool.floor)
                    require(
                        gone == aim,
                        f"{gone} of the {total} entries of a pool of {name} are gone at sparsity {sparsity}, not {aim}"
                        f" (rate {pool.rate}, floor {pool.floor})",
                    )
                before = copied(dict(masks))
        require(reached > 0, "none of the sparsities 0.25, 0.5 and 0.75 is feasible on anything; nothing was pruned")

    def test_ties_fall_the_same_way(self) -> None:
        """Where all scores are equal, two equal targets lose the same entries."""
        found = []
        for _ in range(2):
            masks = {}
            for name, _, target in self.fresh():
                for sparsity in (0.25, 0.5):
                    if feasible(target, sparsity, []):
                        prune(target, sparsity, importance=equal_scores)
                masks[name] = copied(dict(target.masks()))
            found.append(masks)
        differs = difference(found[0], found[1], "masks")
        require(not differs, f"with equal scores, two equal targets were pruned differently: {differs}")

    def test_required_entries_are_spared(self) -> None:
        """`required(scores)` names entries that are alive, by masks of their shapes, and `prune` spares them."""
        for name, _, target in self.fresh():
            for number, (sparsity, _) in enumerate(pruned(target)):
                scores = scores_of(target, number)
                before = copied(dict(target.masks()))
                spared = copied(dict(target.required(scores)))
                changed = difference(before, dict(target.masks()), "masks")
                require(not changed, f"required(scores) changed the masks of {name}: {changed}")
                for key, mask in spared.items():
                    there = key in before and mask.shape == before[key].shape and mask.dtype == torch.bool
                    require(there, f"required(scores)[{key!r}] of {name} is no mask of an entry of tensors()")
                    dead = int((mask.cpu() & ~before[key].cpu()).sum())
                    require(not dead, f"required(scores) of {name} spares {dead} entries of {key} that are gone already")
                further = [level for level in (0.9, 0.8, 0.7, 0.6, 0.55) if level > sparsity and feasible(target, level, [])]
                if further and not any(pool.rate != 1 for pool in target.pools()):
                    prune(target, further[0], importance=partial(_given, scores))
                    for key, mask in spared.items():
                        lost = int((mask.cpu() & ~target.masks()[key].cpu()).sum())
                        require(not lost, f"{lost} required entries of {key} of {name} went at sparsity {further[0]}")
                    break

    def test_what_cannot_be_done_changes_nothing(self) -> None:
        """A sparsity that the target cannot reach is a SparsityError, and nothing has changed after it."""
        for name, learner, target in self.fresh():
            for sparsity in (1.0, -0.1, 0.9999):
                before = everything(learner, target)
                try:
                    prune(target, sparsity, importance=equal_scores)
                except SparsityError:
                    found = difference(before, everything(learner, target))
                    require(not found, f"sparsity {sparsity} of {name} was refused, and yet something changed: {found}")
                else:
                    require(0 <= sparsity < 1, f"sparsity {sparsity} of {name} was taken; it is outside [0, 1)")

    def test_the_default_importance_scores_everything(self) -> None:
        """`default_importance` gives every entry a score, and every live entry a finite one, also where some are dead."""
        for name, _, target in self.fresh():
            for step in range(2):
                tensors, masks = target.tensors(), target.masks()
                scores = type(target).default_importance(tensors, masks, _no_loss)  # type: ignore[arg-type]
                shapes = {key: score.shape for key, score in scores.items()}
                require(shapes == {k: t.shape for k, t in tensors.items()}, f"default_importance of {name} scores {shapes}")
                bad = [key for key, score in scores.items() if not score[masks[key].to(score.device)].isfinite().all()]
                require(not bad, f"default_importance of {name} is not finite in {bad}")
                if step == 0:
                    next(pruned(target), None)


def _given(scores: Tensors, tensors: Tensors, masks: Tensors, loss: object) -> Tensors:
    """An importance that is known already."""
    return scores


def _no_loss() -> torch.Tensor:
    raise AssertionError("a default importance needs no loss")


def _free(target: MaskTarget) -> tuple[str, int]:
    """The first entry that may go."""
    spared = target.required(scores_of(target))
    for key, mask in target.masks().items():
        free = mask & ~spared[key].to(mask.device) if key in spared else mask
        if free.any():
            return key, int(free.view(-1).nonzero()[0])
    raise SparsityError("every entry is required")


def _counted(pool: Pool, masks: Tensors) -> tuple[int, int]:
    """How many entries a pool has, and how many of them are gone, by plain loops."""
    total = gone = 0
    for key, row in pool.members:
        mask = masks[key] if row is None else masks[key][row]
        total += mask.numel()
        gone += sum(not bit for bit in mask.reshape(-1).tolist())
    return total, gone


def _share(sparsity: float, earlier: list[float], rate: float) -> float:
    """The sparsity of a pool of which a round removes `rate` times the usual share of the survivors."""
    if rate == 1:
        return sparsity
    left, before = 1.0, 0.0
    for after in (*earlier, sparsity):
        share = (after - before) / (1 - before)  # of the survivors
        left *= 1 - rate * share
        before = after
    return 1 - left
