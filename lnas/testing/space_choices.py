"""Rules about the architectures of a search space, and the networks that are derived of them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from lnas.core.errors import ConfigError, GenotypeError, NumericalError
from lnas.core.genotype import Genotype
from lnas.core.space import SearchSpace
from lnas.testing.space_subject import SpaceSubject, genes_of, named_paths
from lnas.testing.states import copied, difference
from lnas.testing.subjects import derived, kill, scores_of
from lnas.testing.suite import require


class SpaceChoices(SpaceSubject):
    """Rules about `discretize`, `paths` and `derive`."""

    def test_an_architecture_is_made_of_living_paths(self) -> None:
        """Whatever has died, `discretize` gives a genotype whose genes are live paths, and `paths` names just these."""
        for what, space, masks in self.dying():
            for seed in range(2):
                genotype = space.discretize(scores_of(space, seed))
                require(isinstance(genotype, Genotype), f"discretize returned a {type(genotype).__name__}")
                genes, alive = genes_of(genotype), named_paths(space, masks)
                require(genes.keys() == alive.keys(), f"the genotype has the groups {list(genes)}, the space {list(alive)}")
                for group, chosen in genes.items():
                    dead = sorted(chosen - alive[group])
                    require(not dead, f"discretize chose {dead}, which are no live paths of {group}, where {what}")
                kept = space.paths(genotype)
                for group, mask in kept.items():
                    fits = mask.dtype == torch.bool and mask.device.type == "cpu" and mask.shape == masks[group].shape
                    require(fits, f"paths()[{group!r}] must be bool, on the CPU, of the shape of alive")
                require(
                    named_paths(space, kept) == genes,
                    f"paths() of a genotype with the genes {genes} names {named_paths(space, kept)}, where {what}",
                )

    def test_paths_is_the_inverse_of_discretize(self) -> None:
        """Scores that are high on the paths of a genotype, and low elsewhere, give that genotype again."""
        space = self.space()
        for seed in range(4):
            genotype = self._strongest(space, scores_of(space, seed))
            scores = {group: 10.0 * mask.float() for group, mask in space.paths(genotype).items()}
            again = self._strongest(space, scores)
            require(
                genes_of(again) == genes_of(genotype),
                f"scores that are 10 on paths(genotype) and 0 elsewhere give {again}, not {genotype}",
            )

    def test_ties_fall_the_same_way(self) -> None:
        """Equal scores give the same genotype every time, in every space that is equal."""
        found = []
        for _ in range(2):
            space = self.space()
            scores = {group: torch.zeros(alive.shape) for group, alive in space.alive.items()}
            found += [space.discretize(scores), space.discretize(scores)]
        require(all(other == found[0] for other in found), f"equal scores gave different genotypes: {found}")

    def test_scores_that_are_not_finite_are_refused(self) -> None:
        """NaN or infinity as the score of a live path is a NumericalError; of a dead path it does not matter."""
        for value in (torch.nan, torch.inf):
            space = self.space()
            kill(space, space.required(scores_of(space), "edge"))
            for group, alive in space.alive.items():
                scores = scores_of(space)
                expected = space.discretize(scores)
                scores[group].masked_fill_(~alive, value)
                try:
                    same = space.discretize(scores) == expected
                except NumericalError:
                    same = False
                require(same, f"a score of {value} on a dead path of {group} changes the genotype, or is refused")
                row, column = alive.nonzero()[0].tolist()
                scores[group][row, column] = value
                self._must_raise(
                    NumericalError,
                    partial(space.discretize, scores),
                    f"discretize with {value} on a live path of {group}",
                )

    def test_what_is_not_of_the_space_is_refused(self) -> None:
        """A genotype with an operation or a group that the space lacks is a GenotypeError, an unknown policy a ConfigError."""
        space = self.space()
        genotype = space.discretize(scores_of(space))
        group, genes = next(iter(genotype.groups.items()))
        foreign = replace(genotype, groups={**genotype.groups, group: (replace(genes[0], operation="no_such"), *genes[1:])})
        more = replace(genotype, groups={**genotype.groups, "no_such": genes})
        for what, other in {"an unknown operation": foreign, "an unknown group": more}.items():
            self._must_raise(GenotypeError, partial(space.paths, other), f"paths of a genotype with {what}")
            self._must_raise(GenotypeError, partial(derived, space, other), f"derive of a genotype with {what}")
        self._must_raise(
            ConfigError, lambda: space.discretize(scores_of(space), "no-such-policy"), "discretize(scores, 'no-such-policy')"
        )

    def test_derived_networks_answer(self) -> None:
        """Whatever has died, `derive` gives a network on the CPU with one row of classes for each input."""
        x = self.inputs()
        for what, space, _ in self.dying():
            space.release()
            network = derived(space, space.discretize(scores_of(space)))
            require(isinstance(network, nn.Module), f"derive returned a {type(network).__name__}")
            away = [name for name, value in network.state_dict().items() if value.device.type != "cpu"]
            require(not away, f"{away[:1]} of the derived network is not on the CPU")
            with torch.no_grad():
                result = network.eval()(x)
            expected = (len(x), self.task.classes)
            require(
                isinstance(result, torch.Tensor) and tuple(result.shape) == expected,
                f"the derived network answers with {getattr(result, 'shape', type(result))} in evaluation mode, not {expected}"
                f" (where {what})",
            )
            require(bool(result.isfinite().all()), f"the derived network's output is not finite where {what}")

    def test_derived_networks_are_fresh(self) -> None:
        """A derived network has a theta_0 of its own: that of the seed alone, shared with neither the space nor another."""
        space = self.space()
        genotype = space.discretize(scores_of(space))
        one, other = derived(space, genotype), derived(space, genotype)
        found = difference(one.state_dict(), other.state_dict())
        require(not found, f"two networks derived under the same seed differ: {found}")
        before = copied([dict(space.state_dict()), dict(other.state_dict())])
        with torch.no_grad():
            for tensor in one.state_dict(keep_vars=True).values():
                tensor.add_(1)
        found = difference(before, [dict(space.state_dict()), dict(other.state_dict())], "[space, other network]")
        require(not found, f"training a derived network changes what is not its own: {found}")
        with torch.no_grad():
            for parameter in space.parameters():
                parameter.add_(1)
        found = difference(other.state_dict(), derived(space, genotype).state_dict())
        require(not found, f"a network derived after the space was trained begins elsewhere: {found}; theta_0 is not theta")

    def test_deriving_leaves_the_space_alone(self) -> None:
        """`discretize`, `paths` and `derive` change nothing of the space, nor the scores they are given."""
        space, scores = self.space(), scores_of(self.space())
        before = copied([dict(space.state_dict()), dict(space.alive), scores])
        genotype = space.discretize(scores)
        space.paths(genotype)
        derived(space, genotype)
        found = difference(before, [dict(space.state_dict()), dict(space.alive), scores], "[space, alive, scores]")
        require(not found, f"reading an architecture changed something: {found}")

    def _strongest(self, space: SearchSpace, scores: dict[str, torch.Tensor]) -> Genotype:
        """By the policy that random search asks for, too."""
        return space.discretize(scores, "argmax")

    def _must_raise(self, expected: type[Exception], work: Callable[[], object], what: str) -> None:
        try:
            work()
        except expected:
            return
        except Exception as error:
            require(False, f"{what} raised {type(error).__name__} ({error}); it must raise {expected.__name__}")
        require(False, f"{what} was accepted; it must raise {expected.__name__}")
