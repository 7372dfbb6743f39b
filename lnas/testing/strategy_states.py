"""Rules about what a strategy saves and loads."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from typing import Any

import torch

from lnas.builtin.importances import probability
from lnas.builtin.schedules import Iterative
from lnas.builtin.targets import Alpha
from lnas.core.learner import Learner
from lnas.core.rounds import Pruning, Rounds
from lnas.core.space import SearchSpace
from lnas.core.types import Metrics, State
from lnas.testing.states import copied, difference, not_plain
from lnas.testing.strategy_subject import STEPS, Pairs, StrategySubject, die, genotype_or_none, walk
from lnas.testing.suite import require


class StrategyStates(StrategySubject):
    """Rules about states."""

    def test_a_state_is_plain_data(self) -> None:
        """`state_dict()` holds nested dictionaries and lists of tensors, numbers, text, booleans and None: no pickle."""
        for name, strategy in self.fresh():
            for taken, pair in enumerate((None, *self.pairs(2))):
                walk(strategy, [pair] if pair else [])
                found = not_plain(strategy.state_dict())
                require(not found, f"after {taken} steps on {name}, {found}: a checkpoint cannot hold it")

    def test_looking_changes_nothing(self) -> None:
        """Saving, `alphas`, `genotype`, and `predict` in evaluation mode leave the state as it is."""
        for name, strategy in self.fresh():
            walk(strategy, self.pairs(2))
            strategy.module.eval()
            looks: dict[str, Callable[[], object]] = {
                "state_dict()": strategy.state_dict,
                "alphas()": strategy.alphas,
                "genotype()": strategy.genotype,
                "predict in evaluation mode": partial(self.loss, strategy.predict, self.pairs(1)[0][0]),
            }
            for what, look in looks.items():
                before = copied(strategy.state_dict())
                look()
                found = difference(before, strategy.state_dict())
                require(not found, f"{what} on {name} changed what the strategy saves: {found}")

    def test_saving_at_every_step_changes_nothing(self) -> None:
        """A search that is looked at and saved after every step is bitwise the one that is not."""
        for (name, watched), (_, left_alone) in zip(self.fresh(), self.fresh(), strict=True):
            for pair in self.pairs(3):
                walk(watched, [pair])
                for look in (watched.state_dict, watched.alphas, partial(genotype_or_none, watched)):
                    look()
            walk(left_alone, self.pairs(3))
            found = difference(left_alone.state_dict(), watched.state_dict())
            require(not found, f"saving after every step changes a search on {name}: {found}")

    def test_a_search_resumes_bitwise_after_every_step(self) -> None:
        """A state that a fresh strategy loads is saved again bitwise, and the steps after it are those of the straight run."""
        for name, make in self.spaces().items():
            pairs = self.pairs(STEPS)
            run = _recorded(self.strategy(make()), pairs)
            for t, saved in enumerate(run.states):
                fresh = self.strategy(make())
                fresh.load_state_dict(copied(saved))
                found = difference(saved, fresh.state_dict())
                require(not found, f"the state after step {t} on {name}, loaded and saved again, differs: {found}")
                _require_the_rest(fresh, run, pairs, t, f"resumed after step {t} of {STEPS} on {name}, a search")

    def test_rewinding_is_resuming(self) -> None:
        """A strategy that has gone on goes back bitwise to an older state, as often as one likes."""
        for name, make in self.spaces().items():
            pairs = self.pairs(STEPS)
            strategy = self.strategy(make())
            run = _recorded(strategy, pairs)
            for t in (0, 1, 0):
                strategy.load_state_dict(copied(run.states[t]))
                _require_the_rest(strategy, run, pairs, t, f"rewound from step {STEPS} to {t} on {name}, a search")

    def test_a_loaded_state_stays_as_it_is(self) -> None:
        """Loading copies: the steps that follow do not reach the state that was loaded, which is loaded again later."""
        for name, strategy in self.fresh():
            first, *others = self.pairs(3)
            walk(strategy, [first])
            state = copied(strategy.state_dict())
            before = copied(state)
            strategy.load_state_dict(state)
            walk(strategy, others)
            found = difference(before, state)
            require(not found, f"steps on {name} changed the state that was loaded before them: {found}; copy what you load")

    def test_an_older_state_loads_after_paths_have_died(self) -> None:
        """A state of before a round loads after it: live things go back to it, dead paths stay dead, and the search goes on."""
        for name, strategy in self.fresh():
            first, second, third = self.pairs(3)
            walk(strategy, [first])
            state = copied(strategy.state_dict())
            old = {key: value.detach().clone() for key, value in strategy.module.named_parameters()}
            walk(strategy, [second])
            target = die(strategy, strategy.space.required(strategy.alphas(), "edge"))
            alive = {group: mask.clone() for group, mask in strategy.space.alive.items()}
            try:
                strategy.load_state_dict(state)
            except Exception as error:
                require(False, f"a state of before a round on {name} does not load after it: {type(error).__name__}: {error}")
                raise
            target.apply()
            live = dict(strategy.module.named_parameters())
            found = difference({key: old[key] for key in live if key in old}, live, "theta")
            require(not found, f"after an older state was loaded under newer masks on {name}: {found}")
            for metrics in walk(strategy, [third]):
                require(all(bool(x.isfinite()) for x in metrics.values()), f"the step after that is not finite on {name}")
            target.apply()
            found = difference(alive, dict(strategy.space.alive), "alive")
            require(not found, f"loading an older state under newer masks on {name} changed what is alive: {found}")
            for group, alpha in strategy.alphas().items():
                dead = alpha[~alive[group].to(alpha.device)]
                require(not dead.any(), f"alpha of dead paths came back on {name} in {group}: {dead.tolist()}")

    def test_a_pruned_search_resumes_bitwise_after_every_step(self) -> None:
        """The same through the pruning loop: masks, rounds and rewinds, saved and restored at every step."""
        for (name, make), rewind in zip(self.spaces().items(), cycle((1, None)), strict=False):
            pairs = self.pairs(5)
            run = _recorded(self._rounds(make(), rewind), pairs)
            for t, saved in enumerate(run.states):
                fresh = self._rounds(make(), rewind)
                fresh.load_state_dict(copied(saved))
                what = f"resumed after step {t} of 5 on {name}, rewinding to {rewind}, a pruned search"
                _require_the_rest(fresh, run, pairs, t, what)

    def _rounds(self, space: SearchSpace, rewind: int | None) -> Rounds:
        """Two rounds of two steps, each of which removes about a third of the paths; then a step more."""
        strategy = self.strategy(space, steps=5)
        pruning = Pruning(Alpha, Iterative(sparsity=0.55, rounds=2), probability, rewind=rewind)
        return Rounds(strategy, Alpha(strategy), pruning, k=2, finish=1)


class _Run:
    """A straight run: the state after every step, and before the first; what every step reported; and what came out."""

    def __init__(self, states: list[State], metrics: list[Metrics], found: dict[str, Any]) -> None:
        self.states = states
        self.metrics = metrics
        self.found = found


def _recorded(learner: Learner, pairs: Pairs) -> _Run:
    states, reported = [copied(learner.state_dict())], []
    for train, val in pairs:
        reported.append(copied(learner.step(train, val)))
        states.append(copied(learner.state_dict()))
    return _Run(states, reported, _found(learner))


def _require_the_rest(learner: Learner, run: _Run, pairs: Pairs, t: int, what: str) -> None:
    """From step `t` on, a learner must do bit by bit what the straight run did."""
    for number, found in _differences(learner, run, pairs, t):
        require(
            not found,
            f"{what} differs from the straight run after step {number}: {found}; state_dict() must hold all that steers a step",
        )
    found = difference(run.found, _found(learner), "what was found")
    require(not found, f"{what} ends elsewhere than the straight run: {found}; state_dict() must hold all that steers the choice")


def _found(learner: Learner) -> dict[str, Any]:
    """The preferences and the choice at the end of a search."""
    strategy: Any = learner.learner if isinstance(learner, Rounds) else learner
    genotype = genotype_or_none(strategy)
    return copied({"alphas": dict(strategy.alphas()), "genotype": genotype and genotype.to_json()})  # type: ignore[no-any-return]


def _differences(learner: Learner, run: _Run, pairs: Pairs, t: int) -> Iterator[tuple[int, str]]:
    for number, (train, val) in list(enumerate(pairs, 1))[t:]:
        metrics: Any = dict(learner.step(train, val))
        yield number, difference(run.metrics[number - 1], metrics, "metrics")
        with torch.no_grad():
            yield number, difference(run.states[number], learner.state_dict())
