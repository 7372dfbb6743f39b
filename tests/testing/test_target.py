"""Every rule of mask targets catches a target that breaks it, and it alone where that can be."""

from collections.abc import Callable, Iterable
from itertools import count
from typing import Annotated, Any

import pytest
import torch
from torch import nn

import lnas
from lnas.testing import TargetSuite
from lnas.testing.subjects import tiny_network
from lnas.testing.survival import Survival


class Sound(lnas.MaskTarget):
    """Weights of linear layers and convolutions, a pool for each.  Every class below is this one, but for a fault."""

    name = "weights"
    stage = "train"

    def __init__(self, module: Any, optimizers: Any = (), *, spare: Annotated[int, "weights that stay in each"] = 1) -> None:
        if spare < 0:
            raise lnas.ConfigError(f"spare must be at least 0, not {spare!r}")
        self.module, self.optimizers, self.spare = module, tuple(optimizers), spare
        self.kept = {
            name: torch.ones_like(weight, dtype=torch.bool) for name, weight in module.named_parameters() if weight.dim() > 1
        }

    def tensors(self) -> Any:
        return {name: self.module.get_parameter(name) for name in self.kept}

    def masks(self) -> Any:
        return self.kept

    def pools(self) -> Any:
        return [lnas.Pool(((name, None),), floor=self.spare) for name in self.kept]

    def required(self, scores: Any) -> Any:
        spared = {}
        for name, mask in self.kept.items():
            alive = scores[name].detach().cpu().masked_fill(~mask.cpu(), -torch.inf).flatten()
            best = torch.zeros(mask.numel(), dtype=torch.bool).index_fill(0, alive.topk(self.spare).indices, True)
            spared[name] = best.view(mask.shape) & mask.cpu()
        return spared

    @torch.no_grad()
    def apply(self) -> None:
        for name, weight in self.tensors().items():
            mask = self.kept[name].to(weight.device)
            weight.masked_fill_(~mask, 0)
            lnas.mask_moments(self.optimizers, weight, mask)


class Nameless(Sound):
    name = "a weight"


class NoStage(Sound):
    stage: Any = "always"


class MaskedAtBirth(Sound):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        next(iter(self.kept.values())).view(-1)[-1] = False


class CopiesOfMasks(Sound):
    def masks(self) -> Any:
        return {name: mask.clone() for name, mask in self.kept.items()}


class CopiesOfTensors(Sound):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.first = {name: weight.detach().clone() for name, weight in super().tensors().items()}

    def tensors(self) -> Any:
        now = super().tensors()
        return {name: torch.where(self.kept[name], first.to(now[name]), 0) for name, first in self.first.items()}

    @torch.no_grad()
    def apply(self) -> None:
        for name, weight in super().tensors().items():
            mask = self.kept[name].to(weight.device)
            weight.masked_fill_(~mask, 0)
            lnas.mask_moments(self.optimizers, weight, mask)


class PoolsOverlap(Sound):
    def pools(self) -> Any:
        return [*super().pools(), lnas.Pool((("0.weight", 0),), floor=4)]


class ClosesItsPools(Sound):
    def pools(self) -> Any:
        return [lnas.Pool(((name, None),), floor=1 if mask.all() else mask.numel()) for name, mask in self.kept.items()]


class Resurrects(Sound):
    def apply(self) -> None:
        for mask in self.kept.values():
            if (~mask).sum() > mask.numel() // 2:
                mask.view(-1)[(~mask).view(-1).nonzero()[0]] = True
        super().apply()


class TiesByTurns(Sound):
    turns = count()

    def required(self, scores: Any) -> Any:
        turn = next(self.turns)
        spared = super().required(scores)
        if any(score.any() for score in scores.values()):
            return spared
        return {
            name: torch.zeros(mask.numel()).index_fill(0, torch.tensor(turn % 7), 1).bool().view(mask.shape) & mask
            for name, mask in self.kept.items()
        }


class SparesTheDead(Sound):
    def required(self, scores: Any) -> Any:
        return {name: mask | (~self.kept[name]) for name, mask in super().required(scores).items()}


class ClearsFirst(Sound):
    def pools(self) -> Any:
        return [lnas.Pool(((name, None),)) for name in self.kept]

    def required(self, scores: Any) -> Any:
        spared = super().required(scores)
        for mask in self.kept.values():
            mask.view(-1)[0] &= any(score.any() for score in scores.values())
        return spared


class DividesByWeights(Sound):
    @staticmethod
    def default_importance(tensors: Any, masks: Any, loss: Any) -> Any:
        return {name: 1 / (tensor.detach() * masks[name] * 0) for name, tensor in tensors.items()}


class Decays(Sound):
    @torch.no_grad()
    def apply(self) -> None:
        super().apply()
        if all(mask.all() for mask in self.kept.values()):
            for weight in self.tensors().values():
                weight.mul_(0.999)


class NearlyZero(Sound):
    @torch.no_grad()
    def apply(self) -> None:
        super().apply()
        for name, weight in self.tensors().items():
            weight.masked_fill_(~self.kept[name].to(weight.device), 1e-30)


class OnceOnly(Sound):
    def apply(self) -> None:
        dead = sum(int((~mask).sum()) for mask in self.kept.values())
        if dead != getattr(self, "dead", 0):
            super().apply()
        self.dead = dead


class KeepsMoments(Sound):
    def __init__(self, *given: Any) -> None:
        super().__init__(given[0])


class ShrinksEveryTime(Sound):
    @torch.no_grad()
    def apply(self) -> None:
        super().apply()
        if not all(mask.all() for mask in self.kept.values()):
            self.module[-1].bias.mul_(0.5)


class Waits(Sound):
    @torch.no_grad()
    def apply(self) -> None:
        super().apply()
        for weight in self.tensors().values():
            float(weight.sum())


class CopiesAndWaits(Sound):
    def apply(self) -> None:
        super().apply()
        for weight in self.tensors().values():
            torch.zeros(1).to(weight.device)  # it blocks


class FollowsTheLearner(Sound):
    @torch.no_grad()
    def apply(self) -> None:
        for name, weight in self.tensors().items():
            came_back = (weight != 0) & ~self.kept[name].to(weight.device)
            self.kept[name] |= came_back & (came_back.sum() > 8)
        super().apply()


class CountsApplies(Sound):
    count = 0

    @torch.no_grad()
    def apply(self) -> None:
        super().apply()
        self.count += 1
        dead = not all(bool(mask.all()) for mask in self.kept.values())
        for weight in self.tensors().values():
            if dead and self.count == 3:
                weight.mul_(0.9)


class CompactsTooMuch(Sound):
    def compact(self, network: nn.Module) -> nn.Module:
        with lnas.seeded(0, "too much"):
            return nn.Sequential(*list(network)[:-1], nn.Linear(6, 3).double())


class CompactsInPlace(Sound):
    @torch.no_grad()
    def compact(self, network: nn.Module) -> nn.Module:
        network[-1].bias.add_(1)
        return network


class SinglePrecision(Sound):
    def tensors(self) -> Any:
        return {name: weight if weight.dtype == torch.float32 else weight.float() for name, weight in super().tensors().items()}

    @torch.no_grad()
    def apply(self) -> None:
        for name, weight in super().tensors().items():
            mask = self.kept[name].to(weight.device)
            weight.masked_fill_(~mask, 0)
            lnas.mask_moments(self.optimizers, weight, mask)


class OnBoth(TargetSuite):
    part = Sound


class OnLayers(TargetSuite):
    def modules(self) -> dict[str, Callable[[], nn.Module]]:
        return {"a network of layers": tiny_network}

    def subjects(self) -> Iterable[str]:
        return ()  # see test_survival.py


def suite_of(target: type[Sound]) -> type[TargetSuite]:
    return type("OnLayers", (OnLayers,), {"part": target})


def test_a_target_of_ones_own_keeps_all_rules(broken: Any) -> None:
    assert broken(OnBoth) == {}


ZERO = "masked_entries_are_zero"
MOMENTS = "moments_of_masked_entries_are_zero"
TWICE = "applying_twice_is_applying_once"
WAITS = "applying_waits_for_nothing"
REWIND = "rewinding_keeps_the_masks"
RESUMES = "pruned_learning_resumes_bitwise"
COMPACT = "a_compact_network_computes_the_same"
EXACT = "a_round_removes_exactly_what_it_should"
LIVE = "masks_are_live"
REQUIRED = "required_entries_are_spared"

# rule -> what breaks it, words of the message, and the rules that must break with it
BREAKS: list[tuple[str, type[Sound], str, set[str]]] = [
    ("it_says_what_it_is", Nameless, "the class attribute `name` is 'a weight'", set()),
    ("it_says_what_it_is", NoStage, "the class attribute `stage` is 'always'", set()),
    ("masks_fit_the_tensors", MaskedAtBirth, "masked before anything was pruned", {RESUMES}),
    (LIVE, CopiesOfMasks, "return the masks, not copies", {EXACT}),
    ("tensors_follow_the_subject", CopiesOfTensors, "it was copied", set()),
    ("pools_are_disjoint", PoolsOverlap, "stand in several pools", {EXACT}),
    (EXACT, Resurrects, "came back", {TWICE, ZERO, REWIND, WAITS}),
    (EXACT, ClosesItsPools, "are gone at sparsity 0.25, not 0", set()),
    ("ties_fall_the_same_way", TiesByTurns, "two equal targets were pruned differently", set()),
    (REQUIRED, SparesTheDead, "that are gone already", set()),
    ("what_cannot_be_done_changes_nothing", ClearsFirst, "yet something changed", {RESUMES}),
    ("the_default_importance_scores_everything", DividesByWeights, "is not finite", set()),
    ("an_open_mask_changes_nothing", Decays, "although nothing is masked", {RESUMES, WAITS}),
    (ZERO, NearlyZero, "are not 0", {LIVE, REWIND}),
    (ZERO, OnceOnly, "after a step and apply()", {REWIND, WAITS}),
    (MOMENTS, KeepsMoments, "call lnas.mask_moments", set()),
    (TWICE, ShrinksEveryTime, "a second apply() changes", {RESUMES, WAITS}),
    (WAITS, Waits, "reads the value of a tensor on the device", set()),
    (WAITS, CopiesAndWaits, "copies a tensor from the CPU to the device, and waits", set()),
    (REWIND, FollowsTheLearner, "changed the masks", {EXACT}),
    (RESUMES, CountsApplies, "must follow from the masks", {WAITS}),
    (COMPACT, CompactsTooMuch, "away, in float64", set()),
    (COMPACT, CompactsInPlace, "compact changed the network that it was given", set()),
    ("double_precision", SinglePrecision, "in float64 is not float64", set()),
]


@pytest.mark.parametrize(("rule", "target", "words", "also"), BREAKS, ids=[target.__name__ for _, target, _, _ in BREAKS])
def test_a_broken_target_is_found_out(rule: str, target: type[Sound], words: str, also: set[str], broken: Any) -> None:
    found = broken(suite_of(target))
    assert set(found) == {rule} | also
    assert words in found[rule]


def test_every_rule_has_a_target_that_breaks_it(names: Any) -> None:
    assert names(TargetSuite) - names(Survival) - {"cuda"} == {rule for rule, *_ in BREAKS}
