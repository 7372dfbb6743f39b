"""What a run tells those who watch it: frozen values, so that an observer cannot change the run."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from lnas.core.pipeline import Progress
from lnas.host.foreign import in_one_line, warn
from lnas.host.plan import StagePlan
from lnas.host.runtime import apart


@dataclass(frozen=True)
class RunStarted:
    """The first event, in a run that begins and in one that goes on.  What the run writes comes after it.

    Attributes:
        directory: of the run; config.toml and environment.json are there.
        recipe: its name; empty where a pipeline is run that has none.
        config: the configuration by the keys of config.toml, as text: {"epochs": "10:20", "train.lr": "0.025"}.
        stages: what is planned, in order; their names are those of `Progress.stage`.
        done: steps of all stages that were done before: 0, or those of the checkpoint that the run goes on from.
    """

    directory: Path
    recipe: str
    config: Mapping[str, str]
    stages: tuple[StagePlan, ...]
    done: int

    def __post_init__(self) -> None:
        _seal(self, "config")


@dataclass(frozen=True)
class Resumed:
    """The run goes on from a checkpoint; what differs from where that was made, e.g. "torch 2.14.0 -> 2.14.1"."""

    progress: Progress
    differences: tuple[str, ...]


@dataclass(frozen=True)
class RolledBack:
    """An update was not finite: the run goes back to its last checkpoint, and that step gets another batch.

    What a run tells that goes on follows: `RunStarted`, and `Resumed` where there is a checkpoint.

    Attributes:
        progress: where the run was.
        error: what was not finite, in one line.
        times: how often the run has gone back by now.
        most: how often it may.
    """

    progress: Progress
    error: str
    times: int
    most: int


@dataclass(frozen=True)
class StageStarted:
    """A stage begins, or goes on after `Resumed`."""

    progress: Progress
    epochs: int


@dataclass(frozen=True)
class StepDone:
    """Sent every few steps; `done` and `total` count the steps of all stages.

    It has no metrics: they lie on the device, and to read one is to wait for it.  Their means are in `EpochDone`.
    """

    progress: Progress
    done: int
    total: int


@dataclass(frozen=True)
class EpochDone:
    """An epoch of a stage is over; the last one of a stage may be shorter.

    `metrics` are the means of what the steps reported ("loss", with DARTS "alpha_loss"), None for one that is not finite;
    `seconds` count from the start of the stage, `sparsity` is what the stage's target has attained, `live_paths` is None
    outside a search.

    `diagnosis` says of a search, by "GROUP/NAME": "parameter_free", operations without weights of the architecture that would
    be derived now; "edges_without_weights"; "architecture_still", for how many epochs that architecture has been the same;
    and where alpha is learned "entropy", in nats, the mean over the edges, and "ranking_still", for how many epochs alpha has
    ranked the paths of every edge the same.  `collapsed` are the groups that have just collapsed: each is named once in a run.
    """

    progress: Progress
    epoch: int
    epochs: int
    metrics: Mapping[str, float | None]
    validation_accuracy: float
    sparsity: float
    live_paths: int | None
    seconds: float
    diagnosis: Mapping[str, float] = field(default_factory=dict)
    collapsed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _seal(self, "metrics")
        _seal(self, "diagnosis")


@dataclass(frozen=True)
class Pruned:
    """A prune round was done; `layers` is the sparsity of each mask, `rewind` the step returned to or None."""

    progress: Progress
    target: str
    asked: float
    attained: float
    layers: Mapping[str, float]
    rewind: int | None

    def __post_init__(self) -> None:
        _seal(self, "layers")


@dataclass(frozen=True)
class Saved:
    """A checkpoint was written; of all of them, the newest and the best are kept.  What came before is never told again."""

    progress: Progress
    path: Path


@dataclass(frozen=True)
class Stopped:
    """The run ends before its end, after `RunStarted`; nothing follows.  A process that is killed cannot say so.

    Attributes:
        progress: the steps that are done; the last checkpoint may be older.
        reason: "interrupted" by a signal or the end of its time, or "failed".
        error: what it ends with, in one line.
    """

    progress: Progress
    reason: Literal["interrupted", "failed"]
    error: str


@dataclass(frozen=True)
class Finished:
    """The run is over and its weights are written; summary.json and the report are not yet.

    `digest` is that of the weights, as summary.json will say it.  A run that dies before the summary is written, and is
    resumed, says so again.
    """

    directory: Path
    validation_accuracy: float
    test_accuracy: float
    digest: str


Event: TypeAlias = RunStarted | Resumed | RolledBack | StageStarted | StepDone | EpochDone | Pruned | Saved | Stopped | Finished
"""All that an observer is told."""


class Observer(ABC):
    """Watches a run: progress bars, log files, trackers.

    It is made before the run is, also for a dry run and in every process of a run of several; only that of the first process
    is notified.  So it opens what it needs at `RunStarted`.

    Random state, working directory, gradient mode, default dtype and number of threads are put back after every call, and
    what it prints goes to standard error.  An observer that raises is not called again; the run goes on.
    """

    @abstractmethod
    def notify(self, event: Event) -> None:
        """Called between steps, from the thread of the run; the run waits until it returns."""


@dataclass(frozen=True)
class Described(Observer):
    """An observer that a user asked for by name.

    Attributes:
        observer: that is notified.
        words: which it is, for messages: "observer tensorboard of plugin tensorboard (lnas-tensorboard 0.1.0)".
    """

    observer: Observer
    words: str

    def notify(self, event: Event) -> None:
        """Hand the event on."""
        self.observer.notify(event)

    def __str__(self) -> str:
        return self.words


class Audience:
    """The observers of a run, kept from disturbing it."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = list(observers)

    def tell(self, event: Event) -> None:
        """Notify each; one that raises, or exits, is warned about and not called again."""
        for observer in list(self._observers):
            try:
                with apart():
                    observer.notify(event)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # foreign code: it may even exit
                self._observers = [other for other in self._observers if other is not observer]
                words = str(observer) if isinstance(observer, Described) else f"observer {type(observer).__name__}"
                warn(f"{words} failed and hears no more of this run: {in_one_line(error)}")


def _seal(event: object, name: str) -> None:
    """Make a mapping of a frozen event a read-only copy."""
    object.__setattr__(event, name, MappingProxyType(dict(getattr(event, name))))
