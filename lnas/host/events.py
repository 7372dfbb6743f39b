"""What a run tells those who watch it: frozen values, so that an observer cannot change the run."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from lnas.core.pipeline import Progress
from lnas.host.runtime import undisturbed


@dataclass(frozen=True)
class Resumed:
    """The run goes on from a checkpoint; what differs from where that was made, e.g. "torch 2.14.0 -> 2.14.1"."""

    progress: Progress
    differences: tuple[str, ...]


@dataclass(frozen=True)
class StageStarted:
    """A stage begins, or goes on after `Resumed`."""

    progress: Progress
    epochs: int


@dataclass(frozen=True)
class StepDone:
    """Sent every few steps; `done` and `total` count the steps of all stages."""

    progress: Progress
    done: int
    total: int


@dataclass(frozen=True)
class EpochDone:
    """An epoch of a stage is over; the last one of a stage may be shorter.

    `metrics` are the means of what the steps reported ("loss", with DARTS "alpha_loss"), `seconds` count from the start of
    the stage, `sparsity` is what the stage's target has attained, `live_paths` is None outside a search.
    """

    progress: Progress
    epoch: int
    epochs: int
    metrics: Mapping[str, float | None]
    validation_accuracy: float
    sparsity: float
    live_paths: int | None
    seconds: float


@dataclass(frozen=True)
class Pruned:
    """A prune round was done; `layers` is the sparsity of each mask, `rewind` the step returned to or None."""

    progress: Progress
    target: str
    asked: float
    attained: float
    layers: Mapping[str, float]
    rewind: int | None


@dataclass(frozen=True)
class Finished:
    """The run is over and its weights are written."""

    directory: Path
    validation_accuracy: float
    test_accuracy: float


Event: TypeAlias = Resumed | StageStarted | StepDone | EpochDone | Pruned | Finished


class Observer(ABC):
    """Watches a run: progress bars, log files, trackers.

    The random state is put back after every call.  An observer that raises is not called again; the run goes on.
    """

    @abstractmethod
    def notify(self, event: Event) -> None:
        """Called between steps, from the thread of the run; the run waits until it returns."""


class Audience:
    """The observers of a run, kept from disturbing it."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = list(observers)

    def tell(self, event: Event) -> None:
        """Notify each; one that raises is warned about, and not called again."""
        for observer in list(self._observers):
            try:
                with undisturbed():
                    observer.notify(event)
            except Exception as error:
                self._observers.remove(observer)
                warnings.warn(
                    f"observer {type(observer).__name__} failed and hears no more of this run: {type(error).__name__}: {error}",
                    RuntimeWarning,
                    stacklevel=2,
                )
