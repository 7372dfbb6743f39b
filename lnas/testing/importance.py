"""What every importance keeps: a function from tensors to scores that changes nothing."""

import unittest
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from lnas.builtin.importances import magnitude
from lnas.core.buffers import preserved_buffers
from lnas.core.errors import LnasError
from lnas.core.mask import Tensors, prune
from lnas.core.types import State
from lnas.testing.alternatives import without_effect
from lnas.testing.part import PartSuite
from lnas.testing.scored import SPARSITY, Subject, emptied, made, pruned
from lnas.testing.states import copied, difference
from lnas.testing.suite import require


class ImportanceSuite(PartSuite):
    """The rules of importances.

    Attributes:
        targets: what the importance is for, "theta", "alpha" or both; it is tried on each.
    """

    kind = "importance"
    targets: ClassVar[tuple[str, ...]] = ("theta", "alpha")

    @classmethod
    def taken(cls) -> tuple[str, ...]:
        """The targets that the importance scores: all but those that it refuses with an `LnasError`."""
        found = []
        stage = getattr(cls.loaded(), "stage", None)
        for target in cls.targets:
            if stage not in (None, "train" if target == "theta" else "search"):
                continue
            try:
                cls()._scores(made(target))
            except LnasError:
                continue
            except (Exception, SystemExit):  # it tried: its rules will say what is wrong
                pass
            found.append(target)
        return tuple(found)

    def given(self) -> tuple[Any, ...]:
        """The tensors of a tiny network (or supernet), their masks, and a loss."""
        subject = made(self.targets[0])
        return subject.target.tensors(), subject.masks, subject.loss

    def exercise(self) -> None:
        """Score each target."""
        for subject in self._subjects():
            self._scores(subject)

    def test_there_is_a_score_for_every_entry(self) -> None:
        """The scores have the names and shapes of the tensors, and are real floating-point tensors."""
        for subject in self._subjects():
            scores, tensors = self._scores(subject), subject.target.tensors()
            where = f"{self.label()} on {subject.target.name}"
            require(isinstance(scores, Mapping), f"{where} returned a {type(scores).__name__}, not scores by name")
            names = f"{', '.join(sorted(scores))}; the tensors are {', '.join(sorted(tensors))}"
            require(scores.keys() == tensors.keys(), f"{where} scored {names}")
            for name, score in scores.items():
                require(isinstance(score, Tensor), f"{where}: the score of {name} is a {type(score).__name__}, not a tensor")
                shapes = f"shape {tuple(score.shape)}, the tensor {tuple(tensors[name].shape)}"
                require(score.shape == tensors[name].shape, f"{where}: the score of {name} has {shapes}; score every entry")
                require(score.is_floating_point(), f"{where}: the score of {name} is {score.dtype}; it must be a float tensor")

    def test_scores_are_finite(self) -> None:
        """Every entry has a finite score."""
        for subject in self._subjects():
            self._require_finite(subject, "")

    def test_scores_are_detached(self) -> None:
        """Scores carry no graph: it would keep a batch in memory."""
        for subject in self._subjects():
            for name, score in self._scores(subject).items():
                require(not score.requires_grad, f"{self.label()}: the score of {name} requires a gradient; detach it")

    def test_nothing_is_changed(self) -> None:
        """Tensors, masks, parameters, gradients, flags and modes are bitwise what they were."""
        for training in (True, False):
            for target in self.targets:
                subject = pruned(target)
                subject.learner.module.train(training)
                first = next(iter(subject.learner.module.parameters()))
                first.grad = torch.full_like(first, 0.5)  # one that another is gathering
                before, tensors, masks = subject.state(), dict(subject.target.tensors()), dict(subject.masks)
                names = [*tensors], [*masks]
                self._scores(subject, tensors, masks)
                what = f"{self.label()} on {target}"
                found = difference(before, subject.state(), "")
                require(not found, f"{what} left something changed: {found}. An importance reads; use torch.autograd.grad")
                require(([*tensors], [*masks]) == names, f"{what} added or removed names of the mappings it was given")

    def test_it_is_deterministic(self) -> None:
        """The same tensors, masks and batch give the same scores, bit for bit, again and on a fresh network."""
        for target in self.targets:
            subject = made(target)
            first = copied(self._scores(subject))
            again, fresh = self._scores(subject), self._scores(made(target))
            for how, scores in (("when it was asked again", again), ("of an equal network", fresh)):
                found = difference(first, scores, "scores")
                require(
                    not found, f"{self.label()} on {target} gave other scores {how}: {found}; draw from lnas.stream(seed, name)"
                )

    def test_another_seed_gives_other_scores(self) -> None:
        """The option `seed`, where there is one, decides."""
        if "seed" not in {option.name for option in self.declared()}:
            raise unittest.SkipTest("it has no option seed")
        for target in self.targets:
            one, other = (self._scores(made(target), options={"seed": seed}) for seed in (0, 1))
            require(bool(difference(one, other)), f"{self.label()} on {target} gave the same scores for seed 0 and seed 1")

    def test_it_works_when_entries_are_dead(self) -> None:
        """Half of the entries may be dead."""
        for target in self.targets:
            self._require_finite(pruned(target), " with half of the entries dead")

    def test_it_works_when_all_of_a_kind_are_dead(self) -> None:
        """All entries of one layer, or of one edge, may be dead."""
        for target in self.targets:
            self._require_finite(emptied(target), f" with all entries of one {'layer' if target == 'theta' else 'edge'} dead")

    def test_dead_entries_do_not_matter(self) -> None:
        """The value of a dead entry has no influence on the scores of live ones, but through the loss."""
        for target in self.targets:
            subject = pruned(target)
            before = copied(self._scores(subject))
            if subject.loss.used:
                raise unittest.SkipTest("it asks for the loss, in which a dead entry's value would have its part")
            with torch.no_grad():
                for name, tensor in subject.target.tensors().items():
                    tensor.masked_fill_(~subject.masks[name].to(tensor.device), 7.0)
            after = self._scores(subject)
            was, now = ({name: score[subject.masks[name]] for name, score in scores.items()} for scores in (before, after))
            found = difference(was, now, "live scores")
            require(
                not found, f"{self.label()} on {target}: values of dead entries were set to 7, and so {found}; leave them out"
            )

    def test_it_works_in_float64(self) -> None:
        """Tensors may be float64."""
        for target in self.targets:
            self._require_finite(made(target, dtype=torch.float64), " in float64")

    def test_it_works_on_the_gpu(self) -> None:
        """Tensors may lie on a GPU, their masks there or on the CPU; scores lie on either."""
        if not torch.cuda.is_available():
            raise unittest.SkipTest("there is no CUDA device here")
        for target in self.targets:
            self._require_finite(made(target, device="cuda"), " on CUDA")

    def test_without_a_loss_it_says_so(self) -> None:
        """Where it asks for the loss and there is none, that error reaches the user."""
        for target in self.targets:
            subject = made(target)
            self._scores(subject)
            if not subject.loss.used:
                raise unittest.SkipTest("it never asks for the loss")
            try:
                with preserved_buffers(subject.learner.module):
                    prune(subject.target, SPARSITY, importance=self.make)
            except LnasError:
                continue
            except Exception as error:
                self._wrong_error("there was no loss", error)
            require(False, f"{self.label()} on {target} asks for the loss, and went on without a word where there was none")

    def test_without_gradients_it_says_so(self) -> None:
        """Tensors that require no gradient are scored, or there is an lnas error that says what is needed."""
        for target in self.targets:
            subject = made(target)
            plain = {name: tensor.detach().clone() for name, tensor in subject.target.tensors().items()}
            try:
                self._scores(subject, plain)
            except LnasError:
                continue
            except Exception as error:
                self._wrong_error(f"the tensors of {target} require no gradient, as those of a strategy without gradients", error)

    def test_prune_takes_its_scores(self) -> None:
        """Pruning by it removes as many entries of each tensor as pruning by magnitude."""
        for target in self.targets:
            counts = []
            for importance in (self.make, magnitude):
                subject = made(target)
                with preserved_buffers(subject.learner.module):
                    prune(subject.target, SPARSITY, importance=importance, loss=subject.loss)
                counts.append({name: int((~mask).sum()) for name, mask in subject.masks.items()})
            require(counts[0] == counts[1], f"{self.label()} removed {counts[0]} of {target}, magnitude {counts[1]}")

    def test_every_option_has_an_effect(self) -> None:
        """No option is accepted and ignored."""

        def outcome(options: Mapping[str, object]) -> State:
            return {target: copied(self._scores(made(target), options=options)) for target in self.targets}

        idle = without_effect(self.declared(), self.make_options(), outcome)
        require(not idle, f"option {', '.join(idle)} of {self.label()} changes no score, whatever its value; use it, or drop it")

    def _subjects(self) -> Iterator[Subject]:
        for target in self.targets:
            yield made(target)

    def _scores(
        self,
        subject: Subject,
        tensors: Tensors | None = None,
        masks: Tensors | None = None,
        options: Mapping[str, object] = MappingProxyType({}),
    ) -> Tensors:
        """What the importance says, called as a prune round calls it."""
        given = subject.target.tensors() if tensors is None else tensors
        with preserved_buffers(subject.learner.module):
            scores: Tensors = self.make(given, subject.masks if masks is None else masks, subject.loss, **options)
        return scores

    def _require_finite(self, subject: Subject, how: str) -> None:
        scores, what = self._scores(subject), f"{self.label()} on {subject.target.name}{how}"
        for name, tensor in subject.target.tensors().items():
            score = scores[name]
            require(score.shape == tensor.shape, f"{what}: the score of {name} has shape {tuple(score.shape)}")
            wrong = int((~score.isfinite()).sum())
            require(not wrong, f"{what}: {wrong} of {score.numel()} scores of {name} are not finite; give every entry a number")
            place = f"lies on {score.device}, the tensor on {tensor.device}"
            require(score.device.type in (tensor.device.type, "cpu"), f"{what}: the score of {name} {place}")

    def _wrong_error(self, when: str, error: Exception) -> None:
        words = f"{type(error).__name__} ({' '.join(str(error).split())[:120]})"
        require(False, f"{self.label()}: {when}, and it raised {words}; raise lnas.ConfigError, saying what it needs")
