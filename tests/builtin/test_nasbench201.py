import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lnas.builtin.nasbench201 import EDGES, OPERATIONS, NasBench201Network
from lnas.builtin.nasbench201 import parse_nasbench201 as parse
from lnas.builtin.nasbench201 import unparse_nasbench201 as unparse
from lnas.core.errors import ConfigError, GenotypeError
from lnas.core.genotype import Gene, Genotype
from lnas.core.types import Task

MIXED = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
TINY = Task((3, 8, 8), 4)


def every(operation: str) -> str:
    return "+".join("|" + "".join(f"{operation}~{source}|" for source in range(node)) for node in (1, 2, 3))


def test_a_string_becomes_one_gene_per_edge() -> None:
    assert parse(MIXED) == Genotype(
        {
            "cell": (
                Gene("nor_conv_3x3", 0, 1),
                Gene("none", 0, 2),
                Gene("nor_conv_1x1", 1, 2),
                Gene("skip_connect", 0, 3),
                Gene("none", 1, 3),
                Gene("avg_pool_3x3", 2, 3),
            )
        },
        {"cell": (3,)},
    )


def test_all_15625_architectures_survive_the_round_trip() -> None:
    texts = set()
    for operations in itertools.product(OPERATIONS, repeat=len(EDGES)):
        genes = tuple(Gene(name, *edge) for name, edge in zip(operations, EDGES, strict=True))
        found = Genotype({"cell": genes}, {"cell": (3,)})
        assert parse(unparse(found)) == found
        texts.add(unparse(found))
    assert len(texts) == 15_625


def test_the_order_of_the_genes_and_a_missing_output_do_not_matter() -> None:
    genes = tuple(reversed(parse(MIXED).groups["cell"]))
    assert unparse(Genotype({"cell": genes})) == MIXED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has the form"),
        ("|nor_conv_3x3~0|", "one operation on each"),
        ("nor_conv_3x3~0", "has the form"),
        (every("skip_connect") + "+|skip_connect~0|", "one operation on each"),
        (every("skip_connect") + "+", "has the form"),
        (every("skip_connect").replace("~2", "~1"), "one operation on each"),
        (every("skip_connect").replace("~2", "~3"), "one operation on each"),
        (every("skip_connect").replace("~2", "~-1"), "has the form"),
        (every("sep_conv_3x3"), "unknown NAS-Bench-201 operation 'sep_conv_3x3'"),
        (MIXED.replace("|none~0|nor_conv_1x1~1|", "|nor_conv_1x1~1|none~0|"), "out of order"),
    ],
)
def test_a_string_of_another_form_is_refused(text: str, message: str) -> None:
    with pytest.raises(GenotypeError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("genotype", "message"),
    [
        (Genotype({"normal": parse(MIXED).groups["cell"]}), "the one group 'cell'"),
        (Genotype({"cell": (*parse(MIXED).groups["cell"], Gene("none", 3, 4))}), "one operation on each"),
        (Genotype(parse(MIXED).groups, {"cell": (2,)}), "is node 3"),
    ],
)
def test_another_genotype_is_neither_a_string_nor_a_network(genotype: Genotype, message: str) -> None:
    with pytest.raises(GenotypeError, match=message):
        unparse(genotype)
    with pytest.raises(GenotypeError, match=message):
        NasBench201Network(genotype, TINY)


def test_an_edge_without_a_gene_is_one_of_none() -> None:
    cell = parse(MIXED)
    genes = tuple(gene for gene in cell.groups["cell"] if gene.operation != "none")
    assert len(genes) == 4 and unparse(Genotype({"cell": genes}, {"cell": (3,)})) == MIXED
    networks = []
    for genotype in (cell, Genotype({"cell": genes})):
        torch.manual_seed(0)
        networks.append(NasBench201Network(genotype, TINY, channels=4, cells=1).eval())
    x = torch.randn(2, 3, 8, 8)
    assert networks[0](x).equal(networks[1](x))


def test_several_operations_of_an_edge_are_added_and_no_string_says_so() -> None:
    genes = parse(every("none").replace("|none~0|none~1|none~2|", "|skip_connect~0|none~1|none~2|")).groups["cell"]
    both = Genotype({"cell": (*genes, Gene("avg_pool_3x3", 0, 3, 0.5))})
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    found = NasBench201Network(both, TINY, channels=4, cells=1).double().body[0](x)
    pooled = torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    torch.testing.assert_close(found, x + 0.5 * pooled, rtol=0, atol=1e-15)
    with pytest.raises(GenotypeError, match="one operation on each"):
        unparse(Genotype({"cell": (*genes, Gene("avg_pool_3x3", 0, 3))}))


def weighted() -> Genotype:
    genes = parse(every("skip_connect")).groups["cell"]
    return Genotype({"cell": (Gene("skip_connect", 0, 1, 0.5), *genes[1:])})


def test_a_string_cannot_say_a_weight() -> None:
    with pytest.raises(GenotypeError, match="skip_connect is multiplied by 0.5"):
        unparse(weighted())


def test_a_cell_adds_up_its_edges() -> None:
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)

    def cell(genotype: Genotype) -> torch.Tensor:
        network = NasBench201Network(genotype, TINY, channels=4, cells=1).double()
        found: torch.Tensor = network.body[0](x)
        return found

    # node 1 = x, node 2 = x + x, node 3 = x + x + 2x
    torch.testing.assert_close(cell(parse(every("skip_connect"))), 4 * x, rtol=0, atol=0)
    # node 1 = x / 2, node 2 = x + x / 2, node 3 = x + x / 2 + 3x / 2
    torch.testing.assert_close(cell(weighted()), 3 * x, rtol=0, atol=1e-15)
    assert cell(parse(every("none"))).eq(0).all()
    averaged = every("none").replace("|none~0|none~1|none~2|", "|avg_pool_3x3~0|none~1|none~2|")
    expected = torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    torch.testing.assert_close(cell(parse(averaged)), expected, rtol=0, atol=0)


def test_none_has_no_module_and_an_edge_out_of_a_node_without_input_reads_zeros() -> None:
    text = every("none").replace("|none~0|none~1|none~2|", "|none~0|nor_conv_3x3~1|none~2|")
    network = NasBench201Network(parse(text), TINY, channels=4, cells=1).eval()
    assert [len(cell.operations) for cell in network.body[::2]] == [1, 1, 1]
    assert network.body[0](torch.randn(1, 4, 8, 8)).eq(0).all()  # a fresh batch norm maps 0 to 0


@pytest.mark.parametrize("side", [1, 7, 8])
def test_a_network_answers_pictures_of_any_size(side: int) -> None:
    network = NasBench201Network(parse(MIXED), Task((1, side, side), 4), channels=4, cells=1)
    assert network.eval()(torch.randn(2, 1, side, side)).shape == (2, 4)


def test_each_stage_has_twice_the_channels_and_half_the_side() -> None:
    network = NasBench201Network(parse(MIXED), TINY, channels=4, cells=2)
    shapes = []
    for module in network.body:
        module.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape[1:])))
    network(torch.randn(2, 3, 8, 8))
    assert shapes == [(4, 8, 8)] * 2 + [(8, 4, 4)] * 3 + [(16, 2, 2)] * 3


@pytest.mark.parametrize("sizes", [{"channels": 0}, {"cells": 0}, {"cells": True}])
def test_a_size_below_one_is_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(sizes))} must be a whole number"):
        NasBench201Network(parse(MIXED), TINY, **sizes)


def test_inputs_that_are_no_pictures_are_refused() -> None:
    with pytest.raises(ConfigError, match="pictures"):
        NasBench201Network(parse(MIXED), Task((64,), 4))


@given(
    st.text()
    | st.text(st.sampled_from("|+~0123none_skip"))
    | st.lists(st.sampled_from(["|none~0", "|none~1", "|+", "|"])).map("".join)
)
def test_any_text_is_an_architecture_or_one_line_of_error(text: str) -> None:
    try:
        found = parse(text)
    except GenotypeError as error:
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 400
    else:
        assert parse(unparse(found)) == found
