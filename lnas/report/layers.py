"""How sparse each layer is: one value for every mask tensor, after the last prune round of its target."""

from dataclasses import dataclass

from lnas.report.read import RunFiles


@dataclass(frozen=True)
class LayerSparsities:
    """Of one target."""

    target: str
    rounds: int
    asked: float
    attained: float
    layers: tuple[tuple[str, float], ...]
    """(name, fraction removed), in the order of the network."""


def layer_sparsities(files: RunFiles) -> tuple[LayerSparsities, ...]:
    """One for each target that was pruned, in the order of their first rounds."""
    last = {prune.target: prune for prune in files.prunes}
    return tuple(
        LayerSparsities(target, prune.round, prune.asked, prune.attained, tuple((prune.layers or {}).items()))
        for target, prune in last.items()
    )
