"""From scores to an architecture, on a cell of two nodes and three operations that fits on paper."""

import math

import pytest
import torch
from torch import Tensor

from lnas.builtin.discretize import computing, genes, required, resolved
from lnas.core.errors import ConfigError, NumericalError
from lnas.core.genotype import Gene

EDGES = ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
OPERATIONS = ("none", "skip", "conv")


def scores() -> Tensor:
    """Best computing weight of each edge, as log-probabilities: .5, .3, .1, .4, .4."""
    rows = [[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.85, 0.05, 0.1], [0.3, 0.4, 0.3], [0.2, 0.4, 0.4]]
    return torch.tensor(rows).log()


def whole() -> Tensor:
    return torch.ones(5, 3, dtype=torch.bool)


def read(alpha: Tensor, alive: Tensor, policy: str, inputs: int = 2) -> list[tuple[str, int, int, float]]:
    found = genes(alpha, alive, EDGES, OPERATIONS, policy=policy, inputs=inputs)
    return [(gene.operation, gene.source, gene.node, gene.weight) for gene in found]


def test_argmax_is_the_best_operation_of_the_two_strongest_edges_of_each_node() -> None:
    # edges 3 and 4 tie above edge 2; the tie within edge 4 goes to the first operation
    assert read(scores(), whole(), "argmax") == [("skip", 0, 2, 1), ("conv", 1, 2, 1), ("skip", 1, 3, 1), ("skip", 2, 3, 1)]
    assert read(scores(), whole(), "argmax", 1) == [("skip", 0, 2, 1), ("skip", 1, 3, 1)]


def test_strength_is_the_softmax_over_the_edge_and_not_alpha_itself() -> None:
    alpha = scores()
    alpha[2] += 50  # shifts a whole edge: its distribution is the same
    assert read(alpha, whole(), "argmax") == read(scores(), whole(), "argmax")


def test_none_takes_its_share_but_is_never_chosen() -> None:
    alpha = torch.tensor([[9.0, 0, 0]] * 5)
    assert {gene[0] for gene in read(alpha, whole(), "argmax")} == {"skip"}
    assert {gene[0] for gene in read(alpha, whole(), "survivors")} == {"skip", "conv"}


def test_survivors_are_all_living_paths_in_order() -> None:
    alive = torch.zeros(5, 3, dtype=torch.bool)
    for edge, operation in [(0, 0), (0, 1), (1, 2), (3, 1), (3, 2), (4, 0)]:
        alive[edge, operation] = True
    expected = [Gene("skip", 0, 2), Gene("conv", 1, 2), Gene("skip", 1, 3), Gene("conv", 1, 3)]
    assert genes(scores(), alive, EDGES, OPERATIONS, policy="survivors", inputs=2) == tuple(expected)


def test_gated_survivors_carry_their_share_of_what_lives() -> None:
    alive = whole()
    alive[:, 0] = False
    alive[1:] = False
    alive[4, 2] = True
    found = read(scores(), alive, "gated")
    assert [gene[:3] for gene in found] == [("skip", 0, 2), ("conv", 0, 2), ("conv", 2, 3)]
    assert [gene[3] for gene in found] == pytest.approx([0.625, 0.375, 1.0])


def test_argmax_among_the_living_only() -> None:
    alive = whole()
    alive[0, 1] = False
    alive[1] = torch.tensor([True, False, False])
    assert read(scores(), alive, "argmax")[:2] == [("conv", 0, 2, 1), ("skip", 1, 3, 1)]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("policy", ["argmax", "survivors", "gated"])
def test_a_living_score_that_is_not_finite_is_refused(bad: float, policy: str) -> None:
    alpha = scores()
    alpha[1, 0] = bad
    with pytest.raises(NumericalError, match="alpha is not finite"):
        read(alpha, whole(), policy)
    alive = whole()
    alive[1, 0] = False
    assert read(alpha, alive, policy)


def test_auto_depends_on_whether_a_path_has_died() -> None:
    alive = {"normal": whole(), "reduce": whole()}
    assert resolved("auto", alive) == "argmax"
    alive["reduce"][0, 0] = False
    assert resolved("auto", alive) == "survivors"
    assert [resolved(policy, alive) for policy in ("argmax", "survivors", "gated")] == ["argmax", "survivors", "gated"]
    with pytest.raises(ConfigError, match="policy 'best' does not exist; there are: auto, argmax, survivors, gated"):
        resolved("best", alive)


def test_computing_is_alive_and_not_none() -> None:
    alive = whole()
    alive[0, 1] = False
    assert computing(OPERATIONS, alive)[:2].tolist() == [[False, False, True], [False, True, True]]


def test_required_is_one_per_node_or_one_per_edge_that_has_one() -> None:
    alive = whole()
    alive[4, 1:] = False
    best = required(scores(), alive, EDGES, OPERATIONS, "edge").nonzero().tolist()
    assert best == [[0, 1], [1, 2], [2, 2], [3, 1]]
    # by score and not by share: log .5 at (0, skip); log .4 at (3, skip)
    assert required(scores(), alive, EDGES, OPERATIONS, "node").nonzero().tolist() == [[0, 1], [3, 1]]
    assert required(scores(), torch.zeros(5, 3, dtype=torch.bool), EDGES, OPERATIONS, "node").sum() == 0
