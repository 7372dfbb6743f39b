import json

import pytest

from lnas.builtin.genotypes import GENOTYPES, genotype
from lnas.builtin.network import CellNetwork
from lnas.builtin.operations import CANDIDATES, OPERATIONS
from lnas.core.errors import UnknownNameError
from lnas.core.genotype import Gene, Genotype
from lnas.core.types import Task


def text(found: Genotype, kind: str) -> str:
    """A cell as one line: an operation's initials and source, a node's terms joined by +."""
    short = {"sep_conv": "s", "dil_conv": "d", "max_pool": "m", "avg_pool": "a", "skip_connect": "i", "conv_7x1_1x7": "c"}
    nodes: dict[int, list[str]] = {}
    for gene in found.groups[kind]:
        name = next(word for word in short if gene.operation.startswith(word))
        kernel = gene.operation[-1] if name[-4:] in ("conv", "pool") else ""
        nodes.setdefault(gene.node, []).append(f"{short[name]}{kernel}.{gene.source}")
    return " ".join("+".join(terms) for terms in nodes.values())


# Set down a second time, from the authors' repositories, in another notation than in the code under test.
PUBLISHED = {
    "DARTS_V1": (
        "s3.1+s3.0 i.0+s3.1 i.0+s3.1 s3.0+i.2",
        (2, 3, 4, 5),
        "m3.0+m3.1 i.2+m3.0 m3.0+i.2 i.2+a3.0",
        (2, 3, 4, 5),
    ),
    "DARTS_V2": (
        "s3.0+s3.1 s3.0+s3.1 s3.1+i.0 i.0+d3.2",
        (2, 3, 4, 5),
        "m3.0+m3.1 i.2+m3.1 m3.0+i.2 i.2+m3.1",
        (2, 3, 4, 5),
    ),
    "NASNet": (
        "s5.1+s3.0 s5.0+s3.0 a3.1+i.0 a3.0+a3.0 s3.1+i.1",
        (2, 3, 4, 5, 6),
        "s5.1+s7.0 m3.1+s7.0 a3.1+s5.0 i.3+a3.2 s3.2+m3.1",
        (4, 5, 6),
    ),
    "AmoebaNet": (
        "a3.0+m3.1 s3.0+s5.2 s3.0+a3.3 s3.1+i.1 i.0+a3.1",
        (4, 5, 6),
        "a3.0+s3.1 m3.0+s7.2 s7.0+a3.1 m3.0+m3.1 c.0+s3.5",
        (3, 4, 6),
    ),
    "PC_DARTS_cifar": (
        "s3.1+i.0 s3.0+d3.1 s5.0+s3.1 a3.0+d3.1",
        (2, 3, 4, 5),
        "s5.1+m3.0 s5.1+s5.2 s3.0+s3.3 s3.1+s3.2",
        (2, 3, 4, 5),
    ),
    "PDARTS": (
        "i.0+d3.1 i.0+s3.1 s3.1+s3.3 s3.0+d5.4",
        (2, 3, 4, 5),
        "a3.0+s5.1 s3.0+d5.2 m3.0+d3.1 d3.1+d5.3",
        (2, 3, 4, 5),
    ),
}


def test_exactly_the_published_ones_are_there() -> None:
    assert set(GENOTYPES) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_genotype_is_the_published_one(name: str) -> None:
    found = genotype(name)
    normal, normal_output, reduce, reduce_output = PUBLISHED[name]
    assert (text(found, "normal"), found.outputs["normal"]) == (normal, normal_output)
    assert (text(found, "reduce"), found.outputs["reduce"]) == (reduce, reduce_output)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_genotype_survives_json_and_can_be_built(name: str) -> None:
    found = genotype(name)
    assert Genotype.loads(json.dumps(found.to_json())) == found
    network = CellNetwork(found, Task((1, 8, 8), 3), channels=4, layers=3)
    assert len(network.cells) == 3


def test_nasnet_keeps_the_gene_it_has_twice() -> None:
    assert genotype("NASNet").groups["normal"].count(Gene("avg_pool_3x3", 0, 5)) == 2


def test_the_published_cells_use_every_operation_but_none() -> None:
    used = {gene.operation for found in GENOTYPES.values() for genes in found.groups.values() for gene in genes}
    assert used == set(OPERATIONS) - {"none"}
    assert used - set(CANDIDATES) == {"sep_conv_7x7", "conv_7x1_1x7"}


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'DARTS_V2'"):
        genotype("DARTS_2")


def test_published_genotypes_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        GENOTYPES["DARTS_V1"] = genotype("DARTS_V2")  # type: ignore[index]
