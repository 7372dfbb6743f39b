"""An architecture as a value: what a search returns, a file holds and a space derives a network from."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lnas.core.document import parse
from lnas.core.errors import GenotypeError

SCHEMA = 1
MOST_GENES = 10_000
"""Of all groups together; a document with more is refused before anything is built."""
MOST_GROUPS = 1000
MOST_NODES = 1000
"""Of a group."""
LONGEST_NAME = 1000
"""Characters of a group or an operation."""


NONE = "none"
"""The operation that computes nothing: zeros."""


@dataclass(frozen=True, order=True)
class Gene:
    """One operation on the edge from node `source` to node `node`, its output multiplied by `weight`."""

    operation: str
    source: int
    node: int
    weight: float = 1.0


@dataclass(frozen=True)
class Genotype:
    """The operations that make up each group (a kind of cell, or one choice), and the nodes its output concatenates.

    Nodes are numbered in topological order, a group's inputs first.  The same gene may stand twice: its output is
    then added twice, as in the published NASNet cell.
    """

    groups: Mapping[str, tuple[Gene, ...]]
    outputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A JSON document; `from_json` reads it back as an equal value."""
        return {
            "schema": SCHEMA,
            "groups": {
                name: {
                    "genes": [
                        [gene.operation, gene.source, gene.node, *([gene.weight] if gene.weight != 1.0 else [])] for gene in genes
                    ],
                    "output": list(self.outputs.get(name, ())),
                }
                for name, genes in self.groups.items()
            },
        }

    @classmethod
    def from_json(cls, document: object) -> "Genotype":
        """Check a JSON document and make a genotype of it.

        Raises:
            GenotypeError: naming the group and the gene that is wrong.
        """
        if not isinstance(document, dict) or not isinstance(document.get("groups"), dict):
            raise GenotypeError('a genotype is a JSON object with "schema" and "groups"')
        if type(document.get("schema")) is not int or document["schema"] != SCHEMA:
            raise GenotypeError(f"genotype schema {_short(document.get('schema'))}; this lnas reads schema {SCHEMA}")
        if len(document["groups"]) > MOST_GROUPS:
            raise GenotypeError(f"the genotype has {len(document['groups']):,} groups; at most {MOST_GROUPS:,}")
        groups: dict[str, tuple[Gene, ...]] = {}
        outputs: dict[str, tuple[int, ...]] = {}
        left = MOST_GENES
        for name, group in document["groups"].items():
            if not isinstance(group, dict) or not isinstance(group.get("genes"), list):
                raise GenotypeError(f'group {_short(name)} is a JSON object with a list of "genes"')
            if not isinstance(name, str) or len(name) > LONGEST_NAME:
                raise GenotypeError(f"group {_short(name)}: a name is text of at most {LONGEST_NAME} characters")
            left -= len(group["genes"])
            if left < 0:
                raise GenotypeError(f"group {_short(name)} has {len(group['genes'])} genes; at most {MOST_GENES} in all groups")
            groups[name] = tuple(_gene(name, row) for row in group["genes"])
            output = group.get("output", [])
            if not isinstance(output, list) or len(output) > MOST_GENES or not all(_is_node(node) for node in output):
                raise GenotypeError(f'group {_short(name)}: "output" is a list of node numbers')
            if output:
                outputs[name] = tuple(output)
        return cls(groups, outputs)

    @classmethod
    def loads(cls, text: str) -> "Genotype":
        """`from_json` on a text.

        Raises:
            GenotypeError: where the text is no JSON or no genotype.
        """
        try:
            document = parse(text)
        except ValueError as error:
            raise GenotypeError(str(error)) from error
        return cls.from_json(document)


def _is_node(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_NODES


def _short(value: object) -> str:
    """A value from a file as part of one line: escaped and cut."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _gene(group: str, row: object) -> Gene:
    where = f"group {_short(group)}"
    shape = "[operation, source, node] or [operation, source, node, weight]"
    if not isinstance(row, list) or len(row) not in (3, 4):
        raise GenotypeError(f"{where}: {_short(row)} is no gene; a gene is {shape}")
    operation, source, node = row[:3]
    weight = row[3] if len(row) == 4 else 1.0
    if not isinstance(operation, str) or not _is_node(source) or not _is_node(node):
        raise GenotypeError(f"{where}: {_short(row)} is no gene; a gene is {shape}")
    name = _short(operation)[1:-1]
    if source >= node:
        raise GenotypeError(f"{where}: {name} goes from node {source} to node {node}; edges go to a later node")
    if len(operation) > LONGEST_NAME:
        raise GenotypeError(f"{where}: an operation has {len(operation):,} characters; at most {LONGEST_NAME}")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not abs(weight) <= sys.float_info.max:
        raise GenotypeError(f"{where}: the weight of {name} must be a finite number, not {_short(weight)}")
    return Gene(operation, source, node, float(weight))
