"""When to stop: functions of what has been measured so far."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

import lnas

SKIP = "skip_connect"


def before_the_rise(eigenvalues: Sequence[float], window: int, ratio: float) -> int | None:
    """The index of the measurement to go back to, or None where the search goes on (Zela et al. 2020, section 4.3).

    With m(i) the mean magnitude of the `window` eigenvalues around measurement i, the newest i for which all of them are
    known: go back to i - window where m(i - window) < ratio · m(i).  The first 2 · window - 1 measurements decide nothing.
    """
    if len(eigenvalues) < 2 * window:
        return None
    earlier, later = (sum(abs(value) for value in part) for part in (eigenvalues[-2 * window : -window], eigenvalues[-window:]))
    return len(eigenvalues) - 2 * window + window // 2 if earlier < ratio * later else None


def skip_connections(genotype: lnas.Genotype, group: str) -> int:
    """How many skip connections the cell has."""
    return sum(gene.operation == SKIP for gene in genotype.groups[group])


def ranking(alpha: Mapping[str, Tensor], alive: lnas.Paths) -> list[list[list[int]]]:
    """Of each group and edge, the columns of the live paths from the largest alpha to the least."""
    ranked = []
    for group, values in alpha.items():
        scores = values.detach().cpu().masked_fill(~alive[group], -torch.inf)
        rows = scores.argsort(dim=-1, descending=True, stable=True)
        counts = alive[group].sum(-1).tolist()
        ranked.append([row[:count] for row, count in zip(rows.tolist(), counts, strict=True)])
    return ranked
