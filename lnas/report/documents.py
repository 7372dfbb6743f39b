"""The shape of the JSON documents of a run, as far as a report needs them; what else they hold is kept as it is."""

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """A frozen JSON object.  A field that is missing or null is None or empty: a run may have stopped before it was known."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Group(Document):
    """The rows of a group's alpha: `edges` times `operations`."""

    edges: tuple[tuple[int, int], ...]
    operations: tuple[str, ...]


class Start(Document):
    """The beginning of a stage; `space` by group, in the search stage only."""

    stage: str
    space: dict[str, Group] | None = None


class Epoch(Document):
    """The end of an epoch.  `alpha`: group -> (edges, operations) path probabilities, a dead path exactly 0.

    `seconds` count from the beginning of the stage; `live_paths` are those left after the epoch, in the search stage only.
    """

    stage: str
    epoch: int
    step: int | None = None
    validation_accuracy: float | None = None
    seconds: float | None = None
    live_paths: int | None = None
    alpha: dict[str, tuple[tuple[float, ...], ...]] | None = None


class Prune(Document):
    """A prune round; `layers` is the sparsity of each mask tensor."""

    stage: str
    round: int
    step: int
    target: str
    asked: float
    attained: float
    layers: dict[str, float] | None = None
    rewind: int | None = None


class Accuracy(Document):
    """Fractions of 1."""

    validation: float | None = None
    test: float | None = None


class Baseline(Document):
    """What the accuracy is compared with, in the words of `what`."""

    validation: float | None = None
    what: str | None = None


class Sparsity(Document):
    """The fraction asked to be removed of a target, and the one removed."""

    target: float
    attained: float


class Parameters(Document):
    """Of the final network."""

    total: int
    nonzero: int


class MultiplyAdds(Document):
    """For one picture: of the dense network, of its non-zero weights, and of what is left without whole zero channels."""

    dense: int
    nonzero: int
    structural: int


class Latency(Document):
    """Median of `repeats` measurements of a batch."""

    ms: float
    device: str
    threads: int | None = None
    batch: int | None = None
    repeats: int | None = None


class Seconds(Document):
    """Wall-clock time of each stage."""

    search: float | None = None
    train: float | None = None


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
    seconds: Seconds | None = None
    exact: bool | None = None
    """False where the run was resumed on another torch, device or number of threads."""
    digest: str | None = None


class Status(Document):
    """Where a run stands, or stopped."""

    state: str
    stage: str | None = None
    step: int | None = None
    steps: int | None = None
