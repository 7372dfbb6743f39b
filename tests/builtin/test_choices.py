"""A choice anywhere in the user's own module: how it computes, what is read from it, and what is derived."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from lnas.builtin.choices import ChoiceSpace, ChosenSum, MixedOp
from lnas.builtin.darts import Darts
from lnas.builtin.targets import Alpha
from lnas.core.errors import ConfigError, GenotypeError, NumericalError
from lnas.core.genotype import Gene, Genotype
from lnas.core.mask import prune
from lnas.core.space import relax


class Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


class Two(nn.Module):
    """y = b(a(x) + 1): a choice by name and one within a Sequential."""

    def __init__(self) -> None:
        super().__init__()
        self.a = MixedOp({"two": Scale(2.0), "three": Scale(3.0), "none": nn.Identity()})
        self.rest = nn.Sequential(nn.Identity(), MixedOp({"five": Scale(5.0), "seven": Scale(7.0)}))

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.a(x) + 1)


X = torch.tensor([[1.0, 2.0]])
GATES = {"a": torch.tensor([[0.5, 0.25, 0.25]]), "rest.1": torch.tensor([[0.1, 0.9]])}


def chosen(a: str, rest: str) -> Genotype:
    return Genotype({"a": (Gene(a, 0, 1),), "rest.1": (Gene(rest, 0, 1),)})


def test_outside_a_space_all_candidates_weigh_the_same() -> None:
    assert_close(Two()(X), (X * 5 / 3 + 1) * 6)


def test_a_group_per_choice_named_by_its_place() -> None:
    space = ChoiceSpace(Two())
    assert space.operations == {"a": ("two", "three", "none"), "rest.1": ("five", "seven")}
    assert space.edges == {"a": ((0, 1),), "rest.1": ((0, 1),)}
    assert {name: bits.shape for name, bits in space.alive.items()} == {"a": (1, 3), "rest.1": (1, 2)}


def test_the_output_under_gates_and_paths() -> None:
    space = ChoiceSpace(Two())
    assert_close(space(X, GATES), (X * (1.0 + 0.75) + 1) * (0.5 + 6.3))
    paths = {"a": torch.tensor([[True, False, True]]), "rest.1": torch.tensor([[False, True]])}
    assert_close(space(X, GATES, paths), (X * 1.0 + 1) * 6.3)
    nothing = {"a": torch.tensor([[False, False, True]]), "rest.1": torch.tensor([[True, True]])}
    assert_close(space(X, GATES, nothing), torch.full_like(X, 6.8))
    assert_close(space.model(X), (X * 5 / 3 + 1) * 6)  # the gates do not stay


def test_gates_do_not_stay_after_an_error() -> None:
    space = ChoiceSpace(Two())
    with pytest.raises((RuntimeError, TypeError)):
        space("no tensor", {name: gate.requires_grad_() for name, gate in copy.deepcopy(GATES).items()})
    copy.deepcopy(space)  # a graph could not be copied


def test_discretize_reads_the_best_candidate_but_never_none() -> None:
    space = ChoiceSpace(Two())
    scores = {"a": torch.tensor([[0.1, 0.2, 9.0]]), "rest.1": torch.tensor([[1.0, 0.0]])}
    assert space.discretize(scores) == chosen("three", "five")
    assert {name: bits.tolist() for name, bits in space.paths(chosen("three", "five")).items()} == {
        "a": [[False, True, False]],
        "rest.1": [[True, False]],
    }
    space.alive["a"][0, 2] = False
    found = space.discretize(scores, "gated")
    assert [gene.operation for gene in found.groups["a"]] == ["two", "three"]
    assert sum(gene.weight for gene in found.groups["a"]) == pytest.approx(1)
    assert [gene.operation for gene in space.discretize(scores).groups["rest.1"]] == ["five", "seven"]  # auto: a path has died
    with pytest.raises(NumericalError, match="not finite"):
        space.discretize({**scores, "rest.1": torch.full((1, 2), torch.nan)})


def test_required_is_the_best_candidate_of_every_choice() -> None:
    found = ChoiceSpace(Two()).required(GATES)
    assert {name: bits.tolist() for name, bits in found.items()} == {"a": [[True, False, False]], "rest.1": [[False, True]]}


def test_the_derived_module_is_the_users_own_with_the_choices_made() -> None:
    model = Two()
    space = ChoiceSpace(model)
    with torch.no_grad():
        for parameter in space.parameters():
            parameter.fill_(100.0)  # the search has trained
    network = space.derive(chosen("three", "seven"))
    assert isinstance(network, Two)
    assert type(network.a) is Scale
    assert type(network.rest[1]) is Scale
    assert sorted(network.state_dict()) == ["a.factor", "rest.1.factor"]
    assert_close(network(X), (3 * X + 1) * 7)  # theta_0: what the module had when it was wrapped
    assert model.a.mixed.operations["three"].factor.item() == 100.0
    assert space(X, GATES).max() > 1000


def test_the_supernet_under_one_hot_gates_is_the_derived_module() -> None:
    space = ChoiceSpace(Two())
    for a in ("two", "three"):
        for rest in ("five", "seven"):
            genotype = chosen(a, rest)
            paths = space.paths(genotype)
            gates = {name: bits.float() for name, bits in paths.items()}
            assert torch.equal(space(X, gates, paths), space.derive(genotype)(X))


def test_several_survivors_become_their_sum() -> None:
    space = ChoiceSpace(Two(), policy="survivors")
    genotype = Genotype({"a": (Gene("two", 0, 1), Gene("three", 0, 1, 0.5)), "rest.1": (Gene("seven", 0, 1, 2.0),)})
    network: Any = space.derive(genotype)
    assert isinstance(network.a, ChosenSum)
    assert isinstance(network.rest[1], ChosenSum)  # a weight that is not 1
    assert_close(network(X), (3.5 * X + 1) * 14)
    assert len(list(network.parameters())) == 3


def test_a_module_that_is_a_choice_itself() -> None:
    space = ChoiceSpace(MixedOp({"two": Scale(2.0), "three": Scale(3.0)}))
    assert list(space.alive) == ["choice"]
    assert space(X, {"choice": torch.tensor([[1.0, 1.0]])}).tolist() == [[5.0, 10.0]]
    network = space.derive(Genotype({"choice": (Gene("three", 0, 1),)}))
    assert type(network) is Scale
    assert network(X).tolist() == [[3.0, 6.0]]
    both = space.derive(Genotype({"choice": (Gene("two", 0, 1), Gene("three", 0, 1))}))
    assert both(X).tolist() == [[5.0, 10.0]]


def test_a_pretrained_network_stays_pretrained_with_its_statistics() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(2), MixedOp({"id": nn.Identity(), "norm": nn.BatchNorm1d(2)}))
    model(torch.randn(8, 2))
    kept = copy.deepcopy(model.state_dict())
    space = ChoiceSpace(model)
    for _ in range(3):
        space(5 * torch.randn(8, 2), {"1": torch.tensor([[0.5, 0.5]])})
    network = space.derive(Genotype({"1": (Gene("norm", 0, 1),)}))
    assert torch.equal(network.state_dict()["0.running_mean"], kept["0.running_mean"])
    assert torch.equal(network.state_dict()["1.running_var"], kept["1.mixed.operations.norm.running_var"])
    assert not torch.equal(model.state_dict()["0.running_mean"], kept["0.running_mean"])


def test_a_search_in_the_users_own_loop_prunes_to_one_candidate_each() -> None:
    space = ChoiceSpace(Two())
    darts = Darts(space, lambda network, batch: (network(batch) - 42 * batch).square().mean(), lr=1e-4, clip=0, weight_decay=0)
    darts.step(X, X)
    dead_before = len(list(space.parameters()))
    prune(Alpha(darts), 0.6, importance=lambda tensors, masks, loss: GATES)
    assert {name: bits.tolist() for name, bits in space.alive.items()} == {"a": [[True, False, False]], "rest.1": [[False, True]]}
    assert dead_before == 4
    assert len(list(space.parameters())) == len(darts.sgd.optimizer.param_groups[0]["params"]) == 2
    darts.step(X, X)
    genotype = darts.genotype()
    assert genotype == chosen("two", "seven")
    assert_close(space.derive(genotype)(X), (2 * X + 1) * 7)
    with pytest.raises(GenotypeError, match="choice 'a': three has been pruned"):
        space.derive(chosen("three", "seven"))


def test_a_dead_candidate_runs_and_learns_nothing() -> None:
    space = ChoiceSpace(Two())
    space.alive["a"][0, 1] = False
    alpha = {name: torch.zeros(bits.shape, requires_grad=True) for name, bits in space.alive.items()}
    space(X, {name: relax(alpha[name], bits) for name, bits in space.alive.items()}).sum().backward()
    assert space.get_parameter("model.a.mixed.operations.three.factor").grad is None
    assert space.get_parameter("model.a.mixed.operations.two.factor").grad is not None
    assert alpha["a"].grad is not None
    assert alpha["a"].grad[0, 1] == 0
    assert alpha["a"].grad[0, 0] != 0


@pytest.mark.parametrize(
    ("genotype", "says"),
    [
        (Genotype({"a": (Gene("two", 0, 1),)}), "choice 'rest.1' is not in both"),
        (Genotype({**chosen("two", "five").groups, "b": (Gene("two", 0, 1),)}), "choice 'b' is not in both"),
        (chosen("two", "six"), "choice 'rest.1' has no candidate 'six'; there are: five, seven"),
        (Genotype({**chosen("two", "five").groups, "a": ()}), "choice 'a' keeps no candidate"),
        (Genotype({**chosen("two", "five").groups, "a": (Gene("two", 0, 1),) * 2}), "choice 'a' keeps a candidate twice"),
    ],
)
def test_a_genotype_of_another_module_is_refused(genotype: Genotype, says: str) -> None:
    space = ChoiceSpace(Two())
    for refused in (space.paths, space.derive):
        with pytest.raises(GenotypeError, match=says):
            refused(genotype)


def test_none_cannot_be_derived() -> None:
    with pytest.raises(GenotypeError, match="choice 'a'"):
        ChoiceSpace(Two()).derive(chosen("none", "five"))


def test_modules_that_are_no_search_space_are_refused() -> None:
    with pytest.raises(ConfigError, match="holds no MixedOp"):
        ChoiceSpace(nn.Linear(2, 2))
    with pytest.raises(ConfigError, match="at least two candidates"):
        MixedOp({"one": nn.Identity()})
    nested = MixedOp({"inner": nn.Sequential(MixedOp({"x": nn.Identity(), "y": nn.Identity()})), "y": nn.Identity()})
    for model in (nested, nn.Sequential(nested)):
        with pytest.raises(ConfigError, match="lies within another choice"):
            ChoiceSpace(model)
    with pytest.raises(ConfigError, match="policy 'best' does not exist"):
        ChoiceSpace(Two(), policy="best")  # type: ignore[arg-type]
    shared = MixedOp({"x": nn.Identity(), "y": nn.Identity()})
    with pytest.raises(ConfigError, match="stands in several places"):
        ChoiceSpace(nn.Sequential(shared, shared))


def test_a_choice_called_like_the_beginning_of_another_is_no_nesting() -> None:
    model = nn.ModuleDict(
        {"a": MixedOp({"x": nn.Identity(), "y": nn.Identity()}), "a2": MixedOp({"x": nn.Identity(), "y": nn.Identity()})}
    )
    assert list(ChoiceSpace(model).alive) == ["a", "a2"]


def test_candidates_whose_outputs_would_broadcast_are_refused() -> None:
    choice = MixedOp({"four": torch.nn.Linear(4, 4), "one": torch.nn.Linear(4, 1)})
    with pytest.raises(ConfigError, match=r"candidate 'one' gives \(2, 1\), one before it \(2, 4\); all must give one"):
        choice(torch.zeros(2, 4))
