"""The derived network: its sizes, its cells by hand, its options, and the genotypes that it refuses."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lnas.builtin.network import Cell, CellNetwork, all_nodes, genotype_edges, plan
from lnas.core.errors import ConfigError, GenotypeError
from lnas.core.genotype import Gene, Genotype
from lnas.core.types import Task

TASK = Task((3, 9, 8), 5)


def genotype(*genes: Gene, output: tuple[int, ...] = (2, 3), **groups: Any) -> Genotype:
    normal = genes or (
        Gene("sep_conv_3x3", 0, 2),
        Gene("skip_connect", 1, 2),
        Gene("max_pool_3x3", 0, 3),
        Gene("dil_conv_3x3", 2, 3),
    )
    kinds = {"normal": normal, "reduce": normal, **groups}
    return Genotype({kind: members for kind, members in kinds.items() if members}, dict.fromkeys(kinds, output))


def cell(*genes: Gene, outputs: tuple[int, ...] = (2,), reduces: bool = False) -> Cell:
    torch.manual_seed(0)
    return Cell(genes, outputs, channels=2, inputs=(nn.Identity(), nn.Identity()), reduces=reduces)


def inputs() -> tuple[Tensor, Tensor]:
    first, second = torch.randn(2, 3, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    return first, second


# Plans ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "reductions"),
    [(1, [0]), (2, [0, 1]), (3, [1, 2]), (4, [1, 2]), (5, [1, 3]), (6, [2, 4]), (8, [2, 5]), (20, [6, 13])],
)
def test_cells_reduce_at_one_and_two_thirds_and_double_there(layers: int, reductions: list[int]) -> None:
    cells = plan(layers, 16)
    assert len(cells) == layers
    assert [i for i, (kind, _) in enumerate(cells) if kind == "reduce"] == reductions
    assert [width for _, width in cells] == [16 * 2 ** sum(i >= at for at in reductions) for i in range(layers)]


def test_edges_are_numbered_node_by_node() -> None:
    assert genotype_edges(2) == ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert len(genotype_edges(4)) == 14
    assert all_nodes(3) == {"normal": (2, 3, 4), "reduce": (2, 3, 4)}


# A cell by hand -------------------------------------------------------------------------------------------------------


def test_a_node_is_the_sum_of_its_genes_and_the_output_concatenates() -> None:
    before, last = inputs()
    skip = cell(Gene("skip_connect", 0, 2), Gene("skip_connect", 1, 2), Gene("skip_connect", 2, 3, 0.5), outputs=(3, 2))
    out = skip(before, last, 0.0)
    assert torch.equal(out, torch.cat([0.5 * (before + last), before + last], 1))


def test_a_gene_that_stands_twice_is_added_twice() -> None:
    before, last = inputs()
    twice = cell(Gene("skip_connect", 0, 2), Gene("skip_connect", 0, 2))
    assert torch.equal(twice(before, last, 0.0), 2 * before)


def test_genes_may_stand_in_any_order() -> None:
    before, last = inputs()
    later_first = cell(Gene("skip_connect", 2, 3), Gene("skip_connect", 1, 2), outputs=(3,))
    assert torch.equal(later_first(before, last, 0.0), last)


def test_none_in_a_derived_network_is_zero_and_strides() -> None:
    before, last = inputs()
    assert cell(Gene("none", 0, 2))(before, last, 0.0).eq(0).all()
    assert cell(Gene("none", 0, 2), reduces=True)(before, last, 0.0).shape == (3, 2, 2, 2)


def test_only_the_inputs_of_a_reduction_cell_are_strided() -> None:
    before, last = inputs()
    reduction = cell(
        Gene("sep_conv_3x3", 0, 2), Gene("avg_pool_3x3", 2, 3), Gene("skip_connect", 1, 3), outputs=(2, 3), reduces=True
    )
    assert reduction(before, last, 0.0).shape == (3, 4, 2, 2)
    strides = [
        {part.stride for part in op.modules() if isinstance(part, nn.Conv2d | nn.AvgPool2d)} for op in reduction.operations
    ]
    assert strides == [{(1, 1), (2, 2)}, {1}, {(2, 2)}]


def test_drop_path_leaves_out_samples_but_never_an_identity() -> None:
    before, last = inputs()
    identity = cell(Gene("skip_connect", 0, 2))
    assert torch.equal(identity(before, last, 0.9), before)
    pool = cell(Gene("avg_pool_3x3", 0, 2))
    big = torch.randn(400, 2, 4, 4, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(3)
    whole, dropped = pool(big, big, 0.0), pool(big, big, 0.25)
    gone = dropped.flatten(1).eq(0).all(1)
    assert 60 < int(gone.sum()) < 140  # 100 expected
    assert torch.allclose(dropped[~gone], whole[~gone] / 0.75)
    pool.eval()
    assert torch.equal(pool(big, big, 0.25), pool(big, big, 0.0))


# The network ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2, 3, 5])
def test_any_depth_and_odd_sides(layers: int) -> None:
    network = CellNetwork(genotype(), TASK, channels=2, layers=layers)
    assert network(torch.randn(2, 3, 9, 8)).shape == (2, 5)
    assert [type(part).__name__ for part in network.cells] == ["Cell"] * layers
    scales = [part.affine for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    assert any(scales)
    assert not all(scales)  # the norm after a pooling has neither scale nor shift


def test_parameters_of_a_small_network_counted_by_hand() -> None:
    """C = 2, one (reduction) cell of width 4 with one strided skip: stem 3·6·9 + 12, two projections 6·4 + 8,
    a factorized reduction 4·4 + 8, classifier 4·5 + 5."""
    one = (Gene("skip_connect", 0, 2),)
    network = CellNetwork(genotype(*one, output=(2,)), TASK, channels=2, layers=1)
    assert sum(p.numel() for p in network.parameters()) == (162 + 12) + 2 * (24 + 8) + (16 + 8) + 25


@pytest.mark.parametrize(("shape", "layers", "features"), [((3, 32, 32), 3, 2 * 8), ((1, 7, 9), 1, 2 * 4)])
def test_the_auxiliary_head_answers_in_training_only(shape: tuple[int, ...], layers: int, features: int) -> None:
    plain = CellNetwork(genotype(), Task(shape, 5), channels=2, layers=layers)
    network = CellNetwork(genotype(), Task(shape, 5), channels=2, layers=layers, auxiliary=True)
    logits, auxiliary = network(torch.randn(2, *shape))
    assert logits.shape == auxiliary.shape == (2, 5)
    network.eval()
    assert network(torch.randn(2, *shape)).shape == (2, 5)
    extra = {name for name, _ in network.named_parameters()} - {name for name, _ in plain.named_parameters()}
    assert extra
    assert all(name.startswith("auxiliary.") for name in extra)
    assert [name for name, _ in network.named_parameters()][-2:] == [
        "classifier.weight",
        "classifier.bias",
    ]  # the output layer is last
    norms = 2 * (128 + 768)
    assert sum(p.numel() for p in network.parameters()) - sum(p.numel() for p in plain.parameters()) == (
        features * 128 + 128 * 768 * 4 + norms + 768 * 5 + 5
    )


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (genotype(reduce=()), "no 'reduce' cell"),
        (genotype(normal=(), reduce=()), "no 'normal' cell"),
        (genotype(other=(Gene("skip_connect", 0, 2),)), r"unknown cells \['other'\]"),
        (genotype(Gene("sep_conv_3x33", 0, 2)), "normal cell: unknown operation 'sep_conv_3x33'; did you mean 'sep_conv_3x3'"),
        (genotype(Gene("skip_connect", 0, 1)), "normal cell: skip_connect ends at node 1, an input of the cell"),
        (genotype(Gene("skip_connect", 2, 3), output=(3,)), "normal cell: skip_connect starts at node 2, which has no input"),
        (genotype(Gene("skip_connect", 0, 2)), "normal cell: output node 3 has no input"),
        (genotype(Gene("skip_connect", 0, 2), output=()), "normal cell: no node is part of the output"),
        (genotype(Gene("skip_connect", 0, 2), output=(0,)), "normal cell: output node 0 has no input"),
    ],
)
def test_a_genotype_that_cannot_be_built_is_refused(wrong: Genotype, says: str) -> None:
    with pytest.raises(GenotypeError, match=says):
        CellNetwork(wrong, TASK, channels=2, layers=3)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"channels": 0}, "channels must be a whole number of at least 1, not 0"),
        ({"layers": 0}, "layers must be a whole number of at least 1, not 0"),
        ({"drop_path": 1.0}, r"drop_path must be in \[0, 1\), not 1.0"),
        ({"drop_path": float("nan")}, r"drop_path must be in \[0, 1\), not nan"),
    ],
)
def test_sizes_out_of_range_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        CellNetwork(genotype(), TASK, **options)


def test_inputs_that_are_no_pictures_are_refused() -> None:
    with pytest.raises(ConfigError, match="cells need pictures"):
        CellNetwork(genotype(), Task((10,), 2))


# The fast form --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drop_path", [0.0, 0.3])
@pytest.mark.parametrize("auxiliary", [False, True])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 19, 16)])
@pytest.mark.parametrize("hooked", [False, True])
def test_the_fast_form_equals_the_readable_one(
    drop_path: float, shape: tuple[int, int, int], *, auxiliary: bool, hooked: bool
) -> None:
    genes = (
        Gene("sep_conv_3x3", 0, 2, 0.7),
        Gene("sep_conv_5x5", 1, 2),
        Gene("max_pool_3x3", 0, 3),
        Gene("avg_pool_3x3", 0, 3, 0.2),
        Gene("dil_conv_3x3", 2, 3),
        Gene("skip_connect", 1, 4),
        Gene("conv_7x1_1x7", 0, 4),
        Gene("dil_conv_5x5", 3, 4, 1.5),
    )
    results = []
    for fast in (True, False):
        torch.manual_seed(0)
        made = CellNetwork(
            genotype(*genes, output=(2, 3, 4)),
            Task(shape, 5),
            channels=4,
            layers=5,
            auxiliary=auxiliary,
            drop_path=drop_path,
            fast=fast,
        ).double()
        if hooked:
            made.cells[1].operations[0][1].register_forward_hook(lambda *_: None)
        torch.manual_seed(1)
        x = torch.randn(3, *shape, dtype=torch.float64)
        answer = made(x)
        outputs = answer if auxiliary else (answer,)
        loss = sum(
            (output * torch.linspace(-1, 1, output.numel(), dtype=torch.float64).view_as(output)).sum() for output in outputs
        )
        slopes = torch.autograd.grad(loss, list(made.parameters()))
        results.append((outputs, slopes, list(made.buffers())))
    (outputs, slopes, buffers), (expected, wanted, theirs) = results
    largest = max(slope.abs().max() for slope in wanted)
    for got, value in zip(outputs, expected, strict=True):
        assert torch.allclose(got, value, rtol=1e-12, atol=1e-12)
    for got, slope in zip(slopes, wanted, strict=True):
        assert (got - slope).abs().max() <= 1e-11 * torch.maximum(slope.abs().max(), 1e-2 * largest)
    for got, buffer in zip(buffers, theirs, strict=True):
        assert torch.allclose(got, buffer, rtol=1e-12, atol=1e-14)
