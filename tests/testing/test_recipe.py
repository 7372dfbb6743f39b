from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch

import lnas
from lnas.testing import RecipeSuite, judge
from lnas.testing.suite import rules

KEEP_ALPHA = lnas.Pruning(lnas.Alpha, lnas.Never(), lnas.probability)
KEEP_THETA = lnas.Pruning(lnas.Theta.of, lnas.Never(), lnas.magnitude)


def sound(strategy, fit, *, alpha, theta, search, train, seed=0):
    """Both are pruned, and weights are not rewound."""
    return lnas.Pipeline(
        lnas.Search(strategy, alpha, search),
        lnas.Retrain(strategy.space.derive, fit, replace(theta, rewind=None), train, seed),
    )


def without_a_seed(strategy, fit, *, search, train):
    return plain(strategy, fit, search=search, train=train)


def wants_more(strategy, fit, epochs, *, search, train, seed=0):
    return plain(strategy, fit, search=search, train=train, seed=seed)


def takes_all(strategy, fit, *, search, train, seed=0, **more):
    return plain(strategy, fit, search=search, train=train, seed=seed)


def plain(strategy, fit, *, search, train, seed=0):
    return lnas.Pipeline(
        lnas.Search(strategy, KEEP_ALPHA, search), lnas.Retrain(strategy.space.derive, fit, KEEP_THETA, train, seed)
    )


def rounds_only(strategy, fit, *, search, train, seed=0):
    return plain(strategy, fit, search=search, train=train, seed=seed).rounds


def search_only(strategy, fit, *, search, train, seed=0):
    return lnas.Pipeline(lnas.Search(strategy, KEEP_ALPHA, search))


def at_least_one(strategy, fit, *, search, train, seed=0):
    return plain(strategy, fit, search=max(search, 1), train=max(train, 1), seed=seed)


def warmed_up(strategy, fit, *, search, train, seed=0):
    batch = torch.zeros(2, 1, 8, 8), torch.zeros(2, dtype=torch.long)
    strategy.step(batch, batch)
    return plain(strategy, fit, search=search, train=train, seed=seed)


def all_but_one(strategy, fit, *, search, train, seed=0):
    return plain(strategy, fit, search=search, train=train - (train > 4), seed=seed)


def other_split(strategy, fit, *, search, train, seed=0):
    return plain(strategy, fit, search=search + 1, train=train - 1, seed=seed)


def own_fit(strategy, fit, *, search, train, seed=0):
    def mine(network, horizon):
        return lnas.WeightTraining(network, lnas.cross_entropy, horizon)

    return plain(strategy, mine, search=search, train=train, seed=seed)


def long_horizon(strategy, fit, *, search, train, seed=0):
    return plain(strategy, lambda network, horizon: fit(network, 10 * horizon), search=search, train=train, seed=seed)


@dataclass(frozen=True)
class Forgetful(lnas.Search):
    def end(self, rounds, ticket):
        made = super().end(rounds, ticket)
        return replace(made, sparsity={})


@dataclass(frozen=True)
class LeavesWeights(lnas.Retrain):
    def end(self, rounds, ticket):
        with torch.no_grad():
            for name, mask in rounds.target.masks().items():
                rounds.module.get_parameter(name).add_((~mask).float())
        return super().end(rounds, ticket)


def unclean(strategy, fit, *, theta, search, train, seed=0):
    return lnas.Pipeline(lnas.Search(strategy, KEEP_ALPHA, search), LeavesWeights(strategy.space.derive, fit, theta, train, seed))


def ignores_theta(strategy, fit, *, theta, search, train, seed=0):
    return plain(strategy, fit, search=search, train=train, seed=seed)


def says_nothing(strategy, fit, *, alpha, search, train, seed=0):
    return lnas.Pipeline(Forgetful(strategy, alpha, search), lnas.Retrain(strategy.space.derive, fit, KEEP_THETA, train, seed))


def half_as_sparse(strategy, fit, *, theta, search, train, seed=0):
    halved = replace(theta, schedule=lnas.Iterative(theta.schedule.sparsity / 2, theta.schedule.rounds))
    return lnas.Pipeline(lnas.Search(strategy, KEEP_ALPHA, search), lnas.Retrain(strategy.space.derive, fit, halved, train, seed))


def dice(strategy, fit, *, search, train, seed=0):
    lr = 0.01 + 0.01 * float(torch.rand(()))

    def mine(network, horizon):
        learner = fit(network, horizon)
        return lnas.WeightTraining(network, learner.loss, horizon, lr=lr)

    return plain(strategy, mine, search=search, train=train, seed=seed)


def one_network(strategy, fit, *, search, train, seed=0):
    return plain(strategy, fit, search=search, train=train)


@dataclass(frozen=True)
class Amnesiac(lnas.Retrain):
    """Its learner saves nothing of its optimizer."""

    def begin(self, ticket):
        rounds = super().begin(ticket)
        load = rounds.learner.load_state_dict

        def forget(state):
            load(state)
            for optimizer in rounds.learner.optimizers:
                optimizer.state.clear()

        rounds.learner.load_state_dict = forget
        return rounds


def amnesiac(strategy, fit, *, search, train, seed=0):
    return lnas.Pipeline(lnas.Search(strategy, KEEP_ALPHA, search), Amnesiac(strategy.space.derive, fit, KEEP_THETA, train, seed))


CALLED, TRAINS, ACCEPTED = "it_takes_what_lnas_gives", "it_makes_a_pipeline_that_trains", "lnas_accepts_it"
LENGTHS, EARLY, STEPS = (
    "lengths_that_cannot_be_are_refused",
    "nothing_is_learned_before_the_first_step",
    "it_takes_exactly_the_steps_it_was_given",
)
FIT, TICKET, USED = "fit_makes_the_learner", "the_ticket_is_complete", "its_prunings_are_used"
SAME, SEED, SAVED = "it_is_deterministic", "the_seed_draws_the_network", "it_is_saved_and_restored_at_every_step"
BROKEN = {
    without_a_seed: {CALLED, ACCEPTED},
    wants_more: {CALLED, ACCEPTED},
    takes_all: {"unknown_options_are_refused"},
    rounds_only: {TRAINS, ACCEPTED},
    search_only: {TRAINS, LENGTHS, STEPS, FIT, TICKET, SEED},
    at_least_one: {LENGTHS},
    warmed_up: {EARLY, STEPS},
    all_but_one: {STEPS},
    other_split: {STEPS, LENGTHS, SEED},
    own_fit: {FIT},
    long_horizon: {FIT},
    unclean: {TICKET},
    ignores_theta: {USED},
    says_nothing: {USED},
    half_as_sparse: {USED},
    dice: {SAME, SAVED, "the_global_random_state_is_left_alone"},
    one_network: {SEED},
    amnesiac: {SAVED},
}


def found(part: Callable[..., object]) -> dict[str, str]:
    suite = type("Of", (RecipeSuite,), {"part": staticmethod(part), "search": 3, "train": 4})
    return {verdict.rule: verdict.message for verdict in judge(suite) if verdict.outcome == "broken"}


def test_a_sound_one_keeps_all() -> None:
    assert found(sound) == {}


@pytest.mark.parametrize("part", BROKEN, ids=lambda part: part.__name__)
def test_the_broken_rule_is_named(part: Callable[..., object]) -> None:
    assert found(part).keys() == BROKEN[part]


def test_every_rule_of_recipes_can_be_broken() -> None:
    own = {name.removeprefix("test_") for name, _ in rules(RecipeSuite) if name in vars(RecipeSuite)}
    assert own <= set().union(*BROKEN.values())


def test_the_message_says_what_came_out_and_what_should_have() -> None:
    assert found(half_as_sparse)["its_prunings_are_used"] == (
        "recipe half_as_sparse: theta was asked for a sparsity of 0.25, the user for 0.5"
    )
