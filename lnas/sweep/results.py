"""What a sweep came to, as values: a row for each configuration, a trial for each of its seeds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

TrialState: TypeAlias = Literal["finished", "failed", "stopped", "running", "waiting"]

COSTS: Mapping[str, str] = {
    "parameters": "non-zero parameters",
    "macs_dense": "multiply-adds, dense",
    "macs_nonzero": "multiply-adds, non-zero",
    "macs_structural": "multiply-adds, structural",
}
"""The four costs of a row, by key (`lnas.cost` defines them)."""


@dataclass(frozen=True)
class Row:
    """One configuration of a sweep, which is run with several seeds.

    Attributes:
        label: what the trials of the row are called after: "variant1 p=0.25", "variant1 p=0.25 reinit".  No two are equal.
        recipe: "baseline", "variant1", ..., or a plugin's.
        sparsity: asked of what the recipe prunes; None where it prunes nothing, or its lines ask for several.
        control: the control that it is ("random-mask", "reinit", "random-alpha", "random-search", "dense"), or None.
        of: for a control, the label of the row that it is held against.
        varied: other options that differ among rows, as text by key.
    """

    label: str
    recipe: str
    sparsity: float | None = None
    control: str | None = None
    of: str | None = None
    varied: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialResult:
    """What one trial came to; None where it did not come that far.  Accuracies are fractions of 1.

    Attributes:
        name: of its run directory.
        row: label of its row.
        seed: root seed; trials of two rows with the same seed are a pair.
        state: how it stands.
        reason: why it failed or stopped, in one line.
        path: of its run directory, from the directory of the sweep.
        course: validation accuracy at the end of each epoch of the training.  Where weights are pruned at the end of an
            epoch, it is that of the network as it was pruned and rewound.
        before: of the network just before its weights were first pruned, or None.
        half: the highest in the first half of the epochs, `before` included if it falls there (Table 1's first column:
            "epoch 10").
        end: the highest of all (Table 1's second).  Where weights are pruned, it may be the unpruned network's.
        ticket: the highest after the last prune of the training, which is what can be kept; `end` where no weights are pruned.
        best: the highest of the training, as the run's summary has it and not its journal.
        epochs: planned of its training.
        validation: of the last weights.
        test: of the last weights; the test set was read once, at the end.
        parameters: non-zero.
        macs_dense: multiply-adds of the network as it is built.
        macs_nonzero: of its non-zero weights.
        macs_structural: without whole filters and channels of zeros.
        nni_compat: what NNI's counter gives for this network at the row's sparsity; not an honest cost.
        attained: sparsity by target.
        search_seconds: wall-clock time of the search stage.
        train_seconds: of the training stage.
        search: the key of the search that it shares with other trials; None where it ran its own.
        exact: whether it never went on on another torch, device or number of threads.
        digest: of its weights.
        config: what config.toml says, flat, as text by key ("recipe", "seed", "prune", "train.lr").
    """

    name: str
    row: str
    seed: int
    state: TrialState
    reason: str = ""
    path: str = ""
    course: tuple[float, ...] = ()
    before: float | None = None
    half: float | None = None
    end: float | None = None
    ticket: float | None = None
    best: float | None = None
    epochs: int | None = None
    validation: float | None = None
    test: float | None = None
    parameters: int | None = None
    macs_dense: int | None = None
    macs_nonzero: int | None = None
    macs_structural: int | None = None
    nni_compat: int | None = None
    attained: Mapping[str, float] = field(default_factory=dict)
    search_seconds: float | None = None
    train_seconds: float | None = None
    search: str | None = None
    exact: bool | None = None
    digest: str | None = None
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """A sweep as its files tell it.

    Attributes:
        name: of its directory.
        rows: in the order of the table.
        trials: by row, then by seed, planned ones too.
        kind: "table1" where it reproduces the paper's Table 1, else "sweep".
        scale: of a "table1": "tiny", "small" or "paper".
        command: what was typed.
        config: sweep.toml, the configuration that makes it again.
        seeds: of every row.
        stopped_early: the rule that stopped trials before their end, or None.  Where there is one, there are no verdicts.
        seconds: wall-clock time of the whole sweep, over all the times that it was resumed.
        workers: trials that ran at a time at most: they shared the machine, which their seconds show.
    """

    name: str
    rows: tuple[Row, ...]
    trials: tuple[TrialResult, ...]
    kind: Literal["sweep", "table1"] = "sweep"
    scale: str | None = None
    command: str = ""
    config: str = ""
    seeds: tuple[int, ...] = ()
    stopped_early: str | None = None
    seconds: float | None = None
    workers: int = 1

    def of(self, row: str) -> Mapping[int, TrialResult]:
        """The finished trials of a row, by seed."""
        return {trial.seed: trial for trial in self.trials if trial.row == row and trial.state == "finished"}
