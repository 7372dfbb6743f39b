"""Alpha and Theta: which entries compete, which must stay, and what happens to what is masked."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lnas.builtin.cells import CellSpace
from lnas.builtin.choices import ChoiceSpace, MixedOp
from lnas.builtin.darts import Darts
from lnas.builtin.importances import magnitude, probability
from lnas.builtin.random_search import RandomSearch
from lnas.builtin.schedules import Iterative
from lnas.builtin.targets import Alpha, Theta
from lnas.core.errors import ConfigError, NumericalError, SparsityError
from lnas.core.genotype import Genotype
from lnas.core.mask import check_feasible, prune, sparsity_of
from lnas.core.types import Task

KINDS = ("normal", "reduce")


def search(scores: dict[str, torch.Tensor] | None = None) -> Darts:
    """A supernet with the paper's 224 paths, as small as it can be."""
    torch.manual_seed(0)
    darts = Darts(CellSpace(Task((1, 4, 4), 2), channels=1, layers=1), lambda network, batch: network(batch).square().sum())
    for kind, values in (scores or {}).items():
        darts.alpha[kind].data.copy_(values)
    return darts


SHARED = search()  # building a supernet takes longer than pruning it


def revived(scores: dict[str, torch.Tensor]) -> Darts:
    """The same supernet with all paths alive and other alphas; its modules are not released here."""
    darts = Darts(SHARED.space, SHARED.loss)
    for kind, bits in darts.space.alive.items():
        bits.fill_(True)
        darts.alpha[kind].data.copy_(scores[kind])
    return darts


class Masks(Alpha):
    """Alpha whose dead paths are masked and not deleted."""

    def apply(self) -> None:
        for kind, alpha in self.strategy.alphas().items():
            alpha.detach().masked_fill_(~self.strategy.space.alive[kind], 0)


# Alpha: counts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sparsity", "kept", "attained"),
    [
        (0.0, 8, 0.0),
        (0.125, 7, 0.125),
        (0.5, 4, 0.5),
        (0.625, 3, 0.625),
        (0.875, 1, 0.875),
        (0.95, 1, 0.875),
        (0.3, 6, 0.25),
        (0.8, 2, 0.75),
    ],
)
def test_each_edge_keeps_its_share_and_at_least_one(sparsity: float, kept: int, attained: float) -> None:
    darts = search()
    prune(Alpha(darts), sparsity, importance=probability)
    for bits in darts.space.alive.values():
        assert bits.sum(1).tolist() == [kept] * 14
        assert bits[:, 1:].any(1).all()  # never `none` alone
    assert sparsity_of(darts.space.alive) == attained


LEVELS = st.lists(st.integers(-2, 2), min_size=224, max_size=224)


@settings(max_examples=40)
@given(LEVELS, st.lists(st.floats(0, 0.999), min_size=1, max_size=3), st.booleans())
def test_per_edge_by_sorted_lists(levels: list[int], sparsities: list[float], literal: bool) -> None:
    """Few distinct alphas, so that there are ties everywhere."""
    scores = dict(zip(KINDS, torch.tensor(levels, dtype=torch.float32).view(2, 14, 8), strict=True))
    darts = revived(scores)
    expected = {kind: [[True] * 8 for _ in range(14)] for kind in KINDS}
    for sparsity in sparsities:
        for kind in KINDS:
            for edge, row in enumerate(expected[kind]):
                values = scores[kind][edge].abs() if literal else scores[kind][edge]  # within an edge, softmax keeps the order
                best = min((o for o in range(1, 8) if row[o]), key=lambda o: (-values[o], o))
                order = sorted((float(values[o]), o) for o in range(8) if row[o] and o != best)
                for _, o in order[: max(min(round(8 * sparsity), 7) - row.count(False), 0)]:
                    row[o] = False
        before = {kind: bits.clone() for kind, bits in darts.space.alive.items()}
        prune(Masks(darts), sparsity, importance=magnitude if literal else probability)
        assert {kind: bits.tolist() for kind, bits in darts.space.alive.items()} == expected
        assert all(bool((bits <= before[kind]).all()) for kind, bits in darts.space.alive.items())


@settings(max_examples=40)
@given(LEVELS, st.floats(0, 107.9 / 112))
def test_globally_every_node_keeps_an_input(levels: list[int], sparsity: float) -> None:
    scores = dict(zip(KINDS, torch.tensor(levels, dtype=torch.float32).view(2, 14, 8), strict=True))
    darts = revived(scores)
    prune(Masks(darts, scope="global"), sparsity, importance=probability)
    for kind, bits in darts.space.alive.items():
        assert int((~bits).sum()) == round(112 * sparsity)
        for node in range(2, 6):
            assert bits[[j == node for _, j in darts.space.edges[kind]], 1:].any()
    genotype = darts.genotype()
    assert Genotype.from_json(genotype.to_json()) == genotype
    darts.space.network = {"channels": 1, "layers": 1}
    assert darts.space.derive(genotype)(torch.randn(2, 1, 4, 4)).shape == (2, 2)


def test_too_high_a_global_sparsity_names_the_largest_there_is() -> None:
    darts = search()
    target = Alpha(darts, scope="global")
    before = copy.deepcopy(darts.space.alive)
    for refuse in (partial(prune, importance=probability), check_feasible):
        with pytest.raises(SparsityError) as caught:
            refuse(target, 0.98)
        assert str(caught.value) == (
            "alpha sparsity 0.98 would remove 220 of 224 entries, but 8 must stay; at most 0.964 (216 of 224) is feasible"
        )
    assert all(torch.equal(bits, before[kind]) for kind, bits in darts.space.alive.items())
    assert len(darts.space.state_dict()) == len(search().space.state_dict())
    check_feasible(target, 0.964)
    prune(target, 0.964, importance=probability)
    assert sum(int(bits.sum()) for bits in darts.space.alive.values()) == 8


def test_choices_of_different_sizes_name_the_largest_sparsity_that_suits_all() -> None:
    model = nn.Sequential(*(MixedOp({str(i): nn.Linear(2, 2) for i in range(size)}) for size in (8, 2)))
    darts = Darts(ChoiceSpace(model), lambda network, batch: network(batch).sum())
    target = Alpha(darts, scope="global")
    with pytest.raises(
        SparsityError, match=r"would remove 10 of 10 entries, but 2 must stay; at most 0\.500 \(5 of 10\) is feasible"
    ):
        check_feasible(target, 0.95)
    prune(target, 0.5, importance=probability)
    assert [int(bits.sum()) for bits in darts.space.alive.values()] == [4, 1]


# Alpha: effects -------------------------------------------------------------------------------------------------------


def test_dead_alpha_and_its_moments_are_zero_and_stay_so(make_space: Any, make_batches: Any, loss: Any) -> None:
    darts = Darts(make_space(), loss, alpha_weight_decay=0.1)
    target = Alpha(darts)
    batches = make_batches(4)
    for batch in batches[:2]:
        darts.step(*batch)
    assert all(alpha.ne(0).all() for alpha in darts.alpha.values())
    prune(target, 0.5, importance=probability)
    for step in range(3):
        for kind, alpha in darts.alpha.items():
            dead = ~darts.space.alive[kind]
            assert int(dead.sum()) == 20
            assert alpha[dead].eq(0).all()
            assert alpha[~dead].ne(0).all()
            moments = darts.alpha_optimizer.state[alpha]
            assert moments["exp_avg"][dead].eq(0).all()
            assert moments["exp_avg_sq"][dead].eq(0).all()
            assert moments["exp_avg"][~dead].ne(0).any()
        if step < 2:
            darts.step(*batches[2 + step])
            target.apply()


def test_applying_twice_changes_nothing(make_space: Any, make_batches: Any, loss: Any) -> None:
    darts = Darts(make_space(), loss)
    darts.step(*make_batches(1)[0])
    target = Alpha(darts)
    prune(target, 0.5, importance=probability)
    before = copy.deepcopy(darts.state_dict())
    names = list(darts.sgd.optimizer.param_groups[0]["param_names"])
    target.apply()
    Alpha(darts).apply()
    assert darts.sgd.optimizer.param_groups[0]["param_names"] == names
    assert all(torch.equal(value, before["space"][name]) for name, value in darts.space.state_dict().items())
    assert all(torch.equal(alpha, before["alpha"][kind]) for kind, alpha in darts.alpha.items())


def test_a_dead_path_cannot_be_brought_back(make_space: Any, loss: Any) -> None:
    darts = Darts(make_space(), loss)
    target = Alpha(darts)
    alive = copy.deepcopy(darts.space.alive)
    prune(target, 0.5, importance=probability)
    for kind, bits in darts.space.alive.items():
        bits.copy_(alive[kind])
    with pytest.raises(ConfigError, match="cannot come alive again"):
        target.apply()


def test_another_mask_of_the_same_size_is_applied_too(make_space: Any, loss: Any) -> None:
    """As when a state is loaded into a space where as many other paths had died."""
    darts = Darts(make_space(), loss)
    target = Alpha(darts)
    bits = darts.space.alive["normal"]
    bits[0, 4] = False
    target.apply()
    assert "sep_conv_3x3" not in darts.space.cells[0].edges[0].operations  # type: ignore[index, union-attr]
    bits[0, 4], bits[0, 5] = True, False
    with pytest.raises(ConfigError, match="cannot come alive again"):
        target.apply()


def test_alpha_that_is_not_finite_is_refused() -> None:
    darts = search()
    darts.alpha["normal"].data[3, 2] = torch.nan
    with pytest.raises(NumericalError, match="importance of normal is not finite; nothing was pruned"):
        prune(Alpha(darts), 0.5, importance=probability)
    assert all(bits.all() for bits in darts.space.alive.values())


def test_the_table_of_random_search_is_pruned_too(make_space: Any, make_batches: Any, loss: Any) -> None:
    strategy = RandomSearch(make_space(), loss)
    for batch in make_batches(3):
        strategy.step(*batch)
    prune(Alpha(strategy), 0.5, importance=probability)
    assert [int(bits.sum()) for bits in strategy.space.alive.values()] == [20, 20]
    assert {id(p) for p in strategy.space.parameters()} == {id(p) for p in strategy.sgd.optimizer.param_groups[0]["params"]}
    strategy.step(*make_batches(1)[0])


# Theta: which weights -------------------------------------------------------------------------------------------------


class Network(nn.Module):
    """Every kind of weight, one of them shared, and a layer that is not used."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)
        self.up = nn.ConvTranspose2d(2, 2, 2)
        self.line = nn.Conv1d(2, 2, 1)
        self.scale = nn.Parameter(torch.ones(3))
        self.again = self.first
        self.hidden = nn.Linear(4, 5)
        self.embed = nn.Embedding(3, 4)
        self.output = nn.Linear(5, 2)


def test_convolutions_and_linear_layers_but_no_bias_norm_or_other_parameter() -> None:
    assert list(Theta(Network()).tensors()) == ["first.weight", "up.weight", "line.weight", "hidden.weight", "output.weight"]


def test_globs_include_and_exclude() -> None:
    network = Network()
    assert list(Theta(network, include=("*.bias", "scale")).tensors()) == [
        "scale",
        "first.bias",
        "norm.bias",
        "up.bias",
        "line.bias",
        "hidden.bias",
        "output.bias",
    ]
    assert list(Theta(network, exclude=("output.*", "up.*")).tensors()) == ["first.weight", "line.weight", "hidden.weight"]
    assert list(Theta(network, include=("embed.*", "hidden.*"), exclude=("*.bias",)).tensors()) == [
        "hidden.weight",
        "embed.weight",
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"include": ("nothing.*",)}, r"theta: 'nothing.\*' matches no parameter; there are e.g. scale, first.weight"),
        ({"exclude": ("First.*",)}, r"'First.\*' matches no parameter"),
        ({"exclude": ("*.weight",)}, "no weights to prune"),
        ({"scope": "edge"}, "scope must be layer or global, not 'edge'"),
        ({"output_rate": 1.5}, r"output_rate must be in \[0, 1\], not 1.5"),
        ({"output_rate": float("nan")}, r"output_rate must be in \[0, 1\]"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Theta(Network(), **options)


def test_alpha_refuses_another_scope(make_space: Any, loss: Any) -> None:
    with pytest.raises(ConfigError, match="scope must be edge or global, not 'layer'"):
        Alpha(Darts(make_space(), loss), scope="layer")  # type: ignore[arg-type]


def test_a_network_without_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match="no weights to prune"):
        Theta(nn.BatchNorm1d(3))


# Theta: counts and effects --------------------------------------------------------------------------------------------


def test_layers_are_counted_apart_and_together() -> None:
    layered, whole = Network(), Network()
    with torch.no_grad():
        for network in (layered, whole):
            network.hidden.weight.mul_(100)
    prune(Theta(layered), 0.5)
    assert int((layered.hidden.weight == 0).sum()) == 10
    assert int((layered.output.weight == 0).sum()) == 5
    assert int((layered.first.weight == 0).sum()) == 9
    target = Theta(whole, scope="global")
    total = sum(weight.numel() for weight in target.tensors().values())
    prune(target, 0.5)
    assert int((whole.hidden.weight == 0).sum()) == 0
    assert sum(int((weight == 0).sum()) for weight in target.tensors().values()) == total // 2 == 34


def test_the_output_layer_has_its_own_rate_in_both_scopes() -> None:
    for scope in ("layer", "global"):
        network = nn.Sequential(nn.Linear(100, 10), nn.Linear(10, 100), nn.Linear(100, 10))
        target = Theta(network, scope=scope, output_rate=0.5)  # type: ignore[arg-type]
        prune(target, 0.4)
        masks = target.masks()
        assert int((~masks["0.weight"]).sum()) + int((~masks["1.weight"]).sum()) == 800
        assert int((~masks["2.weight"]).sum()) == 200


def test_everything_but_masked_weights_stays_as_it_is() -> None:
    network = Network()
    before = copy.deepcopy(network.state_dict())
    names = list(before)
    target = Theta(network)
    prune(target, 0.5)
    assert list(network.state_dict()) == names
    assert network.again is network.first
    for name, value in network.state_dict().items():
        mask = target.masks().get(name.replace("again", "first"))
        assert torch.equal(value, before[name] if mask is None else before[name] * mask)


@pytest.mark.parametrize(
    "make",
    [partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.1), partial(torch.optim.Adam, lr=0.1, weight_decay=0.1)],
)
def test_a_masked_weight_and_its_moments_are_zero_after_every_step(make: Any) -> None:
    """The optimizers regrow a weight that was masked once: that is why the mask is applied after every step."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))
    optimizer = make(network.parameters())
    target = Theta(network, [optimizer])

    def step() -> None:
        optimizer.zero_grad()
        network(torch.randn(4, 6)).square().sum().backward()
        optimizer.step()

    step()
    schedule = Iterative(0.75, 2)
    for r in (1, 2):
        prune(target, schedule.sparsity_after(r))
        for _ in range(3):
            step()
            regrown = sum(int((weight[~target.masks()[name]] != 0).sum()) for name, weight in target.tensors().items())
            assert regrown > 0
            target.apply()
            for name, weight in target.tensors().items():
                dead = ~target.masks()[name]
                assert weight[dead].eq(0).all()
                moments = {key: value for key, value in optimizer.state[weight].items() if value.dim()}
                assert moments
                for key, value in moments.items():
                    assert value[dead].eq(0).all(), key
                    assert value[~dead].ne(0).any(), key
    assert [int((~mask).sum()) for mask in target.masks().values()] == [22, 8]


def test_a_target_has_an_importance_of_its_own(make_space: Any, loss: Any) -> None:
    space = make_space(operations=("skip_connect", "max_pool_3x3", "avg_pool_3x3"))
    strategy = Darts(space, loss)
    for alpha in strategy.alpha.values():
        alpha.data.copy_(torch.tensor([-5.0, 0.1, 1.0]).expand_as(alpha))
    prune(Alpha(strategy), 1 / 3)
    assert all(mask.tolist() == [[False, True, True]] * len(mask) for mask in space.alive.values())  # not |alpha|


def test_theta_masks_the_parameters_that_the_module_holds_now() -> None:
    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False))
    theta = Theta(model)
    model.load_state_dict({name: value + 1 for name, value in model.state_dict().items()}, assign=True)
    model[1] = nn.Linear(3, 2, bias=False)
    prune(theta, 0.5)
    assert [int((weight == 0).sum()) for weight in model.parameters()] == [6, 3]
