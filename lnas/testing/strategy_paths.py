"""Rules about a strategy some of whose paths have died."""

import gc
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lnas.core.learner import SearchStrategy
from lnas.testing.states import copied, difference
from lnas.testing.strategy_subject import StrategySubject, die, walk
from lnas.testing.subjects import deaths
from lnas.testing.suite import require

DEPTH = 4
"""How deep in the attributes of a strategy optimizers are looked for."""

SOME = 6
"""Of how many ways to die the influence of dead paths is looked at: the required ones and random sets."""


class StrategyPaths(StrategySubject):
    """Rules about dead paths."""

    def test_a_search_goes_on_whatever_has_died(self) -> None:
        """Whatever subset of paths is dead: steps are finite, dead alphas stay 0, dead paths dead, the genotype is alive."""
        for name, make in self.spaces().items():
            for what, masks in list(deaths(make())):
                strategy = self.strategy(make())
                walk(strategy, self.pairs(1, "before"))
                target = die(strategy, masks)
                where = f"on {name}, where {what}"
                for pair in self.pairs(1):
                    metrics = strategy.step(*pair)
                    target.apply()
                    wrong = [key for key, value in metrics.items() if not bool(value.isfinite())]
                    require(not wrong, f"{', '.join(wrong)} is not finite {where}")
                found = difference(masks, dict(strategy.space.alive), "alive")
                require(not found, f"the strategy changed which paths are alive {where}: {found}")
                for group, alpha in strategy.alphas().items():
                    require(bool(alpha.isfinite().all()), f"alphas()[{group!r}] is not finite {where}")
                    dead = alpha[~masks[group].to(alpha.device)]
                    require(
                        not dead.any(),
                        f"alphas()[{group!r}] of dead paths is {dead.tolist()} after target.apply() {where}; return the tensors"
                        " themselves, or 0 for what is dead",
                    )
                kept = strategy.space.paths(strategy.genotype())
                for group, paths in kept.items():
                    require(not (paths & ~masks[group]).any(), f"genotype() chose a dead path of {group} {where}")

    def test_dead_paths_have_no_influence(self) -> None:
        """The alpha of a dead path steers nothing: neither `predict`, nor the choice, nor a step."""
        for name, make in self.spaces().items():
            for what, masks in list(deaths(make()))[-SOME:]:
                quiet, poked = (self.strategy(make()) for _ in range(2))
                for strategy in (quiet, poked):
                    walk(strategy, self.pairs(1, "before"))
                    die(strategy, masks)
                for group, alpha in poked.alphas().items():
                    with torch.no_grad():
                        alpha.masked_fill_(~masks[group].to(alpha.device), 3.0)
                where = f"on {name}, where {what}, once alpha of the dead paths is 3 instead of 0"
                seen = [self._seen(strategy, masks) for strategy in (quiet, poked)]
                found = difference(seen[0], seen[1], "what the strategy does")
                require(not found, f"dead paths have an influence {where}: {found}; take the softmax over live paths only")

    def test_a_dead_path_leaves_no_memory(self) -> None:
        """Once a path is dead and the target was applied, nothing holds on to its parameters."""
        for name, strategy in self.fresh():
            walk(strategy, self.pairs(1))
            held = {key: weakref.ref(parameter) for key, parameter in strategy.space.named_parameters()}
            die(strategy, strategy.space.required(strategy.alphas(), "node"))
            walk(strategy, self.pairs(1))
            live = {id(parameter) for parameter in strategy.space.parameters()}
            left = [key for key, reference in held.items() if reference() is not None and id(reference()) not in live]
            if left and gc.collect():
                left = [key for key in left if held[key]() is not None]
            require(
                not left,
                f"{', '.join(left[:3])} of dead paths on {name} is still in memory; an optimizer, a list or a gradient holds it:"
                " name every optimizer in `optimizers`, and keep no list of parameters",
            )

    def test_optimizers_are_all_named(self) -> None:
        """`optimizers` holds every optimizer of theta or alpha, and a dead path leaves all of them."""
        for name, strategy in self.fresh():
            walk(strategy, self.pairs(1))
            learned = {id(x) for x in (*strategy.space.parameters(), *strategy.alphas().values())}
            named = {id(optimizer) for optimizer in strategy.optimizers}
            for place, optimizer in _optimizers(vars(strategy), "strategy", DEPTH):
                of_theirs = any(id(x) in learned for group in optimizer.param_groups for x in group["params"])
                require(
                    id(optimizer) in named or not of_theirs,
                    f"{place} on {name} updates theta or alpha and is not in `optimizers`, so that no mask reaches its moments",
                )
            die(strategy, strategy.space.required(strategy.alphas(), "edge"))
            walk(strategy, self.pairs(1))
            die(strategy, strategy.space.alive)
            for alpha, mask in zip(strategy.alphas().values(), strategy.space.alive.values(), strict=True):
                for optimizer in strategy.optimizers:
                    for key, moment in optimizer.state.get(alpha, {}).items():
                        fits = isinstance(moment, Tensor) and moment.shape == mask.shape
                        require(
                            not fits or not moment[~mask.to(moment.device)].any(),
                            f"the moment {key} of alpha on {name} is not 0 where paths are dead",
                        )

    def _seen(self, strategy: SearchStrategy, masks: Mapping[str, Tensor]) -> dict[str, Any]:
        """What a strategy answers and does, as far as live paths go."""
        [(train, val)] = self.pairs(1, "seen")
        strategy.module.eval()
        with torch.no_grad():
            value = self.loss(strategy.predict, val)
        strategy.module.train()
        genotype = strategy.genotype().to_json()
        metrics = copied(strategy.step(train, val))
        alphas = {group: alpha.detach()[masks[group].to(alpha.device)] for group, alpha in strategy.alphas().items()}
        theta = dict(strategy.module.named_parameters())
        return {"loss": value, "genotype": genotype, "metrics": metrics, "live alphas": alphas, "theta": theta}


def _optimizers(value: object, place: str, depth: int) -> Iterator[tuple[str, Optimizer]]:
    """The optimizers within an object's attributes, lists and dictionaries, each with where it is."""
    if isinstance(value, Optimizer):
        yield place, value
    elif depth and not isinstance(value, nn.Module | Tensor | str | type):
        if isinstance(value, Mapping):
            parts = [(f"{place}.{key}", part) for key, part in value.items()]
        elif isinstance(value, list | tuple):
            parts = [(f"{place}[{number}]", part) for number, part in enumerate(value)]
        else:
            parts = [(f"{place}.{key}", part) for key, part in getattr(value, "__dict__", {}).items()]
        for where, part in parts:
            yield from _optimizers(part, where, depth - 1)
