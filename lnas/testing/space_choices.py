"""Rules about the architectures of a search space, and the networks that are derived of them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from lnas.core.errors import ConfigError, GenotypeError, LnasError, NumericalError
from lnas.core.genotype import Genotype
from lnas.core.random import seeded
from lnas.core.space import SearchSpace
from lnas.host.options import Option
from lnas.testing.alternatives import alternatives
from lnas.testing.space_subject import SpaceSubject, genes_of, named_paths
from lnas.testing.states import copied, difference
from lnas.testing.subjects import derived, gates_of, kill, scores_of
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

    def test_what_is_only_of_the_derived_network_leaves_the_search_alone(self) -> None:
        """Whatever the options in `derived_only` are, theta, alive, the output, its gradients and the choices are the same."""
        known = {option.name: option for option in self.declared()}
        names = sorted(getattr(self.loaded(), "derived_only", ()))
        for name in names:
            require(name in known, f"derived_only of {self.label()} holds {name!r}, which is none of its options")
        changed = {name: value for name in names if (value := self._another(known[name])) is not None}
        if not changed or not difference(before := self._searched(), self._searched(**changed)):
            return
        for name, value in changed.items():  # which one it is
            found = difference(before, self._searched(**{name: value}))
            require(not found, f"another {name} ({value!r}) changes the search, and derived_only holds it: {found}")
        require(False, f"other values of {', '.join(changed)} change the search together, and derived_only holds them")

    def _another(self, option: Option) -> object:
        """A value that the option does not have now and that the space takes; None where none is known."""
        now = self.make_options().get(option.name, option.default)
        for value in alternatives(option):
            try:
                if value != now:
                    self._bare(**{option.name: value})
                    return value
            except LnasError:
                continue
        return None

    def _searched(self, **options: object) -> list[object]:
        """What a search sees of a space with such options."""
        with seeded(0, "space"):
            space: SearchSpace = self._bare(**options)
        theta, x = copied(dict(space.state_dict())), self.inputs()
        gates = gates_of(space)
        output = space(x, gates)
        slopes = torch.autograd.grad(output.square().sum(), [*gates.values(), *space.parameters()], allow_unused=True)
        chosen = [space.discretize(scores_of(space)).to_json()]
        with torch.no_grad():
            read = space.eval()(x, gates)
        kill(space, space.required(scores_of(space), "edge"))
        space.release()
        chosen.append(space.discretize(scores_of(space)).to_json())
        return [theta, list(space.state_dict()), dict(space.alive), output.detach(), read, list(slopes), chosen]

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
