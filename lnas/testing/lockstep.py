"""Several processes that learn together, played by threads, so that what is not averaged shows."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from lnas.core.learner import Average
from lnas.testing.suite import Violation

T = TypeVar("T")


class _Alone(Exception):
    """One process waits in `average`, and another has ended."""


class Lockstep:
    """`size` threads, each of which calls an `average` of its own; all get the same mean, bit by bit.

    The mean can be differentiated as often as one likes, as the one of real processes.

    Attributes:
        size: how many there are.
        calls: how often all of them have met.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.calls = 0
        self._meeting = threading.Condition()
        self._brought: list[list[Tensor] | None] = [None] * size
        self._means: list[Tensor] = []
        self._ended = False

    def average(self, rank: int) -> Average:
        """The `average` of one of the threads."""

        def mean(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
            means: tuple[Tensor, ...] = _Mean.apply(self, rank, *tensors)
            return means

        return mean

    def run(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """Run one piece of work in each thread, at the same time, and return what they return.

        Raises:
            Violation: where one calls `average` less often than another, or with other shapes.
        """
        results: list[Any] = [None] * self.size
        errors: list[BaseException] = []
        self._ended = False

        def work(rank: int) -> None:
            with self._meeting:  # one at a time, until it waits: what is global in torch would be shared
                try:
                    results[rank] = works[rank]()
                except BaseException as error:  # it is raised again below, in the caller's thread
                    errors.append(error)
                self._ended = True
                self._meeting.notify_all()

        threads = [threading.Thread(target=work, args=(rank,), daemon=True) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._brought = [None] * self.size
        for error in errors:
            if not isinstance(error, _Alone):
                raise error
        if errors:
            raise Violation(
                "one process waits in `average` for another that does not come: every process must call it as often,"
                " whatever is in its batch"
            )
        return results

    def exchange(self, rank: int, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Bring tensors, wait for the others, and take the means home."""
        with self._meeting:
            met = self.calls
            self._brought[rank] = [tensor.detach().clone() for tensor in tensors]
            if all(brought is not None for brought in self._brought):
                self._means = _means([brought for brought in self._brought if brought is not None])
                self._brought = [None] * self.size
                self.calls += 1
                self._meeting.notify_all()
            else:
                self._meeting.wait_for(lambda: self.calls > met or self._ended)
                if self.calls == met:
                    raise _Alone
            return [mean.clone() for mean in self._means]


def _means(brought: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    shapes = [[tuple(tensor.shape) for tensor in tensors] for tensors in brought]
    for other in shapes[1:]:
        if other != shapes[0]:
            raise Violation(f"`average` was called with tensors of shapes {shapes[0]} in one process and {other} in another")
    return [torch.stack(parts).mean(0) for parts in zip(*brought, strict=True)]


class _Mean(torch.autograd.Function):
    """Its own adjoint, where the objective is a mean over the processes as well."""

    @staticmethod
    def forward(ctx: Any, lockstep: Lockstep, rank: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.lockstep, ctx.rank = lockstep, rank
        return tuple(lockstep.exchange(rank, tensors))

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *_Mean.apply(ctx.lockstep, ctx.rank, *slopes)
