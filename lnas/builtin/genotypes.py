"""Published cells by name, as their authors' code gives them.

    DARTS_V1, DARTS_V2   first and second order; Liu, Simonyan and Yang 2019, "DARTS: Differentiable Architecture Search"
    NASNet               NASNet-A; Zoph, Vasudevan, Shlens and Le 2018, "Learning Transferable Architectures for Scalable
                         Image Recognition"; as in DARTS' repository
    AmoebaNet            AmoebaNet-A; Real, Aggarwal, Huang and Le 2019, "Regularized Evolution for Image Classifier
                         Architecture Search"; as in DARTS' repository
    PC_DARTS_cifar       Xu et al. 2020, "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search"
    PDARTS               Chen, Xie, Wu and Tian 2019, "Progressive Differentiable Architecture Search: Bridging the Depth Gap
                         between Search and Evaluation"

Nodes 0 and 1 are the outputs of the two cells before.  Each further node adds up two operations: the listings below give
them in pairs, node after node from 2 on, each as (operation, source).  NASNet's node 5 takes an average pooling of
node 0 twice, and both count.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from lnas.core.errors import UnknownNameError
from lnas.core.genotype import Gene, Genotype

Terms: TypeAlias = Sequence[tuple[str, int]]


def genotype(name: str) -> Genotype:
    """A published architecture.

    Raises:
        UnknownNameError: naming those there are.
    """
    if name not in GENOTYPES:
        raise UnknownNameError("genotype", name, GENOTYPES)
    return GENOTYPES[name]


def _cells(normal: Terms, reduce: Terms, outputs: Mapping[str, tuple[int, ...]] | None = None) -> Genotype:
    """Pairs of terms as genes; all nodes that are no input are output unless `outputs` says otherwise."""
    groups = {
        kind: tuple(Gene(operation, source, 2 + index // 2) for index, (operation, source) in enumerate(terms))
        for kind, terms in (("normal", normal), ("reduce", reduce))
    }
    return Genotype(groups, outputs or {kind: (2, 3, 4, 5) for kind in groups})


_PUBLISHED = {
    "DARTS_V1": _cells(
        normal=[
            ("sep_conv_3x3", 1), ("sep_conv_3x3", 0),
            ("skip_connect", 0), ("sep_conv_3x3", 1),
            ("skip_connect", 0), ("sep_conv_3x3", 1),
            ("sep_conv_3x3", 0), ("skip_connect", 2),
        ],
        reduce=[
            ("max_pool_3x3", 0), ("max_pool_3x3", 1),
            ("skip_connect", 2), ("max_pool_3x3", 0),
            ("max_pool_3x3", 0), ("skip_connect", 2),
            ("skip_connect", 2), ("avg_pool_3x3", 0),
        ],
    ),
    "DARTS_V2": _cells(
        normal=[
            ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
            ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
            ("sep_conv_3x3", 1), ("skip_connect", 0),
            ("skip_connect", 0), ("dil_conv_3x3", 2),
        ],
        reduce=[
            ("max_pool_3x3", 0), ("max_pool_3x3", 1),
            ("skip_connect", 2), ("max_pool_3x3", 1),
            ("max_pool_3x3", 0), ("skip_connect", 2),
            ("skip_connect", 2), ("max_pool_3x3", 1),
        ],
    ),
    "NASNet": _cells(
        normal=[
            ("sep_conv_5x5", 1), ("sep_conv_3x3", 0),
            ("sep_conv_5x5", 0), ("sep_conv_3x3", 0),
            ("avg_pool_3x3", 1), ("skip_connect", 0),
            ("avg_pool_3x3", 0), ("avg_pool_3x3", 0),
            ("sep_conv_3x3", 1), ("skip_connect", 1),
        ],
        reduce=[
            ("sep_conv_5x5", 1), ("sep_conv_7x7", 0),
            ("max_pool_3x3", 1), ("sep_conv_7x7", 0),
            ("avg_pool_3x3", 1), ("sep_conv_5x5", 0),
            ("skip_connect", 3), ("avg_pool_3x3", 2),
            ("sep_conv_3x3", 2), ("max_pool_3x3", 1),
        ],
        outputs={"normal": (2, 3, 4, 5, 6), "reduce": (4, 5, 6)},
    ),
    "AmoebaNet": _cells(
        normal=[
            ("avg_pool_3x3", 0), ("max_pool_3x3", 1),
            ("sep_conv_3x3", 0), ("sep_conv_5x5", 2),
            ("sep_conv_3x3", 0), ("avg_pool_3x3", 3),
            ("sep_conv_3x3", 1), ("skip_connect", 1),
            ("skip_connect", 0), ("avg_pool_3x3", 1),
        ],
        reduce=[
            ("avg_pool_3x3", 0), ("sep_conv_3x3", 1),
            ("max_pool_3x3", 0), ("sep_conv_7x7", 2),
            ("sep_conv_7x7", 0), ("avg_pool_3x3", 1),
            ("max_pool_3x3", 0), ("max_pool_3x3", 1),
            ("conv_7x1_1x7", 0), ("sep_conv_3x3", 5),
        ],
        outputs={"normal": (4, 5, 6), "reduce": (3, 4, 6)},
    ),
    "PC_DARTS_cifar": _cells(
        normal=[
            ("sep_conv_3x3", 1), ("skip_connect", 0),
            ("sep_conv_3x3", 0), ("dil_conv_3x3", 1),
            ("sep_conv_5x5", 0), ("sep_conv_3x3", 1),
            ("avg_pool_3x3", 0), ("dil_conv_3x3", 1),
        ],
        reduce=[
            ("sep_conv_5x5", 1), ("max_pool_3x3", 0),
            ("sep_conv_5x5", 1), ("sep_conv_5x5", 2),
            ("sep_conv_3x3", 0), ("sep_conv_3x3", 3),
            ("sep_conv_3x3", 1), ("sep_conv_3x3", 2),
        ],
    ),
    "PDARTS": _cells(
        normal=[
            ("skip_connect", 0), ("dil_conv_3x3", 1),
            ("skip_connect", 0), ("sep_conv_3x3", 1),
            ("sep_conv_3x3", 1), ("sep_conv_3x3", 3),
            ("sep_conv_3x3", 0), ("dil_conv_5x5", 4),
        ],
        reduce=[
            ("avg_pool_3x3", 0), ("sep_conv_5x5", 1),
            ("sep_conv_3x3", 0), ("dil_conv_5x5", 2),
            ("max_pool_3x3", 0), ("dil_conv_3x3", 1),
            ("dil_conv_3x3", 1), ("dil_conv_5x5", 3),
        ],
    ),
}  # fmt: skip

GENOTYPES: Mapping[str, Genotype] = MappingProxyType(_PUBLISHED)
"""Genotype by name."""
