"""The shape of the JSON documents of a run, as far as a report needs them; what else they hold is kept as it is."""

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Whole: TypeAlias = Annotated[int, Field(ge=0, le=10**18)]
Number: TypeAlias = Annotated[float, Field(ge=-1e18, le=1e18)]
"""Bounded, so that whatever is drawn or printed has a width."""


class Document(BaseModel):
    """A frozen JSON object.  A field that is missing or null is None or empty: a run may have stopped before it was known."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)


class Group(Document):
    """The rows of a group's alpha: `edges` times `operations`."""

    edges: tuple[tuple[Whole, Whole], ...]
    operations: tuple[str, ...]


class Start(Document):
    """The beginning of a stage; `space` by group, in the search stage only."""

    stage: str
    space: dict[str, Group] | None = None


class Diagnosis(Document):
    """How a search stood after an epoch, in one group.

    Counts of the architecture that would have been derived, a value an edge of what alpha says, and for how many epochs the
    two had been the same.
    """

    operations: Whole | None = None
    parameter_free: Whole | None = None
    edges: Whole | None = None
    without_weights: tuple[tuple[Whole, Whole], ...] | None = None
    collapsed: bool | None = None
    architecture_still: Whole | None = None
    entropy: tuple[Number, ...] | None = None
    ranking_still: tuple[Whole | None, ...] | None = None


class Epoch(Document):
    """The end of an epoch.  `alpha`: group -> (edges, operations) path probabilities, a dead path exactly 0.

    `seconds` count from the beginning of the stage; `live_paths` are those left after the epoch, in the search stage only.
    """

    stage: str
    epoch: Whole
    step: Whole | None = None
    validation_accuracy: Number | None = None
    seconds: Number | None = None
    live_paths: Whole | None = None
    alpha: dict[str, tuple[tuple[Number, ...], ...]] | None = None
    diagnosis: dict[str, Diagnosis] | None = None


class Prune(Document):
    """A prune round; `layers` is the sparsity of each mask tensor, and `fresh` says that new weights were drawn under it."""

    stage: str
    round: Whole
    step: Whole
    target: str
    asked: Number
    attained: Number
    layers: dict[str, Number] | None = None
    rewind: Whole | None = None
    fresh: bool | None = None


class Accuracy(Document):
    """Fractions of 1."""

    validation: Number | None = None
    test: Number | None = None


class Baseline(Document):
    """What the accuracy is compared with, in the words of `what`."""

    validation: Number | None = None
    what: str | None = None


class Sparsity(Document):
    """The fraction asked to be removed of a target, and the one removed."""

    target: Number
    attained: Number


class Parameters(Document):
    """Of the final network."""

    total: Whole
    nonzero: Whole


class MultiplyAdds(Document):
    """For one picture: of the dense network, of its non-zero weights, and of what is left without whole zero channels."""

    dense: Whole
    nonzero: Whole
    structural: Whole


class Latency(Document):
    """Median of `repeats` measurements of a batch."""

    ms: Number
    device: str
    threads: Whole | None = None
    batch: Whole | None = None
    repeats: Whole | None = None


class Collapse(Document):
    """How a search left one group with several edges: its operations, its edges, those of both without weights."""

    operations: Whole
    parameter_free: Whole
    edges: Whole
    edges_without_weights: Whole
    since: Whole | None = None
    """The epoch from which on it was collapsed; None where it is not."""


class Seconds(Document):
    """Wall-clock time of each stage."""

    search: Number | None = None
    train: Number | None = None


class Summary(Document):
    """What a finished run leaves."""

    run: str | None = None
    recipe: str | None = None
    strategy: str | None = None
    space: str | None = None
    accuracy: Accuracy | None = None
    baseline: Baseline | None = None
    sparsity: dict[str, Sparsity] | None = None
    parameters: Parameters | None = None
    macs: MultiplyAdds | None = None
    latency: Latency | None = None
    costs: dict[str, float | None] | None = None
    """By the measures of plugins; None where one failed."""
    collapse: dict[str, Collapse] | None = None
    """By group."""
    seconds: Seconds | None = None
    exact: bool | None = None
    """False where the run was resumed on another torch, device or number of threads or processes."""
    digest: str | None = None


class Status(Document):
    """Where a run stands, or stopped."""

    state: str
    stage: str | None = None
    step: Whole | None = None
    steps: Whole | None = None
