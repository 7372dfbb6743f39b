"""Every rule of strategies catches a strategy that breaks it, and it alone where that can be."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import pytest
import torch
from torch import nn

import lnas
from lnas.testing import StrategySuite, Suite
from lnas.testing.subjects import tiny_choices
from lnas.testing.survival import Survival


class Sound(lnas.SearchStrategy):
    """A step of Adam on alpha and of SGD on theta, on the training batch.  Every class below is this one, but for a fault."""

    def __init__(self, space: Any, loss: Any, steps: int = 0, seed: int = 0, *, lr: Annotated[float, "of both"] = 0.05) -> None:
        if not 0 <= lr < 1:
            raise lnas.ConfigError(f"lr must be in [0, 1), not {lr!r}")
        self.space = self.module = space
        self.loss = loss
        self.steps, self.seed, self.lr, self.t = steps, seed, lr, 0
        self.alpha = {group: nn.Parameter(self.drawn(group).to(next(space.parameters()))) for group in space.alive}
        self.sgd = torch.optim.SGD(space.named_parameters(), lr, momentum=0.9)
        self.adam = torch.optim.Adam(self.alpha.items(), lr)
        self.optimizers = self.own = (self.sgd, self.adam)

    def drawn(self, group: str) -> Any:
        return 0.1 * torch.randn(self.space.alive[group].shape, generator=lnas.stream(self.seed, f"alpha/{group}"))

    def step(self, train: Any, val: Any = None) -> Any:
        loss = self.loss(self.mixed, train)
        self.descend(loss)
        self.t += 1
        return {"loss": loss.detach()}

    def descend(self, loss: Any) -> None:
        learned = [x for optimizer in self.own for group in optimizer.param_groups for x in group["params"]]
        slopes = torch.autograd.grad(loss, learned, allow_unused=True, materialize_grads=True)
        for x, slope in zip(learned, self.means(slopes), strict=True):
            x.grad = slope
        for optimizer in self.own:
            optimizer.step()
            optimizer.zero_grad()

    def means(self, slopes: Any) -> Any:
        return self.average(slopes)

    def gates(self) -> Any:
        return {group: lnas.relax(alpha, self.space.alive[group]) for group, alpha in self.alpha.items()}

    def mixed(self, x: Any) -> Any:
        return self.space(x, self.gates())

    def predict(self, x: Any) -> Any:
        return self.mixed(x)

    def alphas(self) -> Any:
        return self.alpha

    def genotype(self) -> lnas.Genotype:
        return self.space.discretize(self.alpha)

    def state_dict(self) -> Any:
        return {
            "space": self.space.state_dict(),
            "alpha": {group: alpha.detach() for group, alpha in self.alpha.items()},
            "optimizers": [lnas.optimizer_state(optimizer) for optimizer in self.own],
            "t": self.t,
        }

    @torch.no_grad()
    def load_state_dict(self, state: Any) -> None:
        self.space.load_live(state["space"])
        for group, alpha in self.alpha.items():
            alpha.copy_(state["alpha"][group])
        for optimizer, saved in zip(self.own, state["optimizers"], strict=True):
            lnas.load_optimizer_state(optimizer, saved)
        self.t = state["t"]


class OptimizersInAList(Sound):
    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.optimizers = list(self.optimizers)  # type: ignore[assignment]


class Suggests(Sound):
    suggested = {"epochs": "many"}


class SuggestsNothing(Sound):
    suggested = None  # type: ignore[assignment]


class RowOfMetrics(Sound):
    def step(self, train: Any, val: Any = None) -> Any:
        return {"loss": super().step(train, val)["loss"].reshape(1)}


class MetricsInPlace(Sound):
    def step(self, train: Any, val: Any = None) -> Any:
        loss = super().step(train, val)["loss"]
        self.reported = self.reported.copy_(loss) if hasattr(self, "reported") else loss
        return {"loss": self.reported}


class DrawsFromAnywhere(Sound):
    def drawn(self, group: str) -> Any:
        generator = torch.Generator()
        generator.seed()
        return 0.1 * torch.randn(self.space.alive[group].shape, generator=generator)


class IgnoresItsSeed(Sound):
    def drawn(self, group: str) -> Any:
        return torch.zeros(self.space.alive[group].shape)


class Waits(Sound):
    def step(self, train: Any, val: Any = None) -> Any:
        metrics = super().step(train, val)
        self.last = metrics["loss"].item()
        return metrics


class CopiesAndWaits(Sound):
    def gates(self) -> Any:
        alive = {group: mask.to(next(self.space.parameters()).device) for group, mask in self.space.alive.items()}
        return {group: lnas.relax(alpha, alive[group]) for group, alpha in self.alpha.items()}


class OpensBatches(Sound):
    def step(self, train: Any, val: Any = None) -> Any:
        pictures, labels = train
        return super().step((pictures, labels), val)


class ChangesBatches(Sound):
    def step(self, train: Any, val: Any = None) -> Any:
        metrics = super().step(train, val)
        if hasattr(train, "batch"):
            train.batch[0].neg_()
        return metrics


class TrainsWhatRests(Sound):
    def step(self, train: Any, val: Any = None) -> Any:
        self.module.train()
        return super().step(train, val)


class NoAlphaAtFirst(Sound):
    def alphas(self) -> Any:
        return self.alpha if self.t else {group: torch.full_like(alpha, torch.nan) for group, alpha in self.alpha.items()}


class GenesInLists(Sound):
    def genotype(self) -> lnas.Genotype:
        genotype = super().genotype()
        return lnas.Genotype({name: list(genes) for name, genes in genotype.groups.items()}, genotype.outputs)  # type: ignore[misc]


class WithoutAGraph(Sound):
    @torch.no_grad()
    def predict(self, x: Any) -> Any:
        return self.mixed(x)


class DividesBySteps(Sound):
    def __init__(self, space: Any, loss: Any, steps: int = 0, seed: int = 0, *, lr: Annotated[float, "of both"] = 0.05) -> None:
        super().__init__(space, loss, steps, seed, lr=lr)
        self.share = 1 / steps


class AveragesNothing(Sound):
    def means(self, slopes: Any) -> Any:
        return slopes


class AveragesSome(Sound):
    def means(self, slopes: Any) -> Any:
        return (*slopes[:-1], *self.average(slopes[-1:]))


class AddsUp(Sound):
    def means(self, slopes: Any) -> Any:
        ours = type(self).average
        return [slope if self.average is ours else 2 * slope for slope in self.average(slopes)]


class SinglePrecision(Sound):
    def __init__(self, space: Any, loss: Any, steps: int = 0, seed: int = 0, *, lr: Annotated[float, "of both"] = 0.05) -> None:
        super().__init__(space, loss, steps, seed, lr=lr)
        for alpha in self.alpha.values():
            alpha.data = alpha.data.float()


class SavesATuple(Sound):
    def state_dict(self) -> Any:
        return {**super().state_dict(), "extra": (1, 2)}


class CountsLooks(Sound):
    looks = 0

    def predict(self, x: Any) -> Any:
        self.looks += not self.module.training
        return self.mixed(x)

    def state_dict(self) -> Any:
        return {**super().state_dict(), "looks": self.looks}


class SlowsWhenAsked(Sound):
    asked = 1

    def genotype(self) -> lnas.Genotype:
        self.asked += 1
        return super().genotype()

    def descend(self, loss: Any) -> None:
        super().descend(loss / self.asked)


class StaysFresh(Sound):
    def load_state_dict(self, state: Any) -> None:
        if self.t:
            super().load_state_dict(state)


class ForgetsTheBest(Sound):
    best = None

    def step(self, train: Any, val: Any = None) -> Any:
        metrics = super().step(train, val)
        self.best = {group: alpha.detach().clone() for group, alpha in self.alpha.items()} if self.t == 1 else self.best
        return metrics

    def genotype(self) -> lnas.Genotype:
        return self.space.discretize(self.best or {group: -alpha for group, alpha in self.alpha.items()})


class RemembersTheFuture(Sound):
    def load_state_dict(self, state: Any) -> None:
        t = self.t
        super().load_state_dict(state)
        self.t = max(t, self.t)

    def descend(self, loss: Any) -> None:
        super().descend(loss / (1 + self.t))


class KeepsWhatItLoads(Sound):
    def load_state_dict(self, state: Any) -> None:
        super().load_state_dict(state)
        for group, alpha in self.alpha.items():
            alpha.data = state["alpha"][group]


class LoadsToTheLetter(Sound):
    def load_state_dict(self, state: Any) -> None:
        self.space.load_state_dict(state["space"])
        super().load_state_dict(state)


class NoticesDeaths(Sound):
    noticed = False

    def descend(self, loss: Any) -> None:
        dead = not all(alive.all() for alive in self.space.alive.values())
        super().descend(loss if self.noticed or not dead else loss / 2)
        self.noticed = dead


class RaisesTheDead(Sound):
    def genotype(self) -> lnas.Genotype:
        alive = {group: mask.clone() for group, mask in self.space.alive.items()}
        for mask in self.space.alive.values():
            mask.fill_(True)
        genotype = super().genotype()
        for group, mask in self.space.alive.items():
            mask.copy_(alive[group])
        return genotype


class AlphasAreCopies(Sound):
    def alphas(self) -> Any:
        return {group: alpha.detach().clone() for group, alpha in self.alpha.items()}


class CountsTheDead(Sound):
    def gates(self) -> Any:
        return {group: alpha.softmax(-1) for group, alpha in self.alpha.items()}


class KeepsAList(Sound):
    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.theta = list(self.space.parameters())


class HidesAnOptimizer(Sound):
    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.optimizers = (self.sgd,)


SAME = "the_same_seed_makes_the_same_run"
REWINDING = "rewinding_is_resuming"
RESUMES_PRUNED = {"a_pruned_search_resumes_bitwise_after_every_step"}

# rule -> what breaks it, words of the message, and the rules that must break with it
BREAKS: list[tuple[str, type[Sound], str, set[str]]] = [
    ("it_is_a_strategy", OptimizersInAList, "must be a tuple of torch optimizers", set()),
    ("what_it_suggests_is_a_configuration", Suggests, "suggested is {'epochs': 'many'}: ", set()),
    ("what_it_suggests_is_a_configuration", SuggestsNothing, "must be a mapping of settings", set()),
    ("a_step_reports_detached_numbers", RowOfMetrics, "loss has the shape (1,); it must be 0-d", set()),
    ("a_step_reports_detached_numbers", MetricsInPlace, "the next step changed the metrics of the one before", set()),
    (
        SAME,
        DrawsFromAnywhere,
        "two searches on choices with the seed 0 differ",
        {
            "saving_at_every_step_changes_nothing",
            "dead_paths_have_no_influence",
            "every_gradient_is_averaged",
            "average_among_equals_changes_nothing",
        },
    ),
    ("another_seed_makes_another_run", IgnoresItsSeed, "the seed is not used", set()),
    ("a_step_waits_for_nothing", Waits, "test_strategy.py", set()),
    ("a_step_waits_for_nothing", CopiesAndWaits, "copy it with non_blocking=True", set()),
    ("the_batch_is_left_to_the_loss", OpensBatches, "opened a batch that only the loss understands", set()),
    ("the_batch_is_left_to_the_loss", ChangesBatches, "changed its batches", set()),
    ("modes_are_left_alone", TrainsWhatRests, "step on choices changed a module's mode", set()),
    ("alphas_are_one_for_each_path", NoAlphaAtFirst, "is not finite before the first step", set()),
    ("the_genotype_can_be_built", GenesInLists, "is not the same after it was written and read", set()),
    ("predict_can_be_differentiated", WithoutAGraph, "it has no gradient by theta", set()),
    ("searches_of_no_and_of_one_step", DividesBySteps, "ZeroDivisionError", set()),
    ("every_gradient_is_averaged", AveragesNothing, "drift apart", set()),
    ("every_gradient_is_averaged", AveragesSome, "drift apart", set()),
    ("average_among_equals_changes_nothing", AddsUp, "do not learn what one learns", set()),
    ("double_precision", SinglePrecision, "is torch.float32 on choices in float64", set()),
    ("a_state_is_plain_data", SavesATuple, "state['extra'] is a tuple", set()),
    ("looking_changes_nothing", CountsLooks, "predict in evaluation mode", set()),
    ("saving_at_every_step_changes_nothing", SlowsWhenAsked, "saving after every step changes", {REWINDING}),
    ("a_search_resumes_bitwise_after_every_step", StaysFresh, "loaded and saved again, differs", RESUMES_PRUNED),
    ("a_search_resumes_bitwise_after_every_step", ForgetsTheBest, "ends elsewhere than the straight run", set()),
    (REWINDING, RemembersTheFuture, "rewound from step 4 to 0", set()),
    ("a_loaded_state_stays_as_it_is", KeepsWhatItLoads, "copy what you load", RESUMES_PRUNED),
    (
        "an_older_state_loads_after_paths_have_died",
        LoadsToTheLetter,
        "does not load after it",
        RESUMES_PRUNED | {"nothing_is_printed", "global_settings_are_left_alone", "the_global_random_state_is_left_alone"},
    ),
    ("a_pruned_search_resumes_bitwise_after_every_step", NoticesDeaths, "must hold all that steers a step", set()),
    ("a_search_goes_on_whatever_has_died", RaisesTheDead, "genotype() chose a dead path", {"dead_paths_have_no_influence"}),
    (
        "a_search_goes_on_whatever_has_died",
        AlphasAreCopies,
        "return the tensors themselves",
        {"an_older_state_loads_after_paths_have_died"},
    ),
    ("dead_paths_have_no_influence", CountsTheDead, "take the softmax over live paths only", set()),
    ("a_dead_path_leaves_no_memory", KeepsAList, "is still in memory", set()),
    ("optimizers_are_all_named", HidesAnOptimizer, "is not in `optimizers`", set()),
]


class OnBoth(StrategySuite):
    part = Sound


class OnChoices(StrategySuite):
    def spaces(self) -> dict[str, Callable[[], Any]]:
        return {"choices": tiny_choices}

    def subjects(self) -> Iterable[str]:
        return ()  # see test_survival.py


def suite_of(strategy: type[lnas.SearchStrategy]) -> type[Suite]:
    return type("OnChoices", (OnChoices,), {"part": strategy})


def test_a_strategy_of_ones_own_keeps_all_rules(broken: Any) -> None:
    assert broken(OnBoth) == {}


@pytest.mark.parametrize(("rule", "strategy", "words", "also"), BREAKS, ids=[strategy.__name__ for _, strategy, _, _ in BREAKS])
def test_a_broken_strategy_is_found_out(rule: str, strategy: type[Sound], words: str, also: set[str], broken: Any) -> None:
    found = broken(suite_of(strategy))
    assert set(found) == {rule} | also
    assert words in found[rule]


def test_every_rule_has_a_strategy_that_breaks_it(names: Any) -> None:
    assert names(StrategySuite) - names(Survival) - {"cuda"} == {rule for rule, *_ in BREAKS}
