"""Counts that were computed independently of this code, to the digit."""

import pytest
from torch import nn

from lnas.builtin.cells import CellSpace
from lnas.builtin.genotypes import genotype
from lnas.builtin.nasbench201 import NasBench201Network
from lnas.builtin.nasbench201 import parse_nasbench201 as parse
from lnas.builtin.network import CellNetwork
from lnas.core.genotype import Gene, Genotype
from lnas.core.types import Task
from lnas.cost import MultiplyAdds, against_ptflops, multiply_adds, nni_compat, parameters

CIFAR = Task((3, 32, 32), 10)


def test_the_supernet() -> None:
    space = CellSpace(CIFAR, channels=16, layers=8)
    assert parameters(space).total == 1_930_618
    assert multiply_adds(space, CIFAR).dense == 300_253_184 + 2_560


@pytest.mark.parametrize(
    ("name", "auxiliary", "total", "dense"),
    [
        ("DARTS_V2", False, 3_349_342, 528_359_040),
        ("DARTS_V2", True, 3_825_768, 528_359_040),
        ("PC_DARTS_cifar", False, 3_634_678, 556_670_592),
    ],
)
def test_a_derived_network(name: str, auxiliary: bool, total: int, dense: int) -> None:
    network = CellNetwork(genotype(name), CIFAR, channels=36, layers=20, auxiliary=auxiliary)
    for parameter in network.parameters():
        nn.init.ones_(parameter)  # a random weight may be 0, which is not counted as nonzero
    assert parameters(network).total == total
    assert multiply_adds(network, CIFAR) == MultiplyAdds(dense, dense, dense)


def test_the_auxiliary_head() -> None:
    network = CellNetwork(genotype("DARTS_V2"), CIFAR, auxiliary=True)
    assert network.auxiliary is not None
    assert parameters(network.auxiliary).total == 476_426


@pytest.mark.parametrize(
    ("operation", "total", "convolutions"), [("nor_conv_3x3", 1_531_546, 220_119_040), ("skip_connect", 73_306, 7_782_400)]
)
def test_a_network_of_nas_bench_201(operation: str, total: int, convolutions: int) -> None:
    cell = parse("+".join("|" + "".join(f"{operation}~{source}|" for source in range(node)) for node in (1, 2, 3)))
    network = NasBench201Network(cell, CIFAR)
    assert parameters(network).total == total
    assert multiply_adds(network, CIFAR).dense == convolutions + 64 * 10
    # The benchmark's own figure adds one for each of the ten biases of the classifier, as ptflops does.
    assert against_ptflops(network, CIFAR, "aten").theirs == convolutions + 650


def of_table_1() -> Genotype:
    """A genotype whose counts are those of Table 1.

    Normal cell: eight separable convolutions, five of them 5x5.  Reduction cell: seven halves of separable convolutions,
    five of them 5x5 (2 + 2 of two sep_conv_5x5, 1 of a dil_conv_5x5, 2 of a sep_conv_3x3), and a skip of stride 2; the
    other edges hold pooling, which costs nothing.  Neither the edges nor the order matter to the counts, but for the skip
    that must start at an input of the cell.
    """
    kernels = (5, 5, 5, 5, 5, 3, 3, 3)
    normal = tuple(Gene(f"sep_conv_{k}x{k}", i % 2, 2 + i // 2) for i, k in enumerate(kernels))
    reduce = (
        Gene("sep_conv_5x5", 0, 2),
        Gene("sep_conv_5x5", 1, 2),
        Gene("dil_conv_5x5", 0, 3),
        Gene("sep_conv_3x3", 2, 3),
        Gene("skip_connect", 1, 4),
        Gene("max_pool_3x3", 3, 4),
        Gene("max_pool_3x3", 0, 5),
        Gene("avg_pool_3x3", 1, 5),
    )
    return Genotype({"normal": normal, "reduce": reduce}, {"normal": (2, 3, 4, 5), "reduce": (2, 3, 4, 5)})


TABLE_1 = {
    0.0: 752_335_488,
    0.125: 549_204_480,
    0.25: 473_033_664,
    0.375: 391_526_784,
    0.5: 315_355_968,
    0.625: 233_848_512,
    0.75: 157_677_696,
    0.875: 76_170_816,
    0.95: 25_141_248,
}


def test_the_costs_of_table_1() -> None:
    network = CellNetwork(of_table_1(), CIFAR, channels=36, layers=20)
    assert {sparsity: nni_compat(network, CIFAR, sparsity) for sparsity in TABLE_1} == TABLE_1
    # Without a mask it is the honest count; with one it leaves the depthwise layers out.
    assert multiply_adds(network, CIFAR).dense == TABLE_1[0.0]
