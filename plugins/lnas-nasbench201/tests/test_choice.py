"""From scores to cells, against brute force over all 15,625 of them."""

import math

import pytest
import torch
from torch import Tensor

import lnas

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
ALL = torch.cartesian_prod(*[torch.arange(5)] * 6)  # (15625, 6): the operation of each edge
ROUTES = ([3], [0, 4], [1, 5], [0, 2, 5])  # the edges of every way from node 0 to node 3
CONNECTED = torch.stack([(ALL[:, route] > 0).all(1) for route in ROUTES]).any(0)


def masked(space, seed: int):
    """A space in which random paths are dead, so that a cell is connected still."""
    supernet = space(torch.float32, channels=1, cells=1)
    generator = torch.Generator().manual_seed(seed)
    while True:
        alive = torch.rand(6, 5, generator=generator) < 0.5 if seed else torch.ones(6, 5, dtype=torch.bool)
        if (CONNECTED & lives(alive).all(1)).any():
            supernet.alive["cell"].copy_(alive)
            return supernet


def lives(alive: Tensor) -> Tensor:
    """(15625, 6) bool: whether the path is alive, or is `none` on an edge that has no other."""
    paths = alive.clone()
    paths[~alive[:, 1:].any(1), 0] = True  # whatever is alive there, nothing is computed
    return paths[torch.arange(6), ALL]


def numbers(genotype: lnas.Genotype) -> Tensor:
    """(6,) the operation of each edge; `none` where there is no gene."""
    chosen = {(gene.source, gene.node): OPERATIONS.index(gene.operation) for gene in genotype.groups["cell"]}
    assert list(chosen) == [edge for edge in EDGES if edge in chosen] and len(chosen) == len(genotype.groups["cell"])
    assert genotype.outputs == {"cell": (3,)}
    return torch.tensor([chosen.get(edge, 0) for edge in EDGES])


def test_341_cells_do_not_look_at_their_input() -> None:
    assert int((~CONNECTED).sum()) == 341


@pytest.mark.parametrize("seed", range(60))
def test_argmax_is_the_best_cell_that_leads_from_input_to_output(space, random_alpha, seed: int) -> None:
    supernet = masked(space, seed // 2)
    scores = random_alpha(seed)
    scores[:, 0] += (0.0, 1.5, 3.0)[seed % 3]  # `none` wins often, as in many a search
    possible = scores.masked_fill(~supernet.alive["cell"], 0.0)  # of an edge without a live path, nothing is counted
    totals = possible[torch.arange(6), ALL].sum(1).masked_fill(~(CONNECTED & lives(supernet.alive["cell"]).all(1)), -math.inf)
    found = numbers(supernet.discretize({"cell": scores}, "argmax"))
    assert torch.equal(found, ALL[totals.argmax()])
    alone = possible.masked_fill(~supernet.alive["cell"], -math.inf).argmax(1)
    if any((alone[route] > 0).all() and supernet.alive["cell"][route].any(1).all() for route in ROUTES):
        assert torch.equal(found, alone)  # the benchmark's own rule


def test_the_argmax_of_each_edge_may_be_none(space, cell) -> None:
    scores = torch.zeros(6, 5)
    for edge, operation in enumerate([0, 3, 0, 0, 0, 4]):
        scores[edge, operation] = 1.0
    found = space().discretize({"cell": scores})
    assert found == cell(". 3 . . . p")
    assert lnas.unparse_nasbench201(found) == "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|avg_pool_3x3~2|"


def test_where_none_wins_everywhere_the_cheapest_route_computes_something(space, cell) -> None:
    scores = torch.zeros(6, 5)
    scores[:, 0] = torch.tensor([1.0, 9.0, 1.0, 3.5, 9.0, 1.0])
    scores[:, 2] = 0.25  # 0-1-2-3 loses 3 * 0.75, the edge 0-3 loses 3.25
    assert space().discretize({"cell": scores}) == cell("1 . 1 . . 1")
    scores[3, 0] = 2.4  # and now 2.15
    assert space().discretize({"cell": scores}) == cell(". . . 1 . .")


def test_ties_go_to_what_computes_and_to_the_first(space, cell) -> None:
    assert space().discretize({"cell": torch.zeros(6, 5)}) == cell("s s s s s s")


@pytest.mark.parametrize("per", ["node", "edge"])
@pytest.mark.parametrize("seed", range(20))
def test_required_is_the_best_living_path_of_each_node_or_edge(space, random_alpha, per: str, seed: int) -> None:
    supernet = space(torch.float32, channels=1, cells=1)
    supernet.alive["cell"] &= torch.rand(6, 5, generator=torch.Generator().manual_seed(seed)) < 0.6
    scores, alive = random_alpha(seed), supernet.alive["cell"]
    best: dict[int, tuple[float, int, int]] = {}
    for edge, (_, node) in enumerate(EDGES):
        for operation in range(1, 5):
            if alive[edge, operation]:
                key = node if per == "node" else edge
                best[key] = max(best.get(key, (-math.inf, 0, 0)), (float(scores[edge, operation]), edge, operation))
    expected = sorted([edge, operation] for _, edge, operation in best.values())
    assert supernet.required({"cell": scores}, per)["cell"].nonzero().tolist() == expected


@pytest.mark.parametrize("seed", range(40))
def test_with_one_path_left_for_each_node_the_output_still_hears_of_the_input(space, random_alpha, seed: int) -> None:
    supernet = space(torch.float32, channels=1, cells=1)
    supernet.alive["cell"].copy_(supernet.required({"cell": random_alpha(seed)}, "node")["cell"])
    assert int(supernet.alive["cell"].sum()) == 3
    for policy in ("argmax", "survivors", "gated", "auto"):
        found = numbers(supernet.discretize({"cell": random_alpha(seed + 1)}, policy))
        assert any((found[route] > 0).all() for route in ROUTES)
        assert int((found > 0).sum()) == 3


def test_survivors_are_all_living_paths_and_gated_ones_weigh_what_they_do_in_the_search(space, random_alpha) -> None:
    supernet, alpha = space(policy="auto"), random_alpha(1)
    assert len(supernet.discretize({"cell": alpha}).groups["cell"]) == 6  # nothing has died yet
    alive = supernet.alive["cell"]
    alive[1] = torch.tensor([True, False, False, False, False])
    alive[4] = False
    alive[5] = torch.tensor([True, False, True, False, True])
    edges = [
        [gene for gene in supernet.discretize({"cell": alpha}).groups["cell"] if (gene.source, gene.node) == e] for e in EDGES
    ]
    names = [[gene.operation for gene in genes] for genes in edges]
    everything = list(OPERATIONS[1:])
    assert names == [everything, ["none"], everything, everything, [], ["nor_conv_1x1", "avg_pool_3x3"]]
    gated = supernet.discretize({"cell": alpha}, "gated").groups["cell"]
    assert [gene.weight for gene in gated[-2:]] == pytest.approx(alpha[5, [0, 2, 4]].softmax(0)[1:].tolist(), abs=1e-15)
    assert [gene.operation for gene in gated] == [name for edge in names for name in edge]


@pytest.mark.parametrize("policy", ["argmax", "survivors", "gated"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_living_score_that_is_not_finite_is_refused(space, random_alpha, policy: str, bad: float) -> None:
    supernet, alpha = space(), random_alpha(0)
    alpha[2, 0] = bad
    with pytest.raises(lnas.NumericalError, match="alpha is not finite"):
        supernet.discretize({"cell": alpha}, policy)
    supernet.alive["cell"][2, 0] = False
    assert supernet.discretize({"cell": alpha}, policy).groups


def test_an_unknown_policy_is_refused(space) -> None:
    with pytest.raises(lnas.ConfigError, match="policy 'best' does not exist; there are: argmax, survivors, gated, auto"):
        space().discretize({"cell": torch.zeros(6, 5)}, "best")
