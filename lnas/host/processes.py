"""What the parts of a run ask of the processes that it runs on, and the answer where there is one."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from lnas.core.learner import alone
from lnas.core.types import State
from lnas.host.launch import ONE, Place
from lnas.host.packing import Json

T = TypeVar("T")


class Processes(ABC):
    """All processes of a run, seen from one of them.  What is collective must be called by all, in the same order."""

    place: Place

    @property
    def size(self) -> int:
        """How many there are."""
        return self.place.size

    @property
    def first(self) -> bool:
        """Whether this is process 0, which alone reads and writes the run directory and speaks to the user."""
        return self.place.rank == 0

    @abstractmethod
    def use(self, device: torch.device) -> None:
        """Be ready to talk about tensors on that device.  Collective."""

    @abstractmethod
    def average(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """An `Average`: the mean of each floating tensor over the processes.  Collective, and so is its backward pass."""

    @abstractmethod
    def follow(self, tensors: Iterable[Tensor]) -> None:
        """Give these tensors, in place, the values that they have in process 0.  Collective."""

    @abstractmethod
    def exchange(self, value: Json) -> list[Any]:
        """What each process gave, by rank; JSON.  Collective, and never waits for a GPU."""

    @abstractmethod
    def share(self, make: Callable[[], State | None]) -> State | None:
        """What `make` returns in process 0, the only one to call it; tensors on the CPU.  Collective."""

    def told(self, make: Callable[[], T]) -> T:
        """As `share`, for a JSON value."""
        value: T = self.exchange(make() if self.first else None)[0]
        return value


class Alone(Processes):
    """One process: nothing is said to anyone."""

    place = ONE

    def use(self, device: torch.device) -> None:
        """Nothing to do."""

    def average(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The tensors themselves."""
        return alone(tensors)

    def follow(self, tensors: Iterable[Tensor]) -> None:
        """Nothing to do."""

    def exchange(self, value: Json) -> list[Any]:
        """Its own value."""
        return [value]

    def share(self, make: Callable[[], State | None]) -> State | None:
        """What `make` returns."""
        return make()


ALONE = Alone()
