"""Whether two sides have about as many parameters, where a claim says so."""

from collections.abc import Sequence
from statistics import fmean

from lnas.sweep.hypothesis import Contrast
from lnas.sweep.results import Results

ABOUT = (0.8, 1.25)
"""Between these, a ratio of two numbers of parameters is "about as many"."""


def ratios(results: Results, contrast: Contrast) -> tuple[float, ...] | None:
    """The parameters of each second row by those of its first: means over the seeds that both have; None where one has none."""
    found = []
    for first, second in zip(contrast.first, contrast.second, strict=True):
        mine, others = (
            {seed: trial.parameters for seed, trial in results.of(row).items() if trial.parameters} for row in (first, second)
        )
        seeds = mine.keys() & others.keys()
        if not seeds:
            return None
        found.append(fmean(others[seed] for seed in seeds) / fmean(mine[seed] for seed in seeds))
    return tuple(found)


def about_as_many(found: Sequence[float] | None) -> bool:
    """Whether all ratios are known and near enough to 1."""
    return found is not None and all(ABOUT[0] <= ratio <= ABOUT[1] for ratio in found)


def sizes_in_words(found: Sequence[float] | None) -> str:
    """The ratios, and what they have to be where they are not that."""
    if found is None:
        return "how many parameters the control has is not known"
    ends = [f"{end:.2f}" for end in (min(found), max(found))]
    words = f"the control has {ends[0] if ends[0] == ends[1] else ' to '.join(ends)} times as many parameters"
    return words if about_as_many(found) else f"{words}, which is not about as many ({ABOUT[0]:g} to {ABOUT[1]:g})"
