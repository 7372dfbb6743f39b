"""What every recipe keeps: from a strategy to a ticket, in the steps that it is given."""

import inspect
import unittest
from typing import Any, ClassVar

from torch import nn

from lnas.builtin.classification import cross_entropy
from lnas.builtin.darts import Darts
from lnas.core.errors import LnasError
from lnas.core.learner import SearchStrategy
from lnas.core.pipeline import Pipeline
from lnas.core.rounds import Pruning
from lnas.core.space import SearchSpace
from lnas.core.stages import Fit, Retrain
from lnas.host.pipelines import make_pipeline
from lnas.testing.driven import PRUNINGS, ROUNDS, SPARSITY, Fits, counted, drive, outcome
from lnas.testing.part import PartSuite
from lnas.testing.registered import NAME, registry_with
from lnas.testing.states import copied, difference, not_plain
from lnas.testing.subjects import TASK, batches, tiny_cells, tiny_choices
from lnas.testing.suite import require


class RecipeSuite(PartSuite):
    """The rules of recipes.

    Attributes:
        search: steps of the search that the recipe is tried with.
        train: steps of training.
    """

    kind = "recipe"
    search: ClassVar[int] = 5
    train: ClassVar[int] = 7

    def space(self) -> SearchSpace:
        """A fresh space, equal at every call; override it where the recipe needs another."""
        return tiny_choices()

    def given(self) -> tuple[Any, ...]:
        """A strategy, and what makes the learner of a network."""
        return self._strategy(self.space()), Fits()

    def exercise(self) -> None:
        """A whole run, saved and restored in its middle."""
        pipeline = self.pipeline()
        drive(pipeline, most=self.search + 1)
        pipeline.load_state_dict(copied(pipeline.state_dict()))
        drive(pipeline)
        outcome(pipeline)

    def pipeline(
        self,
        strategy: SearchStrategy | None = None,
        fit: Fit | None = None,
        *,
        search: int | None = None,
        train: int | None = None,
        seed: int = 0,
    ) -> Pipeline:
        """The recipe called as lnas calls it, with the prunings that it takes.

        Raises:
            unittest.SkipTest: where it cannot be called or makes no pipeline, which are rules of their own.
        """
        if self._not_callable():
            raise unittest.SkipTest("it cannot be called as lnas calls it")
        made = self.loaded()(
            strategy or self._strategy(self.space()),
            fit or Fits(),
            search=self.search if search is None else search,
            train=self.train if train is None else train,
            seed=seed,
            **self._prunings(),
        )
        if not isinstance(made, Pipeline):
            raise unittest.SkipTest("it makes no pipeline")
        return made

    def test_it_takes_what_lnas_gives(self) -> None:
        """It is called with strategy and fit, search, train and seed, and alpha and theta as far as it takes them."""
        error, shown = self._not_callable(), f"{self.label()}{inspect.signature(self.loaded())}"
        require(not error, f"{shown} cannot be called as (strategy, fit, search=, train=, seed=, ...): {error}")

    def test_unknown_options_are_refused(self) -> None:
        """A pruning or option that it does not have is an error: no `**options`."""
        error = self._not_callable(no_such_option=1)
        require(bool(error), f"{self.label()}(..., no_such_option=1) is accepted without a word; take no **keywords")

    def test_it_makes_a_pipeline_that_trains(self) -> None:
        """It returns a `Pipeline`, and one of its stages is a `Retrain`."""
        if self._not_callable():
            raise unittest.SkipTest("it cannot be called as lnas calls it")
        given = {"search": self.search, "train": self.train, "seed": 0}
        made = self.loaded()(*self.given(), **given, **self._prunings())
        require(isinstance(made, Pipeline), f"{self.label()} returned a {type(made).__name__}, not a Pipeline")
        names = [type(stage).__name__ for stage in made.stages]
        trains = any(isinstance(stage, Retrain) for stage in made.stages)
        require(trains, f"{self.label()} has the stages {', '.join(names)}; a run ends with a trained network: add a Retrain")

    def test_lnas_accepts_it(self) -> None:
        """All that is checked before a run begins is in order."""
        self._checked_by_lnas(self.search, self.train)

    def test_lengths_that_cannot_be_are_refused(self) -> None:
        """No steps, or fewer than there are rounds, are an lnas error before the first step, and no silent minimum."""
        for search, train in ((0, self.train), (self.search, 0), (-1, self.train)):
            try:
                self._checked_by_lnas(search, train)
            except LnasError:
                continue
            require(False, f"{self.label()} accepted search={search} and train={train}; hand the steps on as they are")

    def test_nothing_is_learned_before_the_first_step(self) -> None:
        """Making a pipeline changes neither the strategy nor its space."""
        strategy = self._strategy(self.space())
        before = copied(strategy.state_dict())
        self.pipeline(strategy)
        found = difference(before, strategy.state_dict())
        require(not found, f"{self.label()} changed the strategy before the first step: {found}")

    def test_it_takes_exactly_the_steps_it_was_given(self) -> None:
        """It is done after search + train steps, of which the strategy does `search`."""
        for search, train in ((self.search, self.train), (self.search + 2, self.train + 1)):
            strategy = self._strategy(self.space())
            searched = counted(strategy)
            pipeline = self.pipeline(strategy, search=search, train=train)
            steps = drive(pipeline)
            given = f"{self.label()} was given search={search} and train={train}"
            require(pipeline.done, f"{given}, and is not done after {steps} steps")
            require(steps == search + train, f"{given}, and is done after {steps} steps; it must be {search + train}")
            require(len(searched) == search, f"{given}, and the strategy did {len(searched)} steps; it must be {search}")

    def test_fit_makes_the_learner(self) -> None:
        """Each training begins with a call of `fit`, with a network and the steps it has."""
        fit = Fits()
        pipeline = self.pipeline(fit=fit)
        drive(pipeline)
        require(bool(fit.calls), f"{self.label()} never called fit; Retrain does")
        for network, horizon in fit.calls:
            require(isinstance(network, nn.Module), f"{self.label()} called fit with a {type(network).__name__}, not a network")
            right = type(horizon) is int and 1 <= horizon <= self.train
            require(right, f"{self.label()} called fit with the horizon {horizon!r}; it must be 1 to {self.train} steps")

    def test_the_ticket_is_complete(self) -> None:
        """The ticket has an architecture of the space, a network that works, and its masks, under which weights are 0."""
        strategy = self._strategy(self.space())
        pipeline = self.pipeline(strategy)
        drive(pipeline)
        ticket = pipeline.ticket
        require(ticket.genotype is not None, f"{self.label()} ends without a genotype; put a Search before the Retrain")
        require(ticket.network is not None, f"{self.label()} ends without a network; end with a Retrain")
        assert ticket.genotype is not None and ticket.network is not None
        paths = strategy.space.paths(ticket.genotype)
        dead = [group for group, kept in paths.items() if bool((kept & ~strategy.space.alive[group]).any())]
        require(not dead, f"the genotype of {self.label()} uses dead paths of {', '.join(dead)}")
        x, y = batches(1)[0]
        shape, wanted = tuple(ticket.network.eval()(x).shape), (len(y), TASK.classes)
        require(shape == wanted, f"the network of {self.label()} gives shape {shape} for {len(y)} examples, not {wanted}")
        parameters = dict(ticket.network.named_parameters())
        for name, mask in ticket.masks.items():
            live = name in parameters and bool((parameters[name][~mask] != 0).any())
            require(not live, f"{self.label()}: masked weights of {name} are not 0 in the finished network")

    def test_its_prunings_are_used(self) -> None:
        """Each pruning it takes has reached its sparsity, of every edge and of every layer, and the ticket says so."""
        strategy = self._strategy(self.space())
        pipeline = self.pipeline(strategy)
        drive(pipeline)
        ticket = pipeline.ticket
        for name in self._prunings():
            require(name in ticket.sparsity, f"{self.label()} takes {name} and prunes nothing by it; hand it to a stage")
            target = ticket.sparsity[name].target
            require(target == SPARSITY, f"{self.label()}: {name} was asked for a sparsity of {target}, the user for {SPARSITY}")
        rows = (
            [(group, row) for group, alive in strategy.space.alive.items() for row in alive]
            if "alpha" in self._prunings()
            else []
        )
        masks = list(ticket.masks.items()) if "theta" in self._prunings() else []
        for name, mask in (*rows, *masks):
            gone, wanted = int((~mask).sum()), min(round(SPARSITY * mask.numel()), mask.numel() - 1)
            require(gone == wanted, f"{self.label()}: {gone} of {mask.numel()} entries of {name} are gone at last, not {wanted}")

    def test_it_is_deterministic(self) -> None:
        """The same seed, strategy and batches give the same ticket, bit for bit."""
        one, other = self.pipeline(), self.pipeline()
        drive(one)
        drive(other)
        found = difference(outcome(one), outcome(other), "ticket")
        require(not found, f"{self.label()} gave two tickets in two equal runs: {found}; draw from lnas.stream(seed, name)")

    def test_the_seed_draws_the_network(self) -> None:
        """The first weights of the derived network come from `seed`."""
        starts = []
        for seed in (0, 0, 1):
            pipeline = self.pipeline(self._strategy(tiny_cells()), search=ROUNDS, train=ROUNDS + 1, seed=seed)
            drive(pipeline, most=ROUNDS)
            pipeline.advance()
            starts.append(copied(dict(pipeline.module.named_parameters())))
        found = difference(starts[0], starts[1], "theta_0")
        require(not found, f"{self.label()} drew two networks for one seed: {found}")
        require(bool(difference(starts[0], starts[2])), f"{self.label()} drew the same network for seed 0 and 1; hand seed on")

    def test_it_is_saved_and_restored_at_every_step(self) -> None:
        """A state saved between any two steps, loaded into a fresh pipeline, leads to the same ticket, bit for bit."""
        straight = self.pipeline()
        drive(straight)
        wanted = outcome(straight)
        for step in range(self.search + self.train + 1):
            first, second = self.pipeline(), self.pipeline()
            drive(first, most=step)
            state = first.state_dict()
            wrong = not_plain(state)
            require(not wrong, f"{self.label()} after step {step}: {wrong}; a checkpoint cannot hold it")
            second.load_state_dict(copied(state))
            drive(second, at=step)
            found = difference(wanted, outcome(second), "ticket")
            require(not found, f"{self.label()}, saved after step {step} and restored, ends elsewhere: {found}")

    def _strategy(self, space: SearchSpace) -> SearchStrategy:
        return Darts(space, cross_entropy, self.search)

    def _prunings(self) -> dict[str, Pruning]:
        """Those that the recipe has a parameter for."""
        return {name: pruning for name, pruning in PRUNINGS.items() if name in inspect.signature(self.loaded()).parameters}

    def _not_callable(self, **more: object) -> str:
        """Why it cannot be called with what lnas gives, and `more`; empty where it can."""
        try:
            inspect.signature(self.loaded()).bind(
                None, None, search=1, train=1, seed=0, **dict.fromkeys(self._prunings()), **more
            )
        except TypeError as error:
            return str(error)
        return ""

    def _checked_by_lnas(self, search: int, train: int) -> None:
        stages = {"alpha": "search", "theta": "train"}
        prunings = {stages[name]: pruning for name, pruning in self._prunings().items()}
        strategy, fit = self.given()
        registry = registry_with(self.kind, self.part if isinstance(self.part, str) else self.loaded())
        make_pipeline(registry, NAME, strategy, fit, prunings, search=search, train=train, seed=0)
