import pytest

from lnas.core.genotype import Gene, Genotype
from lnas.report.collapse import is_parameter_free, parameter_free


def cell(*operations: str, group: str = "normal") -> Genotype:
    """Two edges a node, in order."""
    genes = tuple(Gene(operation, index % 2, 2 + index // 2) for index, operation in enumerate(operations))
    return Genotype({group: genes}, {group: (2, 3, 4, 5)})


@pytest.mark.parametrize("operation", ["none", "skip_connect", "max_pool_3x3", "avg_pool_3x3"])
def test_operations_without_weights(operation: str) -> None:
    assert is_parameter_free(operation)
    assert not is_parameter_free("sep_conv_3x3") and not is_parameter_free("nor_conv_1x1")


def test_they_are_counted_most_frequent_first() -> None:
    found = parameter_free(cell("max_pool_3x3", "skip_connect", "sep_conv_3x3", "skip_connect"), "normal")
    assert found.operations == (("skip_connect", 2), ("max_pool_3x3", 1))
    assert (found.count, found.edges, found.empty_edges) == (4, 4, 3)


@pytest.mark.parametrize(
    ("operations", "collapsed"),
    [
        (["skip_connect"] * 8, True),
        (["skip_connect"] * 4 + ["sep_conv_3x3"] * 4, True),
        (["skip_connect"] * 3 + ["sep_conv_3x3"] * 5, False),
        (["sep_conv_3x3"] * 8, False),
    ],
)
def test_half_of_a_normal_cell_is_a_collapse(operations: list[str], collapsed: bool) -> None:
    assert parameter_free(cell(*operations), "normal").collapsed is collapsed


def test_a_reduction_cell_may_pool() -> None:
    assert not parameter_free(cell(*["max_pool_3x3"] * 8, group="reduce"), "reduce").collapsed


def test_a_single_choice_may_be_a_skip_connection() -> None:
    assert not parameter_free(Genotype({"stem": (Gene("skip_connect", 0, 1),)}), "stem").collapsed


def test_an_edge_that_also_has_weights_is_not_empty() -> None:
    genes = tuple(
        Gene(operation, source, 2) for source in (0, 1) for operation in ("skip_connect", "max_pool_3x3", "sep_conv_3x3")
    )
    found = parameter_free(Genotype({"normal": genes}, {"normal": (2,)}), "normal")
    assert (found.count, found.empty_edges, found.collapsed) == (6, 0, False)
