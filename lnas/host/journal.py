"""The rows of metrics.jsonl, as functions of a pipeline: what there is to know between two steps."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from lnas.core.errors import NumericalError, PluginError
from lnas.core.learner import SearchStrategy
from lnas.core.mask import sparsity_of
from lnas.core.pipeline import Pipeline
from lnas.core.space import SearchSpace
from lnas.host.diagnosis import Diagnosis

Row: TypeAlias = dict[str, Any]

DIGITS = 6
"""Path probabilities are rounded to this many."""


def start_row(pipeline: Pipeline, *, epochs: int) -> Row:
    """A stage begins; in a search, with the edges and operations of its space."""
    progress = pipeline.progress
    space = searched(pipeline)
    row: Row = {"event": "start", "stage": progress.stage}
    if space is not None:
        row["space"] = {
            group: {"edges": [list(edge) for edge in edges], "operations": list(space.operations[group])}
            for group, edges in space.edges.items()
        }
    return {**row, "steps": progress.steps, "epochs": epochs}


def epoch_row(
    pipeline: Pipeline,
    *,
    epoch: int,
    metrics: Mapping[str, float | None],
    validation_accuracy: float,
    seconds: float,
    diagnoses: Mapping[str, Diagnosis],
) -> Row:
    """An epoch is over; `metrics` stand in the row under their own names, and what is known of a search by group.

    Raises:
        PluginError: where a metric has the name of another entry.
        NumericalError: where alpha is not finite.
    """
    progress = pipeline.progress
    space = searched(pipeline)
    row: Row = {
        "event": "epoch",
        "stage": progress.stage,
        "epoch": epoch,
        "step": progress.step,
        "round": progress.round,
        "rounds": progress.rounds,
        "validation_accuracy": validation_accuracy,
        "sparsity": sparsity_of(pipeline.rounds.target.masks()),
        "seconds": round(seconds, 3),
    }
    if space is not None:
        row["live_paths"] = live_paths(space)
        row["alpha"] = _probabilities(pipeline, space)
        row["diagnosis"] = {group: _diagnosis(found) for group, found in diagnoses.items()}
    if clash := sorted(set(metrics) & set(row)):
        raise PluginError(f"a step reports a metric {clash[0]!r}, which is another entry of the journal; give it another name")
    return {**row, **metrics}


def prune_row(pipeline: Pipeline) -> Row:
    """The round that was just done.  Where several were due at once, the last: it is the one that can be seen."""
    progress, rounds = pipeline.progress, pipeline.rounds
    sparsity = rounds.sparsity()
    return {
        "event": "prune",
        "stage": progress.stage,
        "round": progress.round,
        "step": progress.step if rounds.k else 0,  # with k = 0 all rounds come before the first step
        "target": rounds.target.name,
        "asked": sparsity.target,
        "attained": sparsity.attained,
        "layers": {name: sparsity_of({name: mask}) for name, mask in rounds.target.masks().items()},
        "rewind": None if rounds.origin is None else rounds.pruning.rewind,
        **({"fresh": True} if rounds.pruning.fresh and progress.round == progress.rounds else {}),
    }


def searched(pipeline: Pipeline) -> SearchSpace | None:
    """The space of the stage that is open, if that is a search."""
    learner = pipeline.rounds.learner
    return learner.space if isinstance(learner, SearchStrategy) else None


def live_paths(space: SearchSpace) -> int:
    """Paths that are not pruned, over all groups."""
    return sum(int(alive.sum()) for alive in space.alive.values())


def _probabilities(pipeline: Pipeline, space: SearchSpace) -> dict[str, list[list[float]]]:
    """group -> (edges, operations): what the strategy makes of alpha; a dead path is 0."""
    learner = pipeline.rounds.learner
    assert isinstance(learner, SearchStrategy)
    tables = {}
    for group, probabilities in learner.probabilities().items():
        table = probabilities.double().cpu()
        if not table.isfinite().all():
            raise NumericalError(
                f"alpha of group {group!r} is not finite after {pipeline.progress.stage} step {pipeline.progress.step}"
            )
        tables[group] = [[round(value, DIGITS) for value in row] for row in table.tolist()]
    return tables


def _diagnosis(diagnosis: Diagnosis) -> Row:
    """What has no value is left out, or null in the list of the edges."""
    row: Row = {}
    if (found := diagnosis.found) is not None:
        row["operations"] = found.count
        row["parameter_free"] = found.parameter_free
        row["edges"] = found.edges
        row["without_weights"] = [list(edge) for edge in found.empty]
        row["collapsed"] = found.collapsed
        row["architecture_still"] = diagnosis.architecture_still
    if diagnosis.entropy is not None:
        row["entropy"] = _rounded(diagnosis.entropy)
        row["normalised_entropy"] = _rounded(diagnosis.normalised_entropy or ())
        row["ranking_still"] = list(diagnosis.ranking_still or ())
    return row


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else round(value, DIGITS) for value in values]
