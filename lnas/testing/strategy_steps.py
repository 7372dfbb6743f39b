"""Rules about a step of a strategy, and about what it says of itself between two steps."""

import unittest
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lnas.core.errors import ConfigError, LnasError
from lnas.core.genotype import Genotype
from lnas.core.learner import SearchStrategy
from lnas.core.types import Batch, Predict
from lnas.host.config import merge
from lnas.host.spec import Spec
from lnas.testing.device import META, no_value_is_read, no_waiting
from lnas.testing.states import copied, difference
from lnas.testing.strategy_subject import StrategySubject, genotype_or_none, on, walk
from lnas.testing.subjects import derived
from lnas.testing.suite import require


class StrategySteps(StrategySubject):
    """Rules about a step."""

    def test_it_is_a_strategy(self) -> None:
        """It is a SearchStrategy whose module holds theta, with a space, a loss and a tuple of optimizers."""
        for name, make in self.spaces().items():
            space = make()
            strategy = self.strategy(space)
            require(isinstance(strategy, SearchStrategy), f"it is a {type(strategy).__name__}, not a lnas.SearchStrategy")
            require(strategy.space is space, f"strategy.space is not the space that it was given ({name})")
            require(callable(strategy.loss), "strategy.loss is not the loss that it was given")
            require(isinstance(strategy.module, nn.Module), f"strategy.module is a {type(strategy.module).__name__}")
            held = {id(parameter) for parameter in strategy.module.parameters()}
            lost = [key for key, parameter in space.named_parameters() if id(parameter) not in held]
            require(not lost, f"strategy.module does not hold theta: {lost[:1]} of the space ({name}) is no parameter of it")
            known = isinstance(strategy.optimizers, tuple) and all(isinstance(o, Optimizer) for o in strategy.optimizers)
            require(known, f"strategy.optimizers must be a tuple of torch optimizers, or (), and is {strategy.optimizers!r}")

    def test_what_it_suggests_is_a_configuration(self) -> None:
        """`suggested` is a mapping that the configuration of a run accepts."""
        suggested = getattr(self.loaded(), "suggested", {})
        require(isinstance(suggested, Mapping), f"suggested is a {type(suggested).__name__}; it must be a mapping of settings")
        try:
            merge(command_line={"strategy": Spec("under-test")}, by_strategy=suggested)
        except LnasError as error:
            require(False, f"suggested is {dict(suggested)!r}: {error}")

    def test_a_step_reports_detached_numbers(self) -> None:
        """A step returns a mapping from text to detached, finite 0-d tensors on the device, which later steps leave alone."""
        for name, strategy in self.fresh():
            first, second = self.pairs(2)
            [metrics] = walk(strategy, [first])
            require(isinstance(metrics, Mapping), f"step returned a {type(metrics).__name__}; it must return a mapping")
            device = next(strategy.space.parameters()).device
            for key, value in metrics.items():
                require(isinstance(key, str), f"step reported {key!r}; the name of a metric is text")
                require(isinstance(value, Tensor), f"metric {key} is a {type(value).__name__}; it must stay a tensor")
                require(value.dim() == 0, f"metric {key} has the shape {tuple(value.shape)}; it must be 0-d")
                require(not value.requires_grad, f"metric {key} holds on to the graph of the step; detach it")
                require(value.device == device, f"metric {key} is on {value.device}, the space on {device}; leave it there")
                require(bool(value.isfinite()), f"metric {key} is {value} after the first step on {name}")
            before = copied(metrics)
            walk(strategy, [second])
            changed = difference(before, dict(metrics), "metrics")
            require(not changed, f"the next step changed the metrics of the one before ({changed}); return new tensors")

    def test_the_same_seed_makes_the_same_run(self) -> None:
        """Two searches with equal spaces, batches and seeds are bitwise equal."""
        runs = [[(walk(strategy, self.pairs(3)), strategy.state_dict()) for _, strategy in self.fresh()] for _ in range(2)]
        for name, one, other in zip(self.spaces(), *runs, strict=True):
            found = difference(one, other, "run")
            require(not found, f"two searches on {name} with the seed 0 differ: {found}; draw from lnas.stream(seed, name) only")

    def test_another_seed_makes_another_run(self) -> None:
        """The seed has an effect."""
        if not self.draws:
            raise unittest.SkipTest("the suite says that nothing is drawn: draws = False")
        make = next(iter(self.spaces().values()))
        states = []
        for seed in range(3):
            strategy = self.strategy(make(), seed=seed)
            states.append((walk(strategy, self.pairs(2)), strategy.state_dict()))
        require(
            any(difference(states[0], other) for other in states[1:]),
            "searches with the seeds 0, 1 and 2 are bitwise equal, so that the seed is not used; draw from"
            " lnas.stream(seed, name), or say draws = False in the suite where nothing is drawn",
        )

    def test_a_step_waits_for_nothing(self) -> None:
        """A step reads no value of a tensor on the device: each would be a synchronisation."""
        if reason := getattr(self.loaded(), "waits", ""):
            raise unittest.SkipTest(f"it says that a step waits: {reason}")
        for name, make in self.spaces().items():
            space = make().to(META)
            try:
                strategy = self.strategy(space)
            except Exception as error:
                raise unittest.SkipTest(f"it cannot be made on the meta device: {error}") from error
            pairs = on(self.pairs(3), device=META)
            with no_value_is_read(f"a step on {name}"):
                walk(strategy, pairs)

    def test_the_batch_is_left_to_the_loss(self) -> None:
        """Only the loss looks inside a batch, and no step changes one."""
        for name, make in self.spaces().items():
            strategy = self.strategy(make(), loss=self._of_parcels)
            pairs = [(_Parcel(train), _Parcel(val)) for train, val in self.pairs(2)]
            before = copied([[train.batch, val.batch] for train, val in pairs])
            try:
                walk(strategy, pairs)
            except (TypeError, AttributeError, KeyError) as error:
                require(False, f"a step on {name} opened a batch that only the loss understands: {error}; call strategy.loss")
                raise
            found = difference(before, [[train.batch, val.batch] for train, val in pairs], "batch")
            require(not found, f"a step on {name} changed its batches: {found}")

    def test_modes_are_left_alone(self) -> None:
        """Neither a step nor `predict` changes whether a module trains or a parameter asks for a gradient."""
        for name, strategy in self.fresh():
            [(train, val)] = self.pairs(1)
            next(part for part in strategy.space.modules() if not list(part.children())).eval()
            works: dict[str, Callable[[], object]] = {
                "step": partial(strategy.step, train, val),
                "predict": partial(self.loss, strategy.predict, train),
            }
            for what, work in works.items():
                before = _modes(strategy)
                work()
                found = difference(before, _modes(strategy), "modes")
                require(not found, f"{what} on {name} changed a module's mode or a parameter's requires_grad: {found}")

    def test_alphas_are_one_for_each_path(self) -> None:
        """`alphas()` has the names and shapes of `space.alive`, and holds finite floats on the space's device."""
        for name, strategy in self.fresh():
            for when in ("before the first step", "after two steps"):
                alive, alphas = strategy.space.alive, strategy.alphas()
                expected = {group: tuple(mask.shape) for group, mask in alive.items()}
                found = {group: tuple(alpha.shape) for group, alpha in alphas.items()}
                require(found == expected, f"alphas() on {name} has the shapes {found} {when}; those of the paths are {expected}")
                like = next(strategy.space.parameters())
                for group, alpha in alphas.items():
                    require(alpha.is_floating_point(), f"alphas()[{group!r}] is {alpha.dtype}; it must be floating")
                    require(alpha.device == like.device, f"alphas()[{group!r}] is on {alpha.device}, not {like.device}")
                    require(bool(alpha.isfinite().all()), f"alphas()[{group!r}] is not finite {when}")
                if when == "before the first step":
                    walk(strategy, self.pairs(2))

    def test_the_genotype_can_be_built(self) -> None:
        """After a few steps `genotype()` is an architecture of the space, that can be written, read and derived."""
        for name, strategy in self.fresh():
            genotype_or_none(strategy)  # before the first step it may raise an LnasError, and nothing else
            walk(strategy, self.pairs(2))
            genotype = strategy.genotype()
            require(isinstance(genotype, Genotype), f"genotype() on {name} is a {type(genotype).__name__}")
            strategy.space.paths(genotype)
            again = Genotype.from_json(genotype.to_json())
            require(again == genotype, f"the genotype on {name} is not the same after it was written and read: {genotype}")
            value = self.loss(derived(strategy.space, genotype).eval(), self.pairs(1)[0][0])
            require(bool(value.isfinite()), f"the loss of the network derived on {name} is {value}")

    def test_predict_can_be_differentiated(self) -> None:
        """The loss of `predict` has a gradient by theta, in training and in evaluation mode."""
        for name, strategy in self.fresh():
            walk(strategy, self.pairs(1))
            for training in (True, False):
                strategy.module.train(training)
                value = self.loss(strategy.predict, self.pairs(1, "predict")[0][0])
                where = f"loss(strategy.predict, batch) on {name} in {'training' if training else 'evaluation'} mode"
                require(value.dim() == 0 and value.requires_grad, f"{where} is {value}: it has no gradient by theta")
                slopes = torch.autograd.grad(value, list(strategy.module.parameters()), allow_unused=True)
                reached = [slope for slope in slopes if slope is not None and bool(slope.isfinite().all())]
                require(any(bool(slope.any()) for slope in reached), f"{where} has a gradient by theta that is 0 or not finite")

    def test_searches_of_no_and_of_one_step(self) -> None:
        """`steps=0` (no end) and `steps=1` work, or are refused with a ConfigError."""
        for name, make in self.spaces().items():
            for steps in (0, 1):
                try:
                    strategy = self.strategy(make(), steps=steps)
                except ConfigError:
                    continue
                for metrics in walk(strategy, self.pairs(1)):
                    wrong = [key for key, value in metrics.items() if not bool(value.isfinite())]
                    require(not wrong, f"with steps={steps} on {name}, {wrong} is not finite after one step")

    def test_double_precision(self) -> None:
        """A space in float64 is searched in float64."""
        for name, make in self.spaces().items():
            strategy = self.strategy(make().double())
            walk(strategy, on(self.pairs(2), dtype=torch.float64))
            for group, alpha in strategy.alphas().items():
                require(alpha.dtype == torch.float64, f"alphas()[{group!r}] is {alpha.dtype} on {name} in float64")
            value = self.loss(strategy.predict, on(self.pairs(1), dtype=torch.float64)[0][0])
            require(value.dtype == torch.float64, f"the loss of predict is {value.dtype} on {name} in float64")

    def test_cuda(self) -> None:
        """On a GPU everything stays there, and a step waits for nothing, unless the strategy says that it does."""
        if not torch.cuda.is_available():
            raise unittest.SkipTest("there is no GPU")
        for name, make in self.spaces().items():
            strategy = self.strategy(make().cuda())
            pairs = on(self.pairs(3), device="cuda")
            walk(strategy, pairs[:1])
            try:
                with nullcontext() if strategy.waits else no_waiting():
                    reported = walk(strategy, pairs[1:])
            except RuntimeError as error:
                require(False, f"a step on {name} waits for the GPU: {error}")
                raise
            away = [key for metrics in reported for key, value in metrics.items() if not value.is_cuda]
            away += [group for group, alpha in strategy.alphas().items() if not alpha.is_cuda]
            require(not away, f"{away} left the GPU on {name}")
            strategy.genotype()

    def _of_parcels(self, network: Predict, parcel: Any) -> Tensor:
        return self.loss(network, parcel.batch)


class _Parcel:
    """A batch that nobody but the loss can open."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


def _modes(strategy: SearchStrategy) -> dict[str, object]:
    modes: dict[str, object] = {name: module.training for name, module in strategy.module.named_modules()}
    return modes | {name: parameter.requires_grad for name, parameter in strategy.module.named_parameters()}
