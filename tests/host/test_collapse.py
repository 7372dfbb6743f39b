import itertools
import math
import random

import pytest

from lnas.builtin.genotypes import GENOTYPES
from lnas.builtin.nasbench201 import EDGES, OPERATIONS
from lnas.builtin.operations import CANDIDATES, PARAMETER_FREE
from lnas.core.genotype import Gene, Genotype
from lnas.host.collapse import CHANCE, at_least, is_parameter_free, parameter_free


def cell(*operations: str, group: str = "normal") -> Genotype:
    """Two edges a node, in order."""
    genes = tuple(Gene(operation, index % 2, 2 + index // 2) for index, operation in enumerate(operations))
    return Genotype({group: genes}, {group: (2, 3, 4, 5)})


def drawn(nodes: int, candidates: tuple[str, ...], generator: random.Random) -> Genotype:
    """An architecture of DARTS cells, every one as likely: two inputs a node, and on each any operation that computes."""
    computing = [name for name in candidates if name != "none"]
    edges = [(source, node) for node in range(2, 2 + nodes) for source in sorted(generator.sample(range(node), 2))]
    return Genotype({"normal": tuple(Gene(generator.choice(computing), *edge) for edge in edges)})


def test_operations_without_weights() -> None:
    assert {name for name in CANDIDATES if is_parameter_free(name)} == PARAMETER_FREE
    assert {name for name in OPERATIONS if is_parameter_free(name)} == {"none", "skip_connect", "avg_pool_3x3"}


def test_they_are_counted_most_frequent_first() -> None:
    found = parameter_free(cell("max_pool_3x3", "skip_connect", "sep_conv_3x3", "skip_connect"), "normal", CANDIDATES)
    assert found.operations == (("skip_connect", 2), ("max_pool_3x3", 1))
    assert (found.count, found.parameter_free, found.edges, found.empty) == (4, 3, 4, ((0, 2), (1, 2), (1, 3)))


@pytest.mark.parametrize(
    ("operations", "chance", "collapsed"),
    [
        (["skip_connect"] * 8, 1 / 7**8, True),
        # 4 or more skip connections of 8 operations, 1 of 7 each: the sum of the binomial
        (["skip_connect"] * 4 + ["sep_conv_3x3"] * 4, sum(math.comb(8, i) * 6 ** (8 - i) for i in range(4, 9)) / 7**8, True),
        (["skip_connect"] * 3 + ["sep_conv_3x3"] * 5, 1.0, False),
        (["skip_connect"] * 3 + ["max_pool_3x3"] + ["sep_conv_3x3"] * 4, sum(math.comb(8, i) for i in range(4, 9)) / 2**8, False),
        # 4 or more of 8, of which one candidate in two is
        (["max_pool_3x3"] * 4 + ["sep_conv_3x3"] * 4, sum(math.comb(8, i) for i in range(4, 9)) / 2**8, False),
        (["max_pool_3x3", "avg_pool_3x3"] * 4, 1 / 2**8, True),
        (["sep_conv_3x3"] * 8, 1.0, False),
    ],
)
def test_half_of_a_normal_cell_is_a_collapse_where_that_is_no_chance(
    operations: list[str], chance: float, collapsed: bool
) -> None:
    found = parameter_free(cell(*operations), "normal", CANDIDATES)
    assert found.chance == pytest.approx(chance, rel=1e-12)
    assert found.collapsed is collapsed


def test_a_reduction_cell_may_pool() -> None:
    assert not parameter_free(cell(*["max_pool_3x3"] * 8, group="reduce"), "reduce", CANDIDATES).collapsed


def test_a_single_choice_may_be_a_skip_connection() -> None:
    assert not parameter_free(
        Genotype({"stem": (Gene("skip_connect", 0, 1),)}), "stem", ["skip_connect", *"abcdefghijkl"]
    ).collapsed


def test_where_nothing_was_searched_nothing_has_collapsed() -> None:
    found = parameter_free(cell(*["skip_connect"] * 8), "normal", ())
    assert (found.parameter_free, found.chance, found.collapsed) == (8, 1.0, False)


def test_an_edge_that_also_has_weights_is_not_empty() -> None:
    genes = tuple(
        Gene(operation, source, 2) for source in (0, 1) for operation in ("skip_connect", "max_pool_3x3", "sep_conv_3x3")
    )
    found = parameter_free(Genotype({"normal": genes}, {"normal": (2,)}), "normal", CANDIDATES)
    assert (found.count, found.parameter_free, found.empty, found.collapsed) == (6, 4, (), False)


@pytest.mark.parametrize("name", GENOTYPES)
def test_no_published_cell_has_collapsed(name: str) -> None:
    assert not any(parameter_free(GENOTYPES[name], group, CANDIDATES).collapsed for group in GENOTYPES[name].groups)


def test_the_chance_is_that_of_every_outcome_counted() -> None:
    """Two survivors of four candidates on each of three edges, one of them alone on a fourth: all draws, one by one."""
    candidates = ("skip_connect", "max_pool_3x3", "sep_conv_3x3", "dil_conv_3x3")
    pairs, singles = list(itertools.combinations(candidates, 2)), [(name,) for name in candidates]
    draws = [(*draw, single) for draw in itertools.product(pairs, repeat=3) for single in singles]
    edges = [(0, 2), (1, 2), (0, 3), (1, 3)]

    def empty(draw: tuple[tuple[str, ...], ...]) -> int:
        return sum(all(is_parameter_free(name) for name in names) for names in draw)

    for chosen in draws[::37]:
        genes = tuple(Gene(name, *edge) for edge, names in zip(edges, chosen, strict=True) for name in names)
        found = parameter_free(Genotype({"normal": genes}), "normal", candidates)
        as_many = sum(empty(draw) >= empty(chosen) for draw in draws) / len(draws)
        assert found.chance == pytest.approx(as_many if empty(chosen) >= 2 else 1, rel=1e-12)


@pytest.mark.parametrize("number", range(6))
def test_at_least_so_many_of_independent_events(number: int) -> None:
    chances = [0.1, 0.5, 0.9, 0.0, 1.0]
    outcomes = list(itertools.product((False, True), repeat=5))
    oracle = sum(
        math.prod(p if happens else 1 - p for p, happens in zip(chances, outcome, strict=True))
        for outcome in outcomes
        if sum(outcome) >= number
    )
    assert at_least(number, chances) == pytest.approx(oracle, rel=1e-12)


@pytest.mark.parametrize("nodes", [2, 3, 4])
@pytest.mark.parametrize(
    "candidates", [CANDIDATES, ("none", "skip_connect", "sep_conv_3x3")], ids=["DARTS", "skip or convolution"]
)
def test_a_preference_that_means_nothing_has_hardly_ever_collapsed(nodes: int, candidates: tuple[str, ...]) -> None:
    generator = random.Random(nodes)
    found = [parameter_free(drawn(nodes, candidates, generator), "normal", candidates).collapsed for _ in range(1500)]
    assert sum(found) / len(found) < CHANCE


def test_a_cell_of_nasbench201_that_means_nothing_has_hardly_ever_collapsed() -> None:
    cells = itertools.product(OPERATIONS, repeat=len(EDGES))
    genotypes = (
        Genotype({"cell": tuple(Gene(name, *edge) for name, edge in zip(names, EDGES, strict=True))})
        for names in itertools.islice(cells, 0, None, 7)
    )
    found = [parameter_free(genotype, "cell", OPERATIONS).collapsed for genotype in genotypes]
    assert 0.01 < sum(found) / len(found) < CHANCE
    skips = Genotype({"cell": tuple(Gene("skip_connect", *edge) for edge in EDGES)})  # what DARTS finds there
    assert parameter_free(skips, "cell", OPERATIONS).collapsed
