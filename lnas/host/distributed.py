"""One run on several processes: each steps on its own share of every batch, and what steers a step is averaged by hand.

The gradients of theta and alpha are all-reduced where they are made (`Learner.average`), not by DistributedDataParallel,
which never sees `autograd.grad` and cannot be differentiated through.  All that is random (dropout, drop path, the
architectures that a strategy draws) is drawn from the same streams in every process, so that they agree on it without a
word.  Batch norm uses the statistics of each process' own share; of running statistics, those of process 0 count.

The processes talk in two ways: about tensors through the process group of the device (NCCL on GPUs, gloo on CPUs), and
about decisions through gloo, so that no decision waits for a GPU.
"""

import json
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as group
from safetensors import torch as safetensors
from torch import Tensor
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from lnas.core.errors import LnasError, RunError
from lnas.core.types import State
from lnas.host.launch import Place
from lnas.host.packing import Json, pack, plain, unpack
from lnas.host.processes import ALONE, Processes
from lnas.host.watch import Watch

PATIENCE = timedelta(minutes=30)
"""How long a process waits for another that is alive: while process 0 writes, say.  One that ended is noticed at once."""


class PeerError(RunError):
    """Another process of the run has ended, or cannot be reached."""

    exit_code = 5


class SpokenFor(LnasError):
    """The run ends, and another process says why.  Its exit code is that of the error that this one met."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"another process says why the run ends; here: {error}")
        self.exit_code = getattr(error, "exit_code", 1)


class Together(Processes):
    """Several processes, connected by torch's process groups; made by `joined`.

    Raises:
        PeerError: from any method, where another process has ended.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._of_device: dict[str, group.ProcessGroup | None] = {"cpu": None}  # None is torch's name for the default group

    def use(self, device: torch.device) -> None:
        """Connect the GPUs."""
        if device.type == "cuda" and "cuda" not in self._of_device:
            torch.cuda.set_device(device)
            with _others():
                made = group.new_group(backend="nccl", timeout=PATIENCE)
            assert isinstance(made, group.ProcessGroup), "every process belongs to it"
            self._of_device["cuda"] = made

    def average(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One all-reduce for each device and dtype."""
        averaged: tuple[Tensor, ...] = _Mean.apply(self, *tensors)
        return averaged

    def mean(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """`average` without a gradient: new tensors, laid out in memory as the given ones."""
        means = list(tensors)
        for indices in _by(tensors, lambda tensor: (tensor.device, tensor.dtype)):
            flat = torch.cat([tensors[index].reshape(-1) for index in indices])
            with _others():
                group.all_reduce(flat, group=self._of_device[flat.device.type])
            flat /= self.size
            for index, part in zip(indices, torch.split(flat, [tensors[index].numel() for index in indices]), strict=True):
                means[index] = torch.empty_like(tensors[index]).copy_(part.view_as(tensors[index]))
        return tuple(means)

    @torch.no_grad()
    def follow(self, tensors: Iterable[Tensor]) -> None:
        """One broadcast for each device, of bytes: whatever their dtypes are."""
        given = list(tensors)
        for indices in _by(given, lambda tensor: tensor.device):
            parts = [given[index].contiguous().reshape(-1).view(torch.uint8) for index in indices]
            flat = torch.cat(parts)
            with _others():
                group.broadcast(flat, 0, group=self._of_device[flat.device.type])
            if not self.first:
                for index, part in zip(indices, torch.split(flat, [len(part) for part in parts]), strict=True):
                    given[index].copy_(part.clone().view(given[index].dtype).view_as(given[index]))  # cloned: aligned

    def exchange(self, value: Json) -> list[Any]:
        """Two all-gathers on the CPU: of the lengths, and of the texts."""
        data = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        with _others():
            group.all_gather(lengths, torch.tensor([len(data)]))
            longest = max(int(length) for length in lengths)
            texts = [torch.zeros(longest, dtype=torch.uint8) for _ in range(self.size)]
            group.all_gather(texts, torch.cat([data, data.new_zeros(longest - len(data))]))
        return [json.loads(text[: int(length)].numpy().tobytes()) for text, length in zip(texts, lengths, strict=True)]

    def share(self, make: Callable[[], State | None]) -> State | None:
        """As it would be written to a checkpoint and read again, without the disk."""
        state = make() if self.first else None
        tensors, document = pack(state or {})
        data = torch.frombuffer(bytearray(safetensors.save(plain(tensors))), dtype=torch.uint8)
        there, document, length = self.exchange([state is not None, document, len(data)] if self.first else None)[0]
        if not there:
            return None
        data = data if self.first else torch.empty(length, dtype=torch.uint8)
        with _others():
            group.broadcast(data, 0)
        return state if self.first else unpack(safetensors.load(data.numpy().tobytes()), document)


class _Mean(torch.autograd.Function):
    """The mean over all processes is linear, and its own adjoint where the objective is a mean over them as well.

    The objective is L = (1/N) Σ_r L_r, and process r holds ∂L_r of everything.  With y = (1/N) Σ_s x_s in all of them,
    N ∂L/∂x_r = Σ_s (∂L_s/∂y) / N: the same mean, of what each process holds.  So what comes out is N ∂L/∂x_r, in the scale of
    L_r, and averaging gradients over the processes at the end gives ∂L.
    """

    @staticmethod
    def forward(ctx: Any, processes: Together, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.processes = processes
        return processes.mean(tensors)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        return None, *_Mean.apply(ctx.processes, *slopes)


@contextmanager
def joined(place: Place, *, say: Callable[[str], None]) -> Iterator[Processes]:
    """Meet the other processes, and part from them at the end of the block; `Alone` where there are none.

    An error that leaves the block goes on in one of the processes, which shall show it; in the others it becomes
    `SpokenFor`.  From then on SIGTERM is ignored: the launcher sends it once the first process is gone.  A process with an
    error should end without further clean-up, for torch may wait for processes that are gone.

    Args:
        place: what the launcher said.
        say: shows one line, from a thread, where the main thread cannot.

    Raises:
        PeerError: where the others do not come.
        SpokenFor: see above.
    """
    if place.size == 1:
        yield ALONE
        return
    try:
        launcher, _, _ = next(rendezvous("env://", place.rank, place.size, timeout=PATIENCE))
        store = PrefixStore(f"lnas/{place.attempt}", launcher)  # torchrun keeps what processes left there that are gone
        watch = Watch(store, place, say=say, code=PeerError.exit_code)
        group.init_process_group("gloo", store=store, rank=place.rank, world_size=place.size, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise PeerError(f"process {place.rank} of {place.size} cannot meet the others: {_in_one_line(error)}") from error
    watch.start()
    try:
        yield Together(place)
    except BaseException as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        speaks = watch.speaks()
        watch.stop(left=False)
        if not speaks:
            raise SpokenFor(error) from error
        raise
    watch.stop(left=True)
    group.destroy_process_group()


@contextmanager
def _others() -> Iterator[None]:
    """torch's error where a process is gone, in words."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise PeerError("another process of this run has ended, or is out of reach") from error


def _by(tensors: Sequence[Tensor], key: Callable[[Tensor], Any]) -> list[list[int]]:
    """Indices of tensors of one kind, in the order in which the kinds come first: the same in every process."""
    kinds: dict[Any, list[int]] = {}
    for index, tensor in enumerate(tensors):
        kinds.setdefault(key(tensor), []).append(index)
    return list(kinds.values())


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
