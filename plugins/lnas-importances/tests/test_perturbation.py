"""Against a hand loop that builds each supernet without a path by its gates."""

from collections.abc import Callable

import pytest
import torch
from lnas_importances import perturbation
from torch import Tensor, nn

import lnas

LARGEST = torch.finfo(torch.float64).max
MakeObjective = Callable[..., lnas.BatchLoss]


def cells() -> lnas.CellSpace:
    with lnas.seeded(0, "cells"):
        operations = ("none", "skip_connect", "max_pool_3x3", "sep_conv_3x3")
        return lnas.CellSpace(lnas.Task((1, 8, 8), 3), channels=2, layers=3, nodes=2, operations=operations).double()


def batch(shape: tuple[int, ...] = (1, 8, 8)) -> tuple[Tensor, Tensor]:
    return torch.randn(4, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64), torch.arange(4) % 3


def spread(strategy: lnas.Darts) -> None:
    """alpha far from uniform, so that renormalising matters."""
    for group, alpha in strategy.alphas().items():
        alpha.data = torch.randn(alpha.shape, generator=lnas.stream(1, group), dtype=torch.float64)


def measure(strategy: lnas.SearchStrategy, pair: tuple[Tensor, Tensor]) -> lnas.Tensors:
    alpha = lnas.Alpha(strategy)
    return perturbation(
        alpha.tensors(), alpha.masks(), lnas.BatchLoss(strategy.space, strategy.predict, pair, lnas.cross_entropy)
    )


@pytest.mark.parametrize("training", [True, False])
def test_every_score_is_the_loss_of_the_supernet_without_the_path(training: bool) -> None:
    strategy, pair = lnas.Darts(cells(), lnas.cross_entropy), batch()
    spread(strategy)
    space = strategy.space.train(training)
    for group, edge, operation in (("normal", 0, 1), ("normal", 3, 3), ("reduce", 2, 0)):
        space.alive[group][edge, operation] = False
    lnas.Alpha(strategy).apply()
    alive = {group: mask.clone() for group, mask in space.alive.items()}
    expected = {group: torch.zeros(mask.shape, dtype=torch.float64) for group, mask in alive.items()}
    for group, mask in alive.items():
        for edge, operation in mask.nonzero().tolist():
            paths = {name: bits.clone() for name, bits in alive.items()}
            paths[group][edge, operation] = False
            gates = {
                name: torch.stack(
                    [
                        torch.zeros(4).double().index_copy(0, bits.nonzero()[:, 0], row[bits].softmax(0))
                        for row, bits in zip(strategy.alphas()[name].detach(), paths[name], strict=True)
                    ]
                )
                for name in alive
            }
            with torch.no_grad():
                expected[group][edge, operation] = lnas.cross_entropy(lambda x, g=gates, p=paths: space(x, g, p), pair)
    scores = measure(strategy, pair)
    for group, mask in alive.items():
        torch.testing.assert_close(scores[group][mask], expected[group][mask], rtol=1e-10, atol=0)
        assert scores[group][mask].unique().numel() > 2
        assert torch.equal(space.alive[group], mask)


def test_the_path_that_hurts_least_goes_first() -> None:
    """A choice between the answer and noise: taking the answer out costs most."""
    with lnas.seeded(0, "toy"):
        right, wrong = nn.Identity(), nn.Linear(3, 3)
        space = lnas.ChoiceSpace(nn.Sequential(lnas.MixedOp({"wrong": wrong, "right": right, "worse": nn.Linear(3, 3)}))).double()
    strategy = lnas.Darts(space, lnas.cross_entropy)
    pair = (4 * torch.eye(3).double(), torch.arange(3))
    alpha = lnas.Alpha(strategy)
    loss = lnas.BatchLoss(space, strategy.predict, pair, lnas.cross_entropy)
    scores = perturbation(alpha.tensors(), alpha.masks(), loss)["0"][0]
    assert int(scores.argmax()) == 1
    lnas.prune(alpha, 2 / 3, importance=perturbation, loss=loss)
    assert space.alive["0"].tolist() == [[False, True, False]]


def test_nothing_is_left_changed_also_where_the_loss_raises(mixture: lnas.ChoiceSpace) -> None:
    strategy = lnas.Darts(mixture, lnas.cross_entropy)
    alive = {group: mask.clone() for group, mask in mixture.alive.items()}
    state = {name: value.clone() for name, value in mixture.state_dict().items()}
    random = torch.get_rng_state()
    left = [3]

    def failing(predict: lnas.Predict, pair: tuple[Tensor, Tensor]) -> Tensor:
        assert not torch.is_grad_enabled()  # a graph for each path would fill the memory
        left[0] -= 1
        if not left[0]:
            raise RuntimeError("no more")
        return lnas.cross_entropy(predict, pair)

    alpha = lnas.Alpha(strategy)
    with pytest.raises(RuntimeError, match="no more"):
        perturbation(alpha.tensors(), alpha.masks(), lnas.BatchLoss(mixture, strategy.predict, batch((5,)), failing))
    assert all(torch.equal(mask, alive[group]) for group, mask in mixture.alive.items())
    measure(strategy, batch((5,)))
    assert all(torch.equal(mask, alive[group]) for group, mask in mixture.alive.items())
    assert all(torch.equal(value, state[name]) for name, value in mixture.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(value.grad is None for value in (*mixture.parameters(), *strategy.alphas().values()))


def test_all_paths_see_the_same_random_draws() -> None:
    """Two candidates that are alike score alike, dropout or not."""
    linear = nn.Linear(5, 3)
    space = lnas.ChoiceSpace(
        nn.Sequential(nn.Dropout(0.5), lnas.MixedOp({"a": linear, "b": nn.Sequential(linear), "c": nn.Linear(5, 3)})).double()
    )
    strategy = lnas.Darts(space, lnas.cross_entropy)
    strategy.alphas()["1"].data.zero_()
    scores = measure(strategy, batch((5,)))["1"][0]
    assert scores[0] == scores[1] != scores[2]


def test_a_path_without_which_a_node_has_no_input_is_not_taken_out(mixture: lnas.ChoiceSpace) -> None:
    strategy = lnas.Darts(mixture, lnas.cross_entropy)
    mixture.alive["0"][0] = torch.tensor([True, True, False, False])  # linear and none
    lnas.Alpha(strategy).apply()
    scores = measure(strategy, batch((5,)))
    assert scores["0"][0, 0] == LARGEST and scores["0"][0, 1] < 100
    assert all(score.isfinite().all() for score in scores.values())


def test_edges_may_die_where_paths_compete_within_a_kind_of_cell() -> None:
    strategy = lnas.Darts(cells(), lnas.cross_entropy)
    spread(strategy)
    alpha = lnas.Alpha(strategy, scope="global")
    loss = lnas.BatchLoss(strategy.space, strategy.predict, batch(), lnas.cross_entropy)
    for sparsity in (0.5, 0.9):  # of 20 paths a kind
        lnas.prune(alpha, sparsity, importance=perturbation, loss=loss)
    assert [int(mask.sum()) for mask in strategy.space.alive.values()] == [2, 2]
    assert lnas.cross_entropy(strategy.predict, batch()).isfinite()


def test_any_strategy_will_do(mixture: lnas.ChoiceSpace) -> None:
    strategy = lnas.RandomSearch(mixture, lnas.cross_entropy, candidates=3)
    for _ in range(3):
        strategy.step(batch((5,)), batch((5,)))
    scores = measure(strategy, batch((5,)))
    assert {name: score.shape for name, score in scores.items()} == {"0": (1, 4), "2": (1, 2)}
    assert all(score.isfinite().all() for score in scores.values())


def test_what_it_needs_is_said(network: nn.Module, mixture: lnas.ChoiceSpace, objective: MakeObjective) -> None:
    theta = lnas.Theta(network)
    with pytest.raises(lnas.ConfigError, match="importance perturbation takes paths out of a search space; use it with alpha"):
        lnas.prune(theta, 0.5, importance=perturbation, loss=objective(network))
    with pytest.raises(lnas.ConfigError, match="use it with alpha"):
        lnas.prune(theta, 0.5, importance=perturbation, loss=objective(mixture))
    with pytest.raises(lnas.ConfigError, match="needs to know the network"):
        lnas.prune(lnas.Alpha(lnas.Darts(mixture, lnas.cross_entropy)), 0.5, importance=perturbation, loss=lambda: torch.ones(()))
