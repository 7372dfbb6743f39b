"""The cells of NAS-Bench-201 (Dong and Yang 2020, section 2.1): four nodes, and one of five operations on each of six edges."""

from collections.abc import Iterator, Sequence
from itertools import product

GROUP = "cell"
NODES = 4
EDGES = tuple((source, node) for node in range(1, NODES) for source in range(node))
"""(source, node) of each: node 0 is the input of a cell and node 3 its output."""
NONE = "none"
SKIP = "skip_connect"
OPERATIONS = (NONE, SKIP, "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""In the order of the benchmark, which is that of alpha's columns."""


def architectures() -> Iterator[str]:
    """All 15,625 architecture strings, the operation of the last edge changing fastest; `lnas.parse_nasbench201` reads one."""
    return map(architecture, product(OPERATIONS, repeat=len(EDGES)))


def architecture(operations: Sequence[str]) -> str:
    """The architecture string of one operation for each of `EDGES`."""
    terms = [(node, f"{name}~{source}") for name, (source, node) in zip(operations, EDGES, strict=True)]
    return "+".join(f"|{'|'.join(term for at, term in terms if at == node)}|" for node in range(1, NODES))
